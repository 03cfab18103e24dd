"""Publishes line after line over one connection, with a bar where somebody looks."""

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from bus.cli.bodies import parsed
from bus.cli.server import Where
from bus.core.errors import LimitExceededError, MalformedMessageError, UsageError
from bus.core.limits import PAYLOAD_BYTES_MAX
from bus.core.outcome import Accepted, Outcome

_BATCH: Final = 1_000


def require_lines(body: str, dedup: str | None) -> None:
    """Raise `UsageError` unless --lines goes with the rest."""
    if body != "-":
        raise UsageError("--lines reads standard input: give - for BODY")
    if dedup is not None:
        raise UsageError("--dedup names one message, and --lines makes many")


async def publish_lines(
    at: Where, subject: str, extras: dict[str, Any], *, text: bool
) -> dict[str, Any]:
    """Publish each line of stdin; return how many ended how, and the first fault."""
    counts: Counter[str] = Counter()
    first = ""
    columns = (SpinnerColumn(), TextColumn("{task.completed} lines"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        async with at.bus() as remote:
            for batch in _batches(sys.stdin.buffer, text=text):
                items = [(subject, body) for body in batch]
                outcomes: list[Outcome] = await remote.agent().publish_many(
                    items, **extras
                )
                for outcome in outcomes:
                    counts[type(outcome).__name__.lower()] += 1
                    if not first and not isinstance(outcome, Accepted):
                        first = f"{outcome.code}: {outcome.reason}"
                bar.advance(task, len(outcomes))
    known = ("accepted", "held", "denied", "dropped", "rejected", "failed")
    return {
        "lines": counts.total(),
        **{name: counts[name] for name in known},
        "first_fault": first,
    }


def summary(told: dict[str, Any]) -> str:
    """Return what became of the lines, in one line."""
    parts = [
        f"{told[name]} {name}"
        for name in ("accepted", "held", "denied", "dropped", "rejected", "failed")
        if told[name]
    ]
    line = f"{told['lines']} lines: {', '.join(parts) or 'nothing to publish'}"
    return f"{line}; first: {told['first_fault']}" if told["first_fault"] else line


def _batches(stream: BinaryIO, *, text: bool) -> Iterator[list[Any]]:
    batch: list[Any] = []
    number = 0
    while line := stream.readline(PAYLOAD_BYTES_MAX + 2):
        number += 1
        if len(line) > PAYLOAD_BYTES_MAX + 1:
            raise LimitExceededError(
                f"bytes of line {number}", actual=len(line), allowed=PAYLOAD_BYTES_MAX
            )
        try:
            words = line.rstrip(b"\r\n").decode()
        except UnicodeDecodeError as error:
            raise MalformedMessageError(f"line {number} is no UTF-8: {error}") from None
        batch.append(parsed(words, text=text))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
