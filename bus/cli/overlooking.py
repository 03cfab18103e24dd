"""What `assent top` shows of a node that is asked over HTTP."""

from datetime import datetime
from typing import Any, Final

from bus.cli.server import Where, asked
from bus.core.changes import StreamRow
from bus.core.operatinglimits import TOP_ROWS_MAX
from bus.core.recovering import Standing
from bus.watching import CheckLine, ConsumerLine, Top

_ROWS: Final = TOP_ROWS_MAX + 1


def seen_of(at: Where) -> Top:
    """Ask a node how it stands and how far behind its consumers are.

    Where there are more rows than are shown, the first by name are; a control socket
    shows those that matter most.
    """

    async def work(api: Any) -> Top:
        overview = await api.get("/v1/overview")
        consumers = [row async for row in api.items("/v1/consumers", _ROWS)]
        streams = [row async for row in api.items("/v1/streams", _ROWS)]
        return top_of(overview, consumers, streams)

    return asked(at, work)


def top_of(overview: dict[str, Any], consumers: list[Any], streams: list[Any]) -> Top:
    """Return the picture of what a node has answered."""
    lines = sorted(map(_line, consumers), key=lambda line: -line.pending)
    return Top(
        time_ns=_ns(overview["time"]),
        revision=overview["revision"],
        score=overview["score"],
        standing=Standing(overview["standing"]),
        checks=tuple(
            CheckLine(one["name"], one["ok"], one.get("text", ""))
            for one in overview["checks"]
        ),
        durable=overview["durable"],
        pace=None,
        consumers=tuple(lines[:TOP_ROWS_MAX]),
        more_consumers=max(0, len(lines) - TOP_ROWS_MAX),
        streams=tuple(map(_stream, streams[:TOP_ROWS_MAX])),
        more_streams=max(0, len(streams) - TOP_ROWS_MAX),
        dead_letters=overview["dead_letters"],
        held=overview["held"],
    )


def _line(one: dict[str, Any]) -> ConsumerLine:
    oldest = one.get("oldest_seconds")
    return ConsumerLine(
        tenant=one["tenant"],
        name=one["name"],
        pending=one["pending"],
        in_flight=one["in_flight"],
        delayed=one["delayed"],
        redelivered=one.get("redelivered"),
        dead=one.get("dead"),
        oldest_ns=None if oldest is None else int(oldest * 1e9),
    )


def _stream(one: dict[str, Any]) -> StreamRow:
    counts = (one["messages"], one["bytes"], one["first"], one["last"])
    return StreamRow(0, one["tenant"], one["name"], *counts)


def _ns(text: str) -> int:
    """Return an RFC 3339 time with up to nine digits of a second as nanoseconds."""
    whole, _, rest = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * 1_000_000_000 + int(rest.ljust(9, "0") or 0)
