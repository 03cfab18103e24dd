"""The agents that survey: a planner, a queue group of workers, an aggregator.

Rule: they know each other by subjects only. The planner learns that a round is
complete by asking the aggregator, which answers when every task has ended: with a
result, or as a dead letter that says why not.
"""

import asyncio
import heapq
import os
from typing import Final

from bus.app import Bus
from bus.cli.survey.files import Listing
from bus.cli.survey.measure import kind_of, measure
from bus.cli.survey.work import (
    REPORT,
    RESULTS,
    TASKS,
    Ask,
    KindTotal,
    Place,
    Report,
    Result,
    Task,
    Trouble,
    shown,
)
from bus.core.limits import SURVEY_REPORT_S
from bus.letters import REASON_HEADER
from bus.subscription import Delivery

WORKERS: Final = 4
_IN_FLIGHT: Final = 2  # for each worker; reading is done in threads
_CAPACITY: Final = 64
_ATTEMPTS: Final = 3
_LARGEST: Final = 5
_TROUBLES: Final = 5


class Fleet:
    """All agents of the survey. `tasks` and `done` are of the round under way."""

    def __init__(self, bus: Bus, listing: Listing) -> None:
        self._planner = bus.agent("planner")
        self._files = listing.files
        self.aggregator = Aggregator(bus)
        self.workers = [
            Worker(bus, f"worker-{number}", listing) for number in range(1, WORKERS + 1)
        ]
        self.rounds = 0

    @property
    def tasks(self) -> int:
        """Files in a round."""
        return len(self._files)

    async def survey(self) -> Report:
        """Go over all files once.

        Raises:
            BusError: a task was refused, or the round did not end in time.
        """
        self.rounds += 1
        self.aggregator.begin(self.rounds)
        for number, path in enumerate(self._files):
            task = Task(self.rounds, number, kind_of(path), os.fsencode(path))
            outcome = await self._planner.publish(
                TASKS + task.kind, task, type="task_request"
            )
            outcome.unwrap()
        return await self._planner.request(
            REPORT,
            Ask(self.rounds, self.tasks),
            returns=Report,
            timeout=SURVEY_REPORT_S,
        )


class Worker:
    """Measures files and publishes what it found."""

    def __init__(self, bus: Bus, name: str, listing: Listing) -> None:
        self._agent = bus.agent(name)
        self._folder = listing.folder
        self._agent.subscribe(
            TASKS + "*",
            self.work,
            queue="workers",
            max_in_flight=_IN_FLIGHT,
            capacity=_CAPACITY,
            max_deliver=_ATTEMPTS,
        )

    async def work(self, task: Task, delivery: Delivery) -> None:
        """Measure one file; one that cannot be read becomes a dead letter at once."""
        try:
            found = await asyncio.to_thread(
                measure, self._folder, os.fsdecode(task.path)
            )
        except OSError as error:
            delivery.term(f"cannot be read: {error.strerror}")
            return
        outcome = await self._agent.publish(
            RESULTS + task.kind, Result(task, found), type="task_response"
        )
        outcome.unwrap()


class Aggregator:
    """Adds up results and says when a round is complete."""

    def __init__(self, bus: Bus) -> None:
        self.agent = bus.agent("aggregator")
        self._round = Tally(0)
        self._changed = asyncio.Condition()
        self.agent.subscribe(RESULTS + "*", self.add)
        self.agent.subscribe(f"$DEAD.{TASKS}*", self.give_up)
        self.agent.subscribe(REPORT, self.report, ack_wait=SURVEY_REPORT_S)

    @property
    def done(self) -> int:
        """Tasks of this round that have ended."""
        return len(self._round.ended)

    def begin(self, number: int) -> None:
        """Start a round."""
        self._round = Tally(number)

    async def add(self, result: Result) -> None:
        """Take a worker's result."""
        if self._round.take(result.task):
            self._round.add(shown(result.task.path), result)
        await self._tell()

    async def give_up(self, task: Task, delivery: Delivery) -> None:
        """Take note of a task that nobody could do."""
        if self._round.take(task):
            reason = delivery.message.headers[REASON_HEADER]
            self._round.lose(shown(task.path), reason)
        await self._tell()

    async def report(self, ask: Ask) -> Report:
        """Answer when every task of the round has ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.done >= ask.tasks)
        return self._round.report()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Tally:
    """One round's totals. A task counts once, however often it is delivered."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.ended: set[int] = set()
        self._kinds: dict[str, KindTotal] = {}
        self._largest: list[Place] = []
        self._longest = Place(-1, "")
        self._troubles: list[Trouble] = []
        self._lost = 0

    def take(self, task: Task) -> bool:
        """Note that a task has ended; False if it had before, or is of another round."""
        if task.round != self._number or task.number in self.ended:
            return False
        self.ended.add(task.number)
        return True

    def add(self, path: str, result: Result) -> None:
        """Add a file that was measured."""
        kind, found = result.task.kind, result.measure
        self._kinds.setdefault(kind, KindTotal(kind)).add(found)
        heapq.heappush(self._largest, Place(found.size, path))
        if len(self._largest) > _LARGEST:
            heapq.heappop(self._largest)
        if found.longest is not None:
            self._longest = max(self._longest, Place(found.longest, path))

    def lose(self, path: str, reason: str) -> None:
        """Add a file that was given up."""
        self._lost += 1
        if len(self._troubles) < _TROUBLES:
            self._troubles.append(Trouble(path, reason))

    def report(self) -> Report:
        """Return the totals so far."""
        kinds = sorted(self._kinds.values(), key=lambda kind: (-kind.size, kind.kind))
        return Report(
            kinds,
            sorted(self._largest, reverse=True),
            self._longest if self._longest.amount >= 0 else None,
            self._troubles,
            self._lost,
        )
