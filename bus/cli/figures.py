"""What a run's counters say: totals, shares and times, as values and as short text."""

from collections.abc import Sequence
from typing import Final

import msgspec

from bus.core.stats import DecisionStats, Snapshot

_MS: Final = 1e6
_S: Final = 1e9
_UNITS: Final = ("bytes", "kB", "MB", "GB")
_STEP: Final = 1000


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Endings over all subjects: the first five of publishes, the rest of deliveries."""

    accepted: int
    denied: int
    held: int
    dropped: int
    rejected: int
    failed: int
    delivered: int
    redelivered: int
    dead: int
    expired: int
    evicted: int
    refused: int
    recalled: int

    @property
    def published(self) -> int:
        """Messages that anybody tried to publish."""
        return (
            self.accepted
            + self.denied
            + self.held
            + self.dropped
            + self.rejected
            + self.failed
        )


def totals(snapshot: Snapshot) -> Totals:
    """Return the sums over all subjects."""
    return Totals(
        **{
            name: sum(getattr(stats, name) for stats in snapshot.subjects)
            for name in Totals.__struct_fields__
        }
    )


def hit_ratio(decisions: DecisionStats) -> float | None:
    """Return the share of decisions that the cache answered; None if there were none."""
    asked = decisions.hits + decisions.misses
    return decisions.hits / asked if asked else None


def below_ns(log2_ns: Sequence[int], share: float) -> int | None:
    """Return a time that `share` of the deliveries did not reach: a power of two.

    The bus counts latencies by powers of two, so nothing finer can be said.
    None if nothing was delivered.
    """
    needed = sum(log2_ns) * share
    seen = 0
    for bits, count in enumerate(log2_ns):
        seen += count
        if count and seen >= needed:
            return 1 << bits
    return None


def told_share(share: float | None) -> str:
    """Return a share in per cent, or a dash."""
    return "-" if share is None else f"{share:.1%}"


def told_time(time_ns: int | None) -> str:
    """Return a time in milliseconds, or in seconds when it is long; a dash for None."""
    if time_ns is None:
        return "-"
    if time_ns >= _S:
        return f"{time_ns / _S:.1f} s"
    return f"{time_ns / _MS:.3g} ms"


def told_size(size: int) -> str:
    """Return a size with its unit."""
    scaled = float(size)
    unit = 0
    while scaled >= _STEP and unit < len(_UNITS) - 1:
        scaled /= _STEP
        unit += 1
    return f"{size} bytes" if unit == 0 else f"{scaled:.1f} {_UNITS[unit]}"
