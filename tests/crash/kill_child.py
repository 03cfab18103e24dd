"""A bus over one store, at work until it is killed; again and again over the same file.

Run with a folder, a seed and a number of rounds. Each round is a forked process with
publishers and consumers, killed at a random moment, now and then before it has started.
The last is left alone until nothing is pending. All of them write one journal, in which
what happened before a line stands before it: a line is in the file once it is written.
"""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Final

from bus import Bus, Delivery
from bus.core.outcome import Accepted
from tests.fakes.buses import DATA
from tests.fakes.durable import eventually

PUBLISHERS: Final = 24
KILL_S: Final = 0.2  # after the work has begun, at most
START_S: Final = 0.3  # about what a start takes; some are killed in it
STARTS_KILLED_EACH: Final = 6
AWAY_EACH: Final = 4  # a queue group is away for one round in so many
PAUSE_S: Final = 0.012
DRAIN_S: Final = 40.0
LOWEST: Final = -(1 << 62)
SUBJECTS: Final = ("plain.a", "plain.b", "pool.a", "once.a", "poison.a")
POISON_TRIES: Final = 2


class Journal:
    """Lines at the end of a file that several processes write."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
        self._file = os.open(folder / "journal", flags, 0o600)

    def write(self, *words: object) -> None:
        """Add a line; it is there when this returns, whatever becomes of the process."""
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


class WatchedBus(Bus):
    """A bus that tells what its store holds for anybody."""

    def keeps_for(self, queue: str) -> bool:
        """Tell whether there is a consumer of a queue group, there or away."""
        known = self._host.require_ledger().consumers.by_id.values()
        return any(consumer.row.queue == queue for consumer in known)

    async def drained(self) -> bool:
        """Tell whether nothing is left to deliver to anybody."""
        ledger = self._host.require_ledger()
        for consumer in list(ledger.consumers.by_id.values()):
            if await ledger.store.deliveries(consumer.row.id, LOWEST, 1):
                return False
        return True


class Round:
    """One process."""

    def __init__(self, folder: Path, number: int, seed: int, *, last: bool) -> None:
        self._bus = WatchedBus(DATA, store=folder / "store.db")
        self._journal = Journal(folder)
        self._number = number
        self._last = last
        self._dice = random.Random(f"{seed} {number}")  # noqa: S311 - not secret
        self._published = 0

    async def run(self, ready: int) -> None:
        """Work until killed; in the last round until nothing is pending."""
        self._subscribe()
        async with self._bus:
            if not self._bus.keeps_for("pool"):
                self._join()  # nobody has lived long enough to be known
            os.write(ready, b"!")
            if self._last:
                await eventually(self._bus.drained, DRAIN_S)
                return
            async with asyncio.TaskGroup() as group:
                for _ in range(PUBLISHERS):
                    group.create_task(self._publish())

    def _subscribe(self) -> None:
        worker, critic = self._bus.agent("worker"), self._bus.agent("critic")

        @worker.subscriber("plain.*", max_in_flight=8)
        async def plain(number: str, delivery: Delivery) -> None:
            await self._handle("plain", number, delivery)

        if self._last or (self._number + 1) % AWAY_EACH:
            self._join()

        @worker.subscriber("once.*", once=True, max_in_flight=4)
        async def once(number: str, delivery: Delivery) -> None:
            self._got("once", number, delivery)
            outcome = await worker.publish("child.a", number)
            assert isinstance(outcome, Accepted), outcome
            await self._pause()

        @critic.subscriber("child.*", max_in_flight=4)
        async def child(number: str, delivery: Delivery) -> None:
            await self._handle("child", number, delivery)

        @critic.subscriber("poison.*", max_deliver=POISON_TRIES, backoff=[0.01])
        async def poison(number: str, delivery: Delivery) -> None:
            self._got("poison", number, delivery)
            raise ValueError(number)

    def _join(self) -> None:
        async def pool(number: str, delivery: Delivery) -> None:
            await self._handle("pool", number, delivery)

        for name in ("worker", "critic"):
            member = self._bus.agent(name)
            member.subscribe("pool.*", pool, queue="pool", max_in_flight=4)

    async def _publish(self) -> None:
        planner = self._bus.agent("planner")
        while True:
            self._published += 1
            number = f"{self._number}-{self._published}"
            subject = self._dice.choice(SUBJECTS)
            self._journal.write("try", number, subject)
            outcome = await planner.publish(subject, number)
            if isinstance(outcome, Accepted):
                told = (number, outcome.id.hex(), outcome.deliveries)
                self._journal.write("accepted", *told)
            else:
                self._journal.write("refused", number, type(outcome).__name__)
            await self._pause()

    async def _handle(self, consumer: str, number: str, delivery: Delivery) -> None:
        self._got(consumer, number, delivery)
        await self._pause()
        delivery.ack()
        self._journal.write("ack", consumer, delivery.message.id.hex())

    def _got(self, consumer: str, number: str, delivery: Delivery) -> None:
        message, allow = delivery.message.id.hex(), int(delivery.decision.allow)
        place = (delivery.key, delivery.token, delivery.attempt)
        self._journal.write("got", consumer, number, message, *place, allow)

    async def _pause(self) -> None:
        await asyncio.sleep(self._dice.random() * PAUSE_S)


def _fork(folder: Path, number: int, seed: int, *, last: bool) -> tuple[int, int]:
    """Start a round; return its process and a pipe that tells when its work begins."""
    told, ready = os.pipe()
    child = os.fork()
    if child:
        os.close(ready)
        return child, told
    os.close(told)
    try:
        work = Round(folder, number, seed, last=last)
        asyncio.run(work.run(ready))
    except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
        os.write(2, f"round {number}: {error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def main(folder: Path, seed: int, rounds: int) -> int:
    """Run the rounds; return 1 if a process ended that was not killed."""
    journal = Journal(folder)
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    for number in range(rounds):
        journal.write("round", number)
        child, told = _fork(folder, number, seed, last=False)
        if number and number % STARTS_KILLED_EACH == 0:
            time.sleep(dice.uniform(0, START_S))
        else:
            os.read(told, 1)
            time.sleep(dice.uniform(0, KILL_S))
        os.close(told)
        os.kill(child, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGKILL:
            return 1
        journal.write("killed", number)
    journal.write("round", rounds)
    child, told = _fork(folder, rounds, seed, last=True)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(told)
    return int(ended != 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
