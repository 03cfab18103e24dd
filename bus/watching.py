"""What an operator watches: consumers, streams, the store's pace, and how it all stands.

Rule: plain rows in, one plain value out. The rows that matter most come first, and what
is past the bound is counted, not shown.
"""

from collections.abc import Iterable, Mapping
from heapq import nlargest

import msgspec

from bus.core.changes import StreamRow
from bus.core.operatinglimits import TOP_ROWS_MAX
from bus.core.recovering import Standing, standing

Checks = Mapping[str, tuple[bool, str]]
"""Each check by name: whether it holds, and a word on it."""


class ConsumerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer, or a subscription of a bus without a store.

    `pending` are accepted and not settled, those in flight and those that wait for
    their redelivery (`delayed`) included. `redelivered` and `dead` are None where they
    are not counted by consumer. `oldest_ns` is the age of the oldest pending message,
    0 where none is, and None where it is not known.
    """

    tenant: str
    name: str
    pending: int
    in_flight: int = 0
    delayed: int = 0
    redelivered: int | None = None
    dead: int | None = None
    oldest_ns: int | None = None


class CheckLine(msgspec.Struct, frozen=True):
    """A check: whether it holds, and a word on it."""

    name: str
    ok: bool
    text: str


class Pace(msgspec.Struct, frozen=True):
    """The store's commits and accepted messages since its opening at `since_ns`."""

    commits: int
    appended: int
    since_ns: int


class Top(msgspec.Struct, frozen=True, kw_only=True):
    """What `assent top` shows. `more_*` are rows past the bound; `pace` needs a store."""

    time_ns: int
    revision: str
    score: float
    standing: Standing
    checks: tuple[CheckLine, ...]
    durable: bool
    pace: Pace | None
    consumers: tuple[ConsumerLine, ...]
    more_consumers: int
    streams: tuple[StreamRow, ...]
    more_streams: int
    dead_letters: int
    held: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What `top` is made of, beside the rows.

    Without a `score` and a `stands` of recovery's, those of the checks are shown.
    """

    time_ns: int
    revision: str
    checks: Checks
    pace: Pace | None = None
    dead_letters: int = 0
    held: int = 0
    score: float | None = None
    stands: Standing | None = None


def top(
    seen: Seen,
    consumers: Iterable[ConsumerLine],
    streams: Iterable[StreamRow] = (),
) -> Top:
    """Return the picture: consumers by what is pending, streams by what they hold."""
    lines, rows = list(consumers), list(streams)
    score = score_of(seen.checks) if seen.score is None else seen.score
    return Top(
        time_ns=seen.time_ns,
        revision=seen.revision,
        score=score,
        standing=standing(score) if seen.stands is None else seen.stands,
        checks=tuple(CheckLine(name, *told) for name, told in seen.checks.items()),
        durable=seen.pace is not None,
        pace=seen.pace,
        consumers=tuple(nlargest(TOP_ROWS_MAX, lines, key=_urgency)),
        more_consumers=max(0, len(lines) - TOP_ROWS_MAX),
        streams=tuple(nlargest(TOP_ROWS_MAX, rows, key=lambda row: row.messages)),
        more_streams=max(0, len(rows) - TOP_ROWS_MAX),
        dead_letters=seen.dead_letters,
        held=seen.held,
    )


def score_of(checks: Checks) -> float:
    """Return the share of the checks that hold; with none, 1."""
    if not checks:
        return 1.0
    return sum(ok for ok, _ in checks.values()) / len(checks)


def rate(now: Pace, time_ns: int, before: tuple[Pace, int] | None) -> float:
    """Return commits a second since the picture `before`, or since the opening.

    A store that was opened anew meanwhile counts from its opening.
    """
    since_ns, commits = now.since_ns, now.commits
    if before is not None and before[0].since_ns == now.since_ns:
        since_ns, commits = before[1], now.commits - before[0].commits
    took_ns = time_ns - since_ns
    return commits * 1e9 / took_ns if took_ns > 0 else 0.0


def _urgency(line: ConsumerLine) -> tuple[int, int, int]:
    return line.pending, line.oldest_ns or 0, line.dead or 0
