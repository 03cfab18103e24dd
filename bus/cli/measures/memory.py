"""The whole path in one process with everything on: publish to handler, per second.

On are the stamp, its check at delivery, policy with its cache, a rate limit, metering
to a file, the counters behind the metrics and the audit to a file.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from bus.app import Bus
from bus.cli.measures.load import (
    Schedule,
    drawn,
    every_question,
    policy_data,
    settings,
)
from bus.cli.measures.machine import here, percentile, rss_bytes
from bus.cli.measures.traffic import TURN, Traffic
from bus.core.stats import DecisionStats, Snapshot

_WARM_MESSAGES: Final = 200 * TURN


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure: `cold` starts with nothing decided and no code run before."""

    messages: int
    cold: bool = False
    any_agent: bool = False


class MemoryFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a run showed.

    `p50_us` and `p99_us` are of probes under full load, `audit_pending` is what the
    audit had still to write when the last handler had begun. `unrecorded` counts what
    metering or the audit missed by the end.
    """

    per_second: int
    p50_us: float
    p99_us: float
    cache_hit_ratio: float
    accepted: int
    delivered: int
    denied: int
    failed: int
    unrecorded: int
    rss_bytes_per_message: float
    publish_many_per_second: int
    us_each: float
    seconds: float
    warm: bool
    any_agent: bool
    audit_pending: int
    python: str
    cpu: str
    cores: int

    @property
    def whole(self) -> bool:
        """Whether every message was accepted, delivered, metered and recorded."""
        lost = self.denied + self.failed + self.unrecorded
        return lost == 0 and self.accepted == self.delivered > 0


class _Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen while messages flowed one by one."""

    seconds: float
    p50_us: float
    p99_us: float
    hit_ratio: float
    rss_bytes: int
    audit_pending: int


def measure(run: Run) -> MemoryFigures:
    """Run the load once, one by one and then by `publish_many`, in a loop of its own."""
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        data = policy_data(any_agent=run.any_agent)
        return asyncio.run(_measure(run, Bus(data, settings=settings(Path(folder)))))


async def _measure(run: Run, bus: Bus) -> MemoryFigures:
    schedule = drawn(run.messages, any_agent=run.any_agent)
    async with bus:
        traffic = Traffic(bus)
        if not run.cold:
            await warm_up(traffic, any_agent=run.any_agent)
        singly = traffic.begin()
        flow = await _flow(bus, traffic, schedule)
        many = traffic.begin()
        many_s = await traffic.publish_many(schedule)
    stats, machine = bus.stats(), await asyncio.to_thread(here)
    return MemoryFigures(
        per_second=round(singly.delivered / flow.seconds),
        p50_us=round(flow.p50_us, 1),
        p99_us=round(flow.p99_us, 1),
        cache_hit_ratio=round(flow.hit_ratio, 5),
        accepted=singly.accepted,
        delivered=singly.delivered,
        denied=singly.denied + many.denied,
        failed=singly.failed + many.failed,
        unrecorded=unrecorded(stats),
        rss_bytes_per_message=round(flow.rss_bytes / run.messages, 2),
        publish_many_per_second=round(many.delivered / many_s),
        us_each=round(flow.seconds / run.messages * 1e6, 3),
        seconds=round(flow.seconds, 3),
        warm=not run.cold,
        any_agent=run.any_agent,
        audit_pending=flow.audit_pending,
        python=machine.python,
        cpu=machine.cpu,
        cores=machine.cores,
    )


async def warm_up(traffic: Traffic, *, any_agent: bool = False) -> None:
    """Have every question of the load decided, and the path run often."""
    every = every_question(any_agent=any_agent)
    await traffic.publish(traffic.calls(every), len(every))
    again = drawn(_WARM_MESSAGES, any_agent=any_agent)
    await traffic.publish(traffic.calls(again), len(again))
    await traffic.publish_many(again)


async def _flow(bus: Bus, traffic: Traffic, schedule: Schedule) -> _Flow:
    calls = traffic.calls(schedule)
    before, rss = bus.stats().decisions, await asyncio.to_thread(rss_bytes)
    seconds = await traffic.publish(calls, len(schedule))
    rss = await asyncio.to_thread(rss_bytes) - rss
    stats = bus.stats()
    took = traffic.latencies_us()
    return _Flow(
        seconds=seconds,
        p50_us=percentile(took, 0.50),
        p99_us=percentile(took, 0.99),
        hit_ratio=_hit_ratio(before, stats.decisions),
        rss_bytes=rss,
        audit_pending=stats.audit.pending,
    )


def _hit_ratio(before: DecisionStats, after: DecisionStats) -> float:
    hits = after.hits - before.hits
    return hits / max(1, hits + after.misses - before.misses)


def unrecorded(stats: Snapshot) -> int:
    """Count what went through a closed bus and was not metered or recorded."""
    accepted = sum(subject.accepted for subject in stats.subjects)
    delivered = sum(subject.delivered for subject in stats.subjects)
    unmetered = abs(accepted - stats.meter.metered)
    return unmetered + max(0, accepted + delivered - stats.audit.written)
