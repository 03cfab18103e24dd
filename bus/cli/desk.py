"""`assent approve` and `assent dead`: what waits for a person, and what was given up."""

from typing import Annotated, Any

import typer

from bus.cli.output import AsJson, add_group, emit, say, table
from bus.cli.server import Where, asked, at_server
from bus.core.edgelimits import CLI_ROWS_MAX

Id = Annotated[str, typer.Argument(metavar="ID")]
Count = Annotated[
    int, typer.Option("--count", "-n", min=1, max=CLI_ROWS_MAX, help="At most so many.")
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; it goes on record.")
]
Body = Annotated[
    str | None,
    typer.Option("--body", metavar="BODY", help="Another one: JSON, or else text."),
]
AsText = Annotated[bool, typer.Option("--text", help="Text, also where it is JSON.")]
Consumer = Annotated[str, typer.Option(metavar="NAME", help="Only what it gave up.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "approve",
        "Let go on, or end, what policy holds.",
        {
            "list": at_server(list_held),
            "release": at_server(release),
            "refuse": at_server(refuse),
        },
    )
    add_group(
        app,
        "dead",
        "See what was given up, and send it once more.",
        {
            "list": at_server(list_dead),
            "show": at_server(show),
            "resend": at_server(resend),
        },
    )


def list_held(at: Where, count: Count = 100, *, as_json: AsJson = False) -> None:
    """List what policy holds, oldest first, and until when."""
    from bus.cli.bodies import shown  # noqa: PLC0415 - see bus.cli

    rows = _rows(at, "/v1/approvals", count)
    emit(
        {"approvals": rows},
        lambda: table(
            ("id", "subject", "sender", "reason", "until", "body"),
            [
                (
                    one["id"],
                    one["subject"],
                    one["sender"],
                    one["reason"],
                    one["until"],
                    shown(one.get("content")),
                )
                for one in rows
            ],
        ),
        as_json=as_json,
    )


def release(
    message_id: Id, reason: Reason, at: Where, *, as_json: AsJson = False
) -> None:
    """Let a held message go on."""
    _settle(at, message_id, "release", reason, as_json=as_json)


def refuse(
    message_id: Id, reason: Reason, at: Where, *, as_json: AsJson = False
) -> None:
    """End a held message as denied."""
    _settle(at, message_id, "refuse", reason, as_json=as_json)


def list_dead(
    at: Where, count: Count = 100, consumer: Consumer = "", *, as_json: AsJson = False
) -> None:
    """List dead letters, oldest first: whose, why, after how many attempts."""
    rows = _rows(at, "/v1/dead-letters", count, consumer=consumer or None)
    emit(
        {"letters": rows},
        lambda: table(
            ("id", "time", "consumer", "subject", "attempts", "reason"),
            [
                (
                    one["id"],
                    one["time"],
                    one["consumer"],
                    one.get("subject") or "(hidden)",
                    one["attempts"],
                    one["reason"],
                )
                for one in rows
            ],
        ),
        as_json=as_json,
    )


def show(letter_id: Id, at: Where, *, as_json: AsJson = False) -> None:
    """Show one dead letter, with all of its body."""
    from bus.cli.bodies import shown  # noqa: PLC0415 - see bus.cli
    from bus.cli.output import printable  # noqa: PLC0415 - see bus.cli
    from bus.remote.web import part  # noqa: PLC0415 - see bus.cli

    one = asked(at, lambda api: api.get(f"/v1/dead-letters/{part(letter_id)}"))
    fields = ("id", "time", "consumer", "attempts", "reason", "message_id", "subject")

    def human() -> None:
        for name in (*fields, "sender", "type"):
            say(printable(f"{name.replace('_', ' ')}: {one.get(name) or ''}"))
        say(f"body: {shown(one.get('content'))}")

    emit(one, human, as_json=as_json)


def resend(
    letter_id: Id,
    at: Where,
    body: Body = None,
    *,
    text: AsText = False,
    as_json: AsJson = False,
) -> None:
    """Send a dead letter once more, to the consumer that gave it up."""
    from bus.cli.bodies import body_of  # noqa: PLC0415 - see bus.cli
    from bus.remote.web import part  # noqa: PLC0415 - see bus.cli

    given = {} if body is None else {"body": body_of(body, text=text)}
    told = asked(
        at, lambda api: api.post(f"/v1/dead-letters/{part(letter_id)}/resend", given)
    )
    emit(told, lambda: say(_settled(told)), as_json=as_json)


def _settle(
    at: Where, message_id: str, what: str, reason: str, *, as_json: bool
) -> None:
    from bus.remote.web import part  # noqa: PLC0415 - see bus.cli

    path = f"/v1/approvals/{part(message_id)}/{what}"
    told = asked(at, lambda api: api.post(path, {"reason": reason}))
    emit(told, lambda: say(_settled(told)), as_json=as_json)


def _settled(told: dict[str, Any]) -> str:
    line = f"{told['status']} {told['message_id']}"
    if told.get("deliveries") is not None:
        line += f", {told['deliveries']} deliveries"
    return line


def _rows(at: Where, path: str, count: int, **query: Any) -> list[Any]:
    async def work(api: Any) -> list[Any]:
        return [row async for row in api.items(path, count, **query)]

    return asked(at, work)
