"""Memory over a long run: after a warm-up it must not grow.

Rule: the first tenth warms up: caches fill, the allocator takes its pools. Growth is
the highest sample of the last tenth less the highest of the second. The bound is
2 MiB, what a second tenth and a last differ by when nothing leaks (the audit's and the
allocator's buffers); at 10 million messages it is a quarter of a byte each, so one
pointer kept for a message in thirty would break it. A short run shows nothing: the
bound is the same.
"""

import asyncio
import tempfile
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from bus.app import Bus
from bus.cli.measures.load import drawn, policy_data, settings
from bus.cli.measures.machine import here, rss_bytes
from bus.cli.measures.memory import unrecorded, warm_up
from bus.cli.measures.traffic import Traffic

GROWTH_BYTES_MAX: Final = 2 << 20
_TENTHS: Final = 10
_SAMPLES: Final = 20  # in each tenth


class SoakFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The memory in RAM at the end of the warm-up and of the run, and what was lost."""

    growth_bytes: int
    growth_bytes_per_message: float
    growth_bytes_max: int
    rss_warm_bytes: int
    rss_end_bytes: int
    rss_by_tenth_bytes: list[int]
    messages: int
    per_second: int
    accepted: int
    delivered: int
    denied: int
    failed: int
    unrecorded: int
    python: str
    cpu: str

    @property
    def whole(self) -> bool:
        """Whether nothing was lost."""
        lost = self.denied + self.failed + self.unrecorded
        return lost == 0 and self.accepted == self.delivered == self.messages


def measure(messages: int) -> SoakFigures:
    """Publish the load; sample the memory 200 times."""
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        bus = Bus(policy_data(), settings=settings(Path(folder)))
        return asyncio.run(_measure(messages, bus))


async def _measure(messages: int, bus: Bus) -> SoakFigures:
    schedule = drawn(messages)
    part = messages // (_TENTHS * _SAMPLES)
    messages = part * _TENTHS * _SAMPLES
    seconds = 0.0
    highest: list[int] = []
    async with bus:
        traffic = Traffic(bus)
        await warm_up(traffic)
        counts = traffic.begin()
        calls = traffic.calls(schedule)
        for _ in range(_TENTHS):
            samples = []
            for _ in range(_SAMPLES):
                seconds += await traffic.publish(islice(calls, part), part)
                traffic.forget_times()
                samples.append(await asyncio.to_thread(rss_bytes))
            highest.append(max(samples))
    stats, machine = bus.stats(), await asyncio.to_thread(here)
    growth = highest[-1] - highest[1]
    return SoakFigures(
        growth_bytes=growth,
        growth_bytes_per_message=round(growth / messages, 4),
        growth_bytes_max=GROWTH_BYTES_MAX,
        rss_warm_bytes=highest[0],
        rss_end_bytes=highest[-1],
        rss_by_tenth_bytes=highest,
        messages=messages,
        per_second=round(messages / seconds),
        accepted=counts.accepted,
        delivered=counts.delivered,
        denied=counts.denied,
        failed=counts.failed,
        unrecorded=unrecorded(stats),
        python=machine.python,
        cpu=machine.cpu,
    )
