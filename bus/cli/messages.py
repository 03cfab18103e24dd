"""`assent pub`, `sub`, `req`: messages to and from a node."""

from typing import Annotated, Any

import typer

from bus.cli.output import CHECK_FAILED, AsJson, emit, say
from bus.cli.server import Where, asked, at_server, done

Subject = Annotated[str, typer.Argument(metavar="SUBJECT")]
Body = Annotated[
    str,
    typer.Argument(metavar="BODY", help="JSON, or else text; - is standard input."),
]
Headers = Annotated[
    list[str] | None, typer.Option("--header", "-H", metavar="NAME=VALUE")
]
AsText = Annotated[bool, typer.Option("--text", help="Text, also where it is JSON.")]
Type = Annotated[str, typer.Option("--type", help="event, command, task_request, ...")]
Priority = Annotated[int, typer.Option(min=0, max=3, help="0 to 3, critical.")]
Ttl = Annotated[float | None, typer.Option(metavar="SECONDS", help="It expires then.")]
Dedup = Annotated[str | None, typer.Option(help="One message of that name is kept.")]
Delay = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="It is delivered then.")
]
Key = Annotated[str | None, typer.Option("--key", help="One at a time of this key.")]
Lines = Annotated[
    bool, typer.Option("--lines", help="A message for each line of standard input.")
]
Count = Annotated[
    int | None, typer.Option("--count", "-n", min=1, help="End after so many.")
]
Queue = Annotated[str | None, typer.Option(help="Share them with this group.")]
Durable = Annotated[
    str | None, typer.Option(help="Go on where this name left off, and ack.")
]
Start = Annotated[
    str | None,
    typer.Option(help="new, all, a sequence or a time; with --durable."),
]
Timeout = Annotated[float, typer.Option(min=0.001, max=3600, help="Seconds to wait.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pub")(at_server(pub))
    app.command("sub")(at_server(sub))
    app.command("req")(at_server(req))


def pub(  # noqa: PLR0913 - one parameter for each option
    subject: Subject,
    body: Body,
    at: Where,
    *,
    type_: Type = "event",
    priority: Priority = 1,
    header: Headers = None,
    ttl: Ttl = None,
    dedup: Dedup = None,
    delay: Delay = None,
    key: Key = None,
    lines: Lines = False,
    text: AsText = False,
    as_json: AsJson = False,
) -> None:
    """Publish a message and say what became of it.

    With --lines and - for BODY, each line of standard input is one, in order.
    """
    from bus.cli import bodies  # noqa: PLC0415 - see bus.cli

    extras: dict[str, Any] = {
        "type": type_,
        "priority": priority,
        "headers": bodies.headers_of(header),
        "ttl": ttl,
        "delay": delay,
        "ordering_key": key,
    }
    extras = {name: value for name, value in extras.items() if value is not None}
    if lines:
        from bus.cli import publishing  # noqa: PLC0415 - see bus.cli

        publishing.require_lines(body, dedup)
        told = done(publishing.publish_lines(at, subject, extras, text=text))
        emit(told, lambda: say(publishing.summary(told)), as_json=as_json)
        if told["accepted"] + told["held"] < told["lines"]:
            raise typer.Exit(CHECK_FAILED)
        return
    given = {**extras, "subject": subject, "body": bodies.body_of(body, text=text)}
    if dedup is not None:
        given["dedup"] = dedup
    outcome = asked(at, lambda api: api.post("/v1/messages", given))
    emit(outcome, lambda: say(_outcome(outcome)), as_json=as_json)


def req(  # noqa: PLR0913 - one parameter for each option
    subject: Subject,
    body: Body,
    at: Where,
    *,
    timeout: Timeout = 30.0,
    header: Headers = None,
    text: AsText = False,
    as_json: AsJson = False,
) -> None:
    """Publish a query and print the reply.

    With --json: the reply with its content type.
    """
    from bus.cli import bodies  # noqa: PLC0415 - see bus.cli

    given: dict[str, Any] = {
        "subject": subject,
        "body": bodies.body_of(body, text=text),
        "timeout": timeout,
    }
    headers = bodies.headers_of(header)
    if headers is not None:
        given["headers"] = headers
    answer = asked(at, lambda api: api.post("/v1/requests", given, timeout))
    emit(answer, lambda: say(bodies.shown(answer)), as_json=as_json)


def sub(  # noqa: PLR0913 - one parameter for each option
    pattern: Annotated[str, typer.Argument(metavar="PATTERN")],
    at: Where,
    *,
    count: Count = None,
    queue: Queue = None,
    durable: Durable = None,
    start: Start = None,
    as_json: AsJson = False,
) -> None:
    """Print what is published under a pattern until Ctrl-C.

    With --json each message is one line of JSON. A message counts as handled once it is
    printed.
    """
    from bus.cli import tailing  # noqa: PLC0415 - see bus.cli

    asked_for = tailing.options(queue, durable, start)
    try:
        done(tailing.tail(at, pattern, asked_for, count, as_json=as_json))
    except KeyboardInterrupt:
        return  # how one leaves it


def _outcome(outcome: dict[str, Any]) -> str:
    """Return what became of a message in one line."""
    told = f"{outcome['status']} {outcome['message_id']}"
    if outcome.get("duplicate"):
        told += ", a duplicate"
    if "deliveries" in outcome:
        told += f", {outcome['deliveries']} deliveries"
    if outcome.get("until"):
        told += f", until {outcome['until']}"
    return told
