"""Publishing the load, and what arrives of it.

Rule: nothing is counted by the bus alone. Every outcome is looked at here and every
delivery counted in the handler. The publisher gives the loop a turn every 64 messages.
One message of each 64 is a probe, each time at another place of the 64: its time from
the publish call to the start of the handler is taken, the others are left alone.
"""

import asyncio
from array import array
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from time import perf_counter, perf_counter_ns
from typing import Any, Final

import msgspec

from bus.agent import Agent
from bus.cli.measures.load import (
    AGENTS,
    COLLECTOR,
    SUBJECTS,
    TEAMS,
    Schedule,
    Task,
    agent_name,
    subject_name,
    task,
)
from bus.client import BaseBus
from bus.core.errors import OverloadedError
from bus.core.limits import BENCH_WAIT_S
from bus.core.outcome import Accepted, Denied, Outcome

TURN: Final = 64
_STEP: Final = 29  # odd, so the probe visits every place of a turn

Publish = Callable[[str, object], Coroutine[Any, Any, Outcome]]


class Counts(msgspec.Struct):
    """What became of what was published."""

    accepted: int = 0
    delivered: int = 0
    denied: int = 0
    failed: int = 0

    @property
    def whole(self) -> bool:
        """Whether everything was accepted and delivered."""
        return self.accepted == self.delivered and not (self.denied or self.failed)

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        if isinstance(outcome, Accepted):
            self.accepted += 1
        elif isinstance(outcome, Denied):
            self.denied += 1
        else:
            self.failed += 1


class Traffic:
    """The load's agents on one bus, and the counts of what they sent and got."""

    def __init__(self, bus: BaseBus) -> None:
        self.agents: list[Agent] = [bus.agent(agent_name(n)) for n in range(AGENTS)]
        self.subjects = [subject_name(n) for n in range(SUBJECTS)]
        self.counts = Counts()
        self._sent_ns = array("q", [0])  # number 0 is no probe
        self._took_ns = array("q")
        bus.agent(COLLECTOR).subscribe(">", self._handler())

    def _handler(self) -> Callable[[Task], Coroutine[Any, Any, None]]:
        async def handle(task: Task) -> None:
            self.counts.delivered += 1
            if task.probe:
                self._took_ns.append(perf_counter_ns() - self._sent_ns[task.probe])

        return handle

    def begin(self) -> Counts:
        """Count anew: what comes now is measured."""
        self.counts = Counts()
        self.forget_times()
        return self.counts

    def forget_times(self) -> None:
        """Let go of the probes' times; all of them have arrived."""
        self._sent_ns = array("q", [0])
        self._took_ns = array("q")

    def latencies_us(self) -> list[float]:
        """Return the times of the probes so far, sorted."""
        return sorted(took / 1000 for took in self._took_ns)

    def calls(self, schedule: Schedule) -> Iterator[tuple[Publish, str]]:
        """Yield what to call for each message; mapped in C, to leave the path alone."""
        publish = [agent.publish for agent in self.agents]
        return zip(
            map(publish.__getitem__, schedule.agents),
            map(self.subjects.__getitem__, schedule.subjects),
            strict=True,
        )

    async def publish(self, calls: Iterator[tuple[Publish, str]], count: int) -> float:
        """Publish `count` messages one by one; return the seconds to the last handler."""
        body = task()
        started = perf_counter()
        for turn in range(-(-count // TURN)):
            size = min(TURN, count - turn * TURN)
            place = turn * _STEP % size
            await self._some(islice(calls, place), body)
            await self._probe(calls)
            await self._some(islice(calls, size - place - 1), body)
            await asyncio.sleep(0)
        await self._arrived()
        return perf_counter() - started

    async def publish_many(self, schedule: Schedule) -> float:
        """Publish in calls of 64, each by one agent for its team; return the seconds."""
        body, subjects = task(), self.subjects
        started = perf_counter()
        for at in range(0, len(schedule), TURN):
            number = schedule.agents[at]
            team = number % TEAMS
            items: list[tuple[str, object]] = [
                (subjects[rank - rank % TEAMS + team], body)
                for rank in schedule.subjects[at : at + TURN]
            ]
            for outcome in await self.agents[number].publish_many(items):
                self.counts.add(outcome)
            await asyncio.sleep(0)
        await self._arrived()
        return perf_counter() - started

    async def _some(self, calls: Iterator[tuple[Publish, str]], body: Task) -> None:
        accepted = 0
        for publish, subject in calls:
            outcome = await publish(subject, body)
            if type(outcome) is Accepted:
                accepted += 1  # a local: the usual case must not cost the path
            else:
                self.counts.add(outcome)
        self.counts.accepted += accepted

    async def _probe(self, calls: Iterator[tuple[Publish, str]]) -> None:
        publish, subject = next(calls)
        body = task(len(self._sent_ns))
        self._sent_ns.append(perf_counter_ns())
        self.counts.add(await publish(subject, body))

    async def _arrived(self) -> None:
        """Wait until everything accepted was handled.

        Raises:
            OverloadedError: it was not within `BENCH_WAIT_S`.
        """
        counts, until = self.counts, perf_counter() + BENCH_WAIT_S
        while counts.delivered < counts.accepted:
            if perf_counter() > until:
                missing = counts.accepted - counts.delivered
                raise OverloadedError(
                    f"the handler, which misses {missing} messages,",
                    retry_after_s=BENCH_WAIT_S,
                )
            await asyncio.sleep(0)
