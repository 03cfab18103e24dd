"""`assent recovery`: what is supervised in a running bus, and orders to bring it back."""

from typing import Annotated

import typer

from bus.cli.control import Socket, order, place
from bus.cli.output import AsJson, ConfigFile, Flags, add_group, emit, say, table

Name = Annotated[str, typer.Argument(metavar="NAME", help="The component's name.")]
OneName = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="Only this component's.")
]
Consumer = Annotated[
    str, typer.Argument(metavar="CONSUMER", help="As `assent top` names it.")
]
Tenant = Annotated[
    str, typer.Option(help="Whose; needed where several tenants have that name.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "recovery",
        "See what is supervised in a running bus, and bring it back.",
        {
            "list": listed,
            "history": history,
            "approve": approve,
            "cancel": cancel,
            "rewind": rewind,
        },
    )


def listed(
    socket: Socket = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show every supervised component: its state, breaker, attempts and last error."""
    from bus.operating import Components  # noqa: PLC0415 - see bus.cli

    found = order(place(socket, config, flags), "recovery.list", Components)
    columns = ("component", "kind", "state", "breaker", "attempt", "next in", "error")
    emit(
        found,
        lambda: table(
            columns,
            [
                (
                    one.component,
                    one.kind.value,
                    one.state.value,
                    one.breaker.value,
                    f"{one.attempt}/{one.attempts}",
                    f"{one.wait_ms / 1000:g} s" if one.wait_ms >= 0 else "",
                    one.error,
                )
                for one in found.components
            ],
        ),
        as_json=as_json,
    )


def history(
    component: OneName = None,
    socket: Socket = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what happened to the components, oldest first."""
    from bus.cli.times import utc  # noqa: PLC0415 - see bus.cli
    from bus.operating import Transitions  # noqa: PLC0415 - see bus.cli

    at = place(socket, config, flags)
    found = order(at, "recovery.history", Transitions, {"component": component})
    columns = ("time (UTC)", "component", "event", "from", "to", "attempt", "by", "why")
    emit(
        found,
        lambda: table(
            columns,
            [
                (
                    utc(step.at_ns),
                    step.component,
                    step.event.value,
                    step.before.value,
                    step.after.value,
                    f"{step.attempt}/{step.attempts}",
                    step.by,
                    step.detail,
                )
                for step in found.transitions
            ],
        ),
        as_json=as_json,
    )


def approve(
    component: Name,
    socket: Socket = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Have a component brought back now: one that awaits it, has failed or was cancelled."""
    _ordered("recovery.approve", component, (socket, config, flags), as_json=as_json)


def cancel(
    component: Name,
    socket: Socket = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Leave a component alone until it is found well, or approved."""
    _ordered("recovery.cancel", component, (socket, config, flags), as_json=as_json)


def rewind(
    consumer: Consumer,
    socket: Socket = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    tenant: Tenant = "",
    as_json: AsJson = False,
) -> None:
    """Take a durable consumer back to its last ack: what waits is read anew."""
    from bus.rewinding import Rewound  # noqa: PLC0415 - see bus.cli

    asked = {"consumer": consumer, "tenant": tenant}
    found = order(place(socket, config, flags), "recovery.rewind", Rewound, asked)
    emit(
        found,
        lambda: say(
            f"{found.consumer} of {found.tenant}: {found.deliveries} not settled, "
            f"{found.in_hand} of them in hand; the rest is read anew"
        ),
        as_json=as_json,
    )


def _ordered(
    name: str,
    component: str,
    where: tuple[str | None, str | None, list[str] | None],
    *,
    as_json: bool,
) -> None:
    from bus.operating import Components  # noqa: PLC0415 - see bus.cli

    found = order(place(*where), name, Components, {"component": component})
    emit(
        found,
        lambda: say(
            "".join(f"{one.component}: {one.state.value}" for one in found.components)
        ),
        as_json=as_json,
    )
