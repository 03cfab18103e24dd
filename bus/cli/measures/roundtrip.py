"""One request at a time: from the call to the decoded reply, with everything on."""

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter_ns
from typing import Final

import msgspec

from bus.app import Bus
from bus.cli.measures.load import COLLECTOR, Task, policy_data, settings, task
from bus.cli.measures.machine import here, percentile

_WARM: Final = 500


class Roundtrip(msgspec.Struct, frozen=True, kw_only=True):
    """Times of requests that met an idle bus; every one was answered, or it raised."""

    p50_us: float
    p99_us: float
    messages: int
    python: str
    cpu: str


def measure(messages: int) -> Roundtrip:
    """Request `messages` times, each after the reply to the one before."""
    machine = here()
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        bus = Bus(policy_data(), settings=settings(Path(folder)))
        took_us = sorted(asyncio.run(_requests(bus, messages)))
    return Roundtrip(
        p50_us=round(percentile(took_us, 0.50), 1),
        p99_us=round(percentile(took_us, 0.99), 1),
        messages=messages,
        python=machine.python,
        cpu=machine.cpu,
    )


async def _requests(bus: Bus, messages: int) -> list[float]:
    """Return the microseconds of each request."""

    async def answer(body: Task) -> Task:
        return body

    took_us = []
    async with bus:
        asker, body = bus.agent(COLLECTOR), task()
        asker.subscribe("0.questions", answer)
        for _ in range(_WARM):
            await asker.request("0.questions", body, returns=Task)
        for _ in range(messages):
            started = perf_counter_ns()
            await asker.request("0.questions", body, returns=Task)
            took_us.append((perf_counter_ns() - started) / 1000)
    return took_us
