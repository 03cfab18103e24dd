"""`assent stream` and `assent consumer`: what a node keeps, and who gets it."""

import json
import sys
from typing import Annotated, Any, Final

import typer

from bus.cli.output import AsJson, add_group, emit, say, table
from bus.cli.server import Where, asked, at_server
from bus.core.edgelimits import CLI_ROWS_MAX

_FOLLOW_S: Final = 20.0  # that the node may wait for more before it answers
_STREAM: Final = ("tenant", "stream", "subjects", "messages", "bytes", "first", "last")
_CONSUMER: Final = (
    "tenant",
    "name",
    "pattern",
    "pending",
    "in flight",
    "delayed",
    "redelivered",
    "dead",
    "oldest",
)

Name = Annotated[str, typer.Argument(metavar="NAME")]
Count = Annotated[
    int, typer.Option("--count", "-n", min=1, max=CLI_ROWS_MAX, help="At most so many.")
]
After = Annotated[int, typer.Option(min=0, help="Those after this sequence.")]
Pattern = Annotated[
    str, typer.Option(metavar="PATTERN", help="Only subjects under it.")
]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
]
Wait = Annotated[float, typer.Option(min=0, max=60, help="Seconds to wait for some.")]
Ack = Annotated[
    bool, typer.Option("--ack/--no-ack", help="Whether they are done with by that.")
]
Start = Annotated[str, typer.Option(help="new or all, where it is made by this.")]
Tenant = Annotated[
    str, typer.Option(help="Whose; for an admin, where it is another tenant's.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "stream",
        "See what a node keeps.",
        {"list": at_server(list_streams), "read": at_server(read)},
    )
    add_group(
        app,
        "consumer",
        "See who gets what a node keeps, and take some of it.",
        {
            "list": at_server(list_consumers),
            "pull": at_server(pull),
            "rewind": at_server(rewind),
        },
    )


def list_streams(at: Where, count: Count = 100, *, as_json: AsJson = False) -> None:
    """List the streams: what they keep, and how much of it there is."""
    rows = _rows(at, "/v1/streams", count)
    emit(
        {"streams": rows},
        lambda: table(
            _STREAM,
            [
                (
                    one["tenant"],
                    one["name"],
                    " ".join(one["subjects"]),
                    one["messages"],
                    one["bytes"],
                    one["first"],
                    one["last"],
                )
                for one in rows
            ],
        ),
        as_json=as_json,
    )


def read(  # noqa: PLR0913 - one parameter for each option
    name: Name,
    at: Where,
    after: After = 0,
    count: Count = 100,
    pattern: Pattern = ">",
    *,
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """Print what a stream keeps, oldest first; with --json a line of JSON for each."""

    async def work(api: Any) -> None:
        from bus.remote.web import part  # noqa: PLC0415 - see bus.cli

        path, place, left = f"/v1/streams/{part(name)}/messages", str(after), count
        while True:
            page = await api.get(
                path,
                _FOLLOW_S,
                after=place,
                limit=min(left, 1000) if not follow else None,
                wait=_FOLLOW_S if follow else None,
                pattern=pattern,
            )
            for item in page["items"]:
                _print(item, f"{item['sequence']}", as_json=as_json)
            left -= len(page["items"])
            stuck = page["next"] == place
            place = page["next"]
            if not follow and (left <= 0 or stuck):
                return

    try:
        asked(at, work)
    except KeyboardInterrupt:
        return  # how one leaves what follows


def list_consumers(at: Where, count: Count = 100, *, as_json: AsJson = False) -> None:
    """List the consumers: how far each is, and what it has in hand."""
    rows = _rows(at, "/v1/consumers", count)
    emit(
        {"consumers": rows},
        lambda: table(_CONSUMER, [_consumer(one) for one in rows]),
        as_json=as_json,
    )


def pull(  # noqa: PLR0913 - one parameter for each option
    name: Name,
    at: Where,
    pattern: Annotated[str, typer.Option(metavar="PATTERN", help="What it takes.")],
    count: Count = 1,
    wait: Wait = 0.0,
    start: Start = "new",
    *,
    ack: Ack = True,
    as_json: AsJson = False,
) -> None:
    """Take messages for a durable consumer and print them; made by this if not there.

    Without an ack they are delivered again. With --json a line of JSON for each.
    """

    async def work(api: Any) -> None:
        from bus.remote.web import part  # noqa: PLC0415 - see bus.cli

        path = f"/v1/consumers/{part(name)}"
        given = {"pattern": pattern, "limit": count, "wait": wait, "start": start}
        pulled = await api.post(f"{path}/pull", given, wait)
        for item in pulled["items"]:
            _print(item, f"attempt {item['attempt']}", as_json=as_json)
        sys.stdout.flush()  # what is acked has been printed
        verdict = "ack" if ack else "nak"
        items = [
            {"receipt": item["receipt"], "verdict": verdict} for item in pulled["items"]
        ]
        if items:
            await api.post(f"{path}/settle", {"items": items})

    asked(at, work)


def rewind(
    name: Name, at: Where, tenant: Tenant = "", *, as_json: AsJson = False
) -> None:
    """Take a durable consumer back to its last ack: what it has not settled comes again."""

    async def work(api: Any) -> Any:
        from bus.remote.web import part  # noqa: PLC0415 - see bus.cli

        given = {"tenant": tenant} if tenant else {}
        return await api.post(f"/v1/consumers/{part(name)}/rewind", given)

    row = asked(at, work)
    emit(
        row,
        lambda: say(
            f"{row['consumer']} of {row['tenant']}: {row['deliveries']} not settled, "
            f"{row['in_hand']} of them in hand; the rest is read anew"
        ),
        as_json=as_json,
    )


def _rows(at: Where, path: str, count: int) -> list[Any]:
    async def work(api: Any) -> list[Any]:
        return [row async for row in api.items(path, count)]

    return asked(at, work)


def _consumer(one: dict[str, Any]) -> tuple[Any, ...]:
    from bus.cli.times import age  # noqa: PLC0415 - see bus.cli

    oldest = one.get("oldest_seconds")
    return (
        one["tenant"],
        one["name"],
        one["pattern"],
        one["pending"],
        one["in_flight"],
        one["delayed"],
        _counted(one.get("redelivered")),
        _counted(one.get("dead")),
        age(None if oldest is None else int(oldest * 1e9)),
    )


def _counted(count: int | None) -> str:
    return "" if count is None else str(count)


def _print(item: dict[str, Any], mark: str, *, as_json: bool) -> None:
    from bus.cli.bodies import shown  # noqa: PLC0415 - see bus.cli
    from bus.cli.output import printable  # noqa: PLC0415 - see bus.cli

    if as_json:
        sys.stdout.write(json.dumps(item) + "\n")
    else:
        head = f"{mark} {item['created']} {item['subject']} {item['sender']}"
        sys.stdout.write(printable(f"{head}: {shown(item)}") + "\n")
    sys.stdout.flush()
