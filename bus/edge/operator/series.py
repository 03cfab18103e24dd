"""What is counted, as one point a second: of all, and of each tenant that asks.

Rule: bounded, and nothing but differences of counters that are there anyway.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

import msgspec

from bus.core.edgelimits import (
    SERIES_POINTS_MAX,
    SERIES_STEP_S,
    SERIES_TENANTS_MAX,
)
from bus.edge.caller import Caller, Scope
from bus.edge.operations import Operation
from bus.edge.operator.answers import Counts, Nothing, Point, Series
from bus.edge.operator.inside import Inside, seen_by
from bus.edge.operator.loads import Load, Loads
from bus.edge.operator.tap import Tap
from bus.edge.operator.told import rfc3339

_NS_PER_US: Final = 1_000
_MEDIAN: Final = 0.5
_TAIL: Final = 0.99


class _Line:
    """The points of one tenant, or of all, and the counts that the next is made from."""

    __slots__ = ("before", "points")

    def __init__(self, before: Counts) -> None:
        self.before = before
        self.points: deque[Point] = deque(maxlen=SERIES_POINTS_MAX)


class Sampler:
    """Makes the points. `tick` is called each second; `listeners` get each point."""

    def __init__(self, inside: Inside, tap: Tap, loads: Loads) -> None:
        self._inside = inside
        self._tap = tap
        self._loads = loads
        self._latency: list[int] = []
        self._lines: OrderedDict[str | None, _Line] = OrderedDict()
        self._lines[None] = _Line(tap.counts(None))
        self._ticked: list[Callable[[], None]] = []

    def after_each(self, told: Callable[[], None]) -> None:
        """Call `told` after each point."""
        self._ticked.append(told)

    async def tick(self) -> None:
        """Make the points of this second."""
        snapshot = self._inside.bus.stats()
        now = rfc3339(self._inside.now_ns())
        of_all = Load()
        of_all.queued, of_all.in_flight = snapshot.queued, snapshot.in_flight
        half, most = self._latencies(snapshot.latency_log2_ns)
        for tenant in tuple(self._lines):
            load = of_all if tenant is None else await self._loads.of(tenant)
            line = self._lines.get(tenant)
            if line is None:
                continue  # it gave way meanwhile
            made = self._point(line, now, self._tap.counts(tenant), load)
            if tenant is None:
                made = msgspec.structs.replace(made, p50_us=half, p99_us=most)
            line.points.append(made)
        for told in self._ticked:
            told()

    def last(self, tenant: str | None) -> Point | None:
        """Return the last point of a tenant, or of all."""
        points = self._line(tenant).points
        return points[-1] if points else None

    def dead(self, tenant: str | None) -> int:
        """Return how many messages of a tenant, or of all, were given up."""
        return self._tap.counts(tenant).dead

    async def series(self, caller: Caller, asked: Nothing) -> Series:
        """Return what the caller may see of it."""
        del asked
        tenant = seen_by(caller)
        points = tuple(self._line(tenant).points)
        return Series(step_seconds=SERIES_STEP_S, tenant=tenant, points=points)

    def _line(self, tenant: str | None) -> _Line:
        """Return a tenant's points, which are kept from now on."""
        line = self._lines.get(tenant)
        if line is None:
            line = self._lines[tenant] = _Line(self._tap.counts(tenant))
            if len(self._lines) > SERIES_TENANTS_MAX + 1:
                oldest = next(known for known in self._lines if known is not None)
                del self._lines[oldest]
        elif tenant is not None:
            self._lines.move_to_end(tenant)
        return line

    @staticmethod
    def _point(line: _Line, now: str, counts: Counts, load: Load) -> Point:
        before, line.before = line.before, counts
        return Point(
            time=now,
            accepted=counts.accepted - before.accepted,
            delivered=counts.delivered - before.delivered,
            denied=counts.denied - before.denied,
            failed=counts.failed - before.failed,
            queued=load.queued,
            in_flight=load.in_flight,
        )

    def _latencies(self, log2_ns: list[int]) -> tuple[float | None, float | None]:
        before = self._latency or [0] * len(log2_ns)
        self._latency = log2_ns
        fresh = [now - then for now, then in zip(log2_ns, before, strict=True)]
        return quantile_us(fresh, _MEDIAN), quantile_us(fresh, _TAIL)


def quantile_us(log2_ns: list[int], share: float) -> float | None:
    """Return the time that a share of deliveries took at most, in microseconds.

    `log2_ns[k]` counts those from 2^(k-1) up to 2^k ns; within one, they are taken to be
    spread evenly. None where there are no deliveries.
    """
    total = sum(log2_ns)
    if not total:
        return None
    wanted, counted = share * total, 0
    for power, count in enumerate(log2_ns):
        if count and counted + count >= wanted:
            low = 2.0 ** (power - 1) if power else 0.0
            within = (wanted - counted) / count
            return (low + (2.0**power - low) * within) / _NS_PER_US
        counted += count
    return 2.0 ** len(log2_ns) / _NS_PER_US


def operations(sampler: Sampler) -> tuple[Operation, ...]:
    """Return the operation that tells the points."""
    return (
        Operation(
            name="get_series",
            method="GET",
            path="/v1/series",
            summary="Rates, queues and latencies of the last 15 minutes",
            scope=Scope.OPERATOR,
            asks=Nothing,
            answers=Series,
            run=sampler.series,
        ),
    )
