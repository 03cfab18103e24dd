"""What a publish costs beside subscriptions that do not match it: few, then many.

Rule: two buses alike but for their subscriptions take turns, so that what else the
machine does meets both; the ratio is that of the medians. The route of the subject is
in the memo, as that of any subject in use; the walk of the tree that a first publish
takes is measured alone, in `benchmarks/test_core.py`.
"""

import asyncio
from statistics import median
from time import perf_counter
from typing import Final

import msgspec

from bus.agent import Agent
from bus.app import Bus
from bus.cli.measures.load import COLLECTOR, policy_data, task
from bus.cli.measures.machine import here
from bus.core.errors import ProcessingError
from bus.core.outcome import Accepted

FEW: Final = 10
RATIO_MAX: Final = 1.25
_ROUNDS: Final = 7
_TURN: Final = 64
_SUBJECT: Final = "0.tasks.000"


class CrowdFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds a publish with few and with many subscriptions, and their ratio."""

    few: int
    many: int
    few_us: float
    many_us: float
    ratio: float
    ratio_max: float
    python: str
    cpu: str


def measure(messages: int, many: int) -> CrowdFigures:
    """Publish `messages` in each of seven rounds on either bus."""
    machine = here()
    quiet, crowded = Bus(policy_data()), Bus(policy_data())
    took_us = asyncio.run(_rounds((quiet, crowded), (FEW, many), messages))
    few_us, many_us = (median(took) for took in zip(*took_us, strict=True))
    return CrowdFigures(
        few=FEW,
        many=many,
        few_us=round(few_us, 3),
        many_us=round(many_us, 3),
        ratio=round(many_us / few_us, 3),
        ratio_max=RATIO_MAX,
        python=machine.python,
        cpu=machine.cpu,
    )


async def _rounds(
    buses: tuple[Bus, Bus], others: tuple[int, int], messages: int
) -> list[tuple[float, float]]:
    """Return the microseconds a publish on either bus, of each round."""
    quiet, crowded = buses
    async with quiet, crowded:
        few, many = _peopled(quiet, others[0]), _peopled(crowded, others[1])
        return [
            (await _publish(few, messages), await _publish(many, messages))
            for _ in range(_ROUNDS)
        ]


def _peopled(bus: Bus, others: int) -> Agent:
    """Add subscriptions near and far from the subject, and one that matches it."""
    agent = bus.agent(COLLECTOR)

    async def ignore(body: bytes) -> None:
        """Take a message and do nothing."""

    for number in range(others):
        near = f"0.tasks.other-{number}"
        agent.subscribe(near if number % 2 else f"far-{number}.>", ignore)
    agent.subscribe(_SUBJECT, ignore)
    return agent


async def _publish(agent: Agent, messages: int) -> float:
    body = task()
    started = perf_counter()
    for number in range(messages):
        outcome = await agent.publish(_SUBJECT, body)
        if type(outcome) is not Accepted or outcome.deliveries != 1:
            raise ProcessingError(f"a message of the run was not accepted: {outcome}")
        if number % _TURN == 0:
            await asyncio.sleep(0)
    return (perf_counter() - started) / messages * 1e6
