"""`assent trace` and `assent tree`: what happened to a message, and what came of it."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from bus.cli.output import AsJson, emit, printable, say
from bus.cli.server import Where, asked, at_server

MessageId = Annotated[
    str, typer.Argument(metavar="MESSAGE_ID", help="32 hexadecimal digits.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("trace")(at_server(trace))
    app.command("tree")(at_server(tree))


def trace(message_id: MessageId, at: Where, *, as_json: AsJson = False) -> None:
    """Show what happened to a message: decided, kept, delivered, acked, and by whom."""
    told = _asked(at, message_id, "timeline")
    emit(told, lambda: _say(_timeline(told)), as_json=as_json)


def tree(message_id: MessageId, at: Where, *, as_json: AsJson = False) -> None:
    """Show the message that began it all, and what its handlers published because of it."""
    told = _asked(at, message_id, "tree")
    emit(told, lambda: _say(_family(told, message_id)), as_json=as_json)


def _asked(at: Where, message_id: str, what: str) -> Any:
    from bus.remote.web import part  # noqa: PLC0415 - see bus.cli

    return asked(at, lambda api: api.get(f"/v1/messages/{part(message_id)}/{what}"))


def _say(lines: Iterator[str]) -> None:
    for line in lines:
        say(line)


def _timeline(told: dict[str, Any]) -> Iterator[str]:
    yield printable(f"{told['id']} {told['status']}")
    for item in told["items"]:
        detail = f" ({item['detail']})" if item["detail"] else ""
        yield "  " + printable(
            f"{item['time']} {item['event']} {item['agent']}{detail}"
        )
    for one in told.get("pending", ()):
        yield "  " + printable(
            f"now: {one['state'].replace('_', ' ')} at {one['consumer']} "
            f"of {one['agent']}, attempt {one['attempt']}"
        )
    if told.get("truncated"):
        yield "  more may have happened than could be looked through"


def _family(told: dict[str, Any], message_id: str) -> Iterator[str]:
    waiting = [(told["root"], "", "")]
    while waiting:
        node, before, below = waiting.pop()
        mark = "  <" if node["id"] == message_id else ""
        words = f"{node['subject'] or '(hidden)'} {node['sender']} {node['type']}"
        yield before + printable(f"{words} {node['id']} {node['outcome']}{mark}")
        children = node.get("children", ())
        for number, child in enumerate(reversed(children)):
            turn, rest = ("└─ ", "   ") if number == 0 else ("├─ ", "│  ")
            waiting.append((child, below + turn, below + rest))
    if told.get("truncated"):
        yield "there may be more"
