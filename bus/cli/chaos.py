"""`assent chaos`: faults on purpose in a running bus, and their end."""

from typing import Annotated, Any, Final

import typer

from bus.cli.control import Socket, order, place
from bus.cli.output import AsJson, ConfigFile, Flags, add_group, emit, say, table

_OF_THEIR_OWN: Final = ("clock", "memory", "handles", "disk")

Kind = Annotated[
    str,
    typer.Argument(
        metavar="KIND",
        help="latency, error, time-out, partition, breaker, clock, memory, handles or disk.",
    ),
]
Component = Annotated[
    str | None,
    typer.Argument(
        metavar="[COMPONENT]",
        help="What is hit; clock, memory, handles and disk are their own.",
    ),
]
Seconds = Annotated[float, typer.Option(help="How long; it then ends by itself.")]
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit record.")]
Share = Annotated[float, typer.Option(help="Share of the questions hit, 0 to 1.")]
Latency = Annotated[float, typer.Option(help="Seconds that a hit question waits.")]
Jump = Annotated[float, typer.Option(help="Seconds that the clock jumps, or back.")]
Amount = Annotated[int, typer.Option(help="Bytes, or handles, that are taken.")]
Subject = Annotated[str, typer.Option(help="Of handlers: which, by a pattern.")]
Seed = Annotated[int | None, typer.Option(help="Draws the same questions again.")]
OneId = Annotated[str | None, typer.Argument(metavar="[ID]", help="The fault's id.")]
Everything = Annotated[bool, typer.Option("--all", help="End all of them now.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "chaos",
        "Break a running bus on purpose, within bounds, and stop it.",
        {"start": start, "list": listed, "stop": stop},
    )


def start(  # noqa: PLR0913 - one parameter for each thing that can be said of a fault
    kind: Kind,
    component: Component = None,
    *,
    reason: Reason,
    seconds: Seconds,
    share: Share = 0.0,
    latency: Latency = 0.0,
    jump: Jump = 0.0,
    amount: Amount = 0,
    subject: Subject = "",
    seed: Seed = None,
    socket: Socket = None,
    config: ConfigFile = None,
    flags: Flags = None,
    as_json: AsJson = False,
) -> None:
    """Inject a fault, if the settings and policy allow it."""
    from bus.core.errors import UsageError  # noqa: PLC0415 - see bus.cli

    if component is None and kind not in _OF_THEIR_OWN:
        raise UsageError(f"{kind} needs a COMPONENT; `assent chaos list` shows them")
    asked = {
        "kind": kind,
        "component": component or kind,
        "seconds": seconds,
        "reason": reason,
        "share": share,
        "latency_s": latency,
        "jump_s": jump,
        "amount": amount,
        "subject": subject,
        "seed": seed,
    }
    _ordered("chaos.start", asked, (socket, config, flags), as_json=as_json)


def listed(
    socket: Socket = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what may be hit, what is on, and what is over."""
    _ordered("chaos.list", {}, (socket, config, flags), as_json=as_json)


def stop(
    fault: OneId = None,
    socket: Socket = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    everything: Everything = False,
    as_json: AsJson = False,
) -> None:
    """End a fault, or all of them; nobody is asked whether it may."""
    asked = {"id": fault or "", "all": everything}
    _ordered("chaos.stop", asked, (socket, config, flags), as_json=as_json)


def _ordered(
    name: str,
    asked: dict[str, Any],
    where: tuple[str | None, str | None, list[str] | None],
    *,
    as_json: bool,
) -> None:
    from bus.operating import Faults  # noqa: PLC0415 - see bus.cli

    found = order(place(*where), name, Faults, asked)

    def human() -> None:
        for component, kinds in found.components.items():
            say(f"{component} can be hit by {', '.join(kinds)}")
        faults = (*found.active, *found.ended)
        if not faults:
            say("no faults")
            return
        columns = ("id", "component", "kind", "seconds", "hit", "of", "taken", "state")
        table(
            columns,
            [
                (
                    one.id,
                    one.asked.component,
                    one.asked.kind.value,
                    f"{one.asked.seconds:g}",
                    one.hits,
                    one.questions,
                    one.amount,
                    one.ended or "on",
                )
                for one in faults
            ],
        )

    emit(found, human, as_json=as_json)
