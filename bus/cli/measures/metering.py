"""What metering costs a publish, as a share of the path.

Rule: two buses, one with the meter and one whose meter collects nothing, take turns
round by round; the median of the rounds' differences is what collecting beside the flow
costs. The two additions of a publish are made on either bus, so they are timed alone,
on a real cell, less the empty loop. `share` is of both together.
"""

import asyncio
import tempfile
from itertools import repeat
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import msgspec

from bus.app import Bus
from bus.cli.measures.load import BODY_BYTES, drawn, policy_data, settings
from bus.cli.measures.machine import here
from bus.cli.measures.memory import warm_up
from bus.cli.measures.traffic import Traffic
from bus.client import BaseBus
from bus.core.errors import ProcessingError
from bus.core.stats import MeterStats
from bus.metering.usage import Cell
from processors.strategies.broadcast import Broadcast

SHARE_MAX: Final = 0.05
_ROUNDS: Final = 9
_ADDITIONS: Final = 200_000


class MeteringFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds a message, with the meter and without, and the meter's share."""

    share: float
    share_max: float
    additions_us: float
    collecting_us: float
    metered_us: float
    unmetered_us: float
    messages: int
    rounds: int
    python: str
    cpu: str


class _NoMeter:
    """A meter whose cells nobody collects."""

    def cell(self, tenant: str, agent: str, operation: str) -> Cell:
        del tenant, agent, operation  # nobody is told apart
        return Cell()

    async def run(self) -> None:
        """End at once."""

    async def close(self) -> None:
        """Have nothing to hand over."""

    def stats(self) -> MeterStats:
        return MeterStats()


def measure(messages: int) -> MeteringFigures:
    """Publish `messages` in each of nine rounds on either bus."""
    with (
        tempfile.TemporaryDirectory(prefix="assent-bench-") as one,
        tempfile.TemporaryDirectory(prefix="assent-bench-") as two,
    ):
        metered = Bus(policy_data(), settings=settings(Path(one)))
        unmetered = _unmetered(Path(two))
        took_us = asyncio.run(_rounds(metered, unmetered, messages))
    additions_us = min(_additions_us() for _ in range(_ROUNDS))
    collecting_us = median(with_it - without for with_it, without in took_us)
    metered_us = median(with_it for with_it, _ in took_us)
    machine = here()
    return MeteringFigures(
        share=round((additions_us + max(0.0, collecting_us)) / metered_us, 4),
        share_max=SHARE_MAX,
        additions_us=round(additions_us, 4),
        collecting_us=round(collecting_us, 4),
        metered_us=round(metered_us, 3),
        unmetered_us=round(median(without for _, without in took_us), 3),
        messages=messages,
        rounds=_ROUNDS,
        python=machine.python,
        cpu=machine.cpu,
    )


def _unmetered(folder: Path) -> BaseBus:
    """Return a bus like any other but for its meter."""
    made = Bus(policy_data(), settings=settings(folder))
    parts = made._host.parts  # noqa: SLF001 - all parts as they are chosen, but for one
    return BaseBus(
        msgspec.structs.replace(parts, meter=_NoMeter()), broadcast=Broadcast()
    )


async def _rounds(
    metered: BaseBus, unmetered: BaseBus, messages: int
) -> list[tuple[float, float]]:
    async with metered, unmetered:
        both = [Traffic(metered), Traffic(unmetered)]
        for traffic in both:
            await warm_up(traffic)
        return [await _round(both, messages) for _ in range(_ROUNDS)]


async def _round(both: list[Traffic], messages: int) -> tuple[float, float]:
    """Return the microseconds a message on either bus.

    Raises:
        ProcessingError: a message was lost.
    """
    took = []
    for traffic in both:
        counts, schedule = traffic.begin(), drawn(messages)
        seconds = await traffic.publish(traffic.calls(schedule), messages)
        if not counts.whole:
            raise ProcessingError(f"messages of the run were lost: {counts}")
        took.append(seconds / messages * 1e6)
    return took[0], took[1]


def _additions_us() -> float:
    """Time what a publish does for metering, on a cell, less the loop around it."""
    cell, body = Cell(), bytes(BODY_BYTES)
    started = perf_counter()
    for _ in repeat(None, _ADDITIONS):
        cell.events += 1
        cell.body_bytes += len(body)
    middle = perf_counter()
    for _ in repeat(None, _ADDITIONS):
        pass
    ended = perf_counter()
    return ((middle - started) - (ended - middle)) / _ADDITIONS * 1e6
