"""What `assent top` draws of a `Top`."""

import sys
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from bus.cli.output import printable
from bus.cli.running import console_on
from bus.cli.tables import headed, plain_table
from bus.cli.times import age, size
from bus.core.recovering import Standing
from bus.watching import Top, rate

_STYLES = {
    Standing.HEALTHY: "green",
    Standing.DEGRADED: "yellow",
    Standing.CRITICAL: "bold red",
}
_COLUMNS = ("tenant", "name", "lag", "in flight", "delayed")
_DURABLE_COLUMNS = ("redelivered", "dead", "oldest")
_TEXTS_OF_A_LINE = 2  # tenant and name; numbers follow


def console() -> Console:
    """Return where it is drawn; as wide as needed where that is no terminal."""
    made = console_on(sys.stdout)
    return made if made.is_terminal else Console(file=sys.stdout, width=200)


def live(on: Console) -> Live:
    """Return what shows one picture in place of the last."""
    return Live(console=on, auto_refresh=False, screen=True)


def drawn(seen: Top, before: Top | None) -> RenderableType:
    """Return a picture; `before` is the last one, for what is told by the second."""
    parts: list[RenderableType] = [_first_line(seen, before)]
    parts += [
        Text(printable(f"  {check.name}: {check.text}"), style="red")
        for check in seen.checks
        if not check.ok
    ]
    parts += headed("consumers" if seen.durable else "subscriptions", _consumers(seen))
    parts += _more(seen.more_consumers)
    if seen.durable:
        parts += headed("streams", _streams(seen))
        parts += _more(seen.more_streams)
    return Group(*parts)


def _first_line(seen: Top, before: Top | None) -> Text:
    line = Text(seen.standing.value, style=_STYLES[seen.standing])
    line.append(f" ({seen.score:.2f})", style="default")
    told = [f"policy {seen.revision}"]
    if seen.pace is not None:
        earlier = None
        if before is not None and before.pace is not None:
            earlier = (before.pace, before.time_ns)
        commits = rate(seen.pace, seen.time_ns, earlier)
        told.append(f"{commits:.1f} commits/s")
    told.append(f"{seen.dead_letters} dead letters, {seen.held} held")
    line.append(printable(f", {', '.join(told)}"), style="default")
    return line


def _consumers(seen: Top) -> RenderableType:
    columns = _COLUMNS + _DURABLE_COLUMNS if seen.durable else _COLUMNS
    rows = [
        (
            one.tenant,
            one.name,
            one.pending,
            one.in_flight,
            one.delayed,
            _counted(one.redelivered),
            _counted(one.dead),
            age(one.oldest_ns),
        )[: len(columns)]
        for one in seen.consumers
    ]
    return _table(columns, rows)


def _streams(seen: Top) -> RenderableType:
    columns = ("tenant", "stream", "messages", "bytes", "first", "last")
    rows = [
        (one.tenant, one.name, one.messages, size(one.bytes), one.first, one.last)
        for one in seen.streams
    ]
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> RenderableType:
    made = plain_table(columns, numbers_from=_TEXTS_OF_A_LINE)
    for row in rows:
        # Text, not str: names come from outside and are no markup.
        made.add_row(*(Text(printable(str(cell))) for cell in row))
    return made


def _counted(count: int | None) -> str:
    return "" if count is None else str(count)


def _more(count: int) -> list[RenderableType]:
    return [Text(f"and {count} more", style="dim")] if count else []
