"""A durable bus whose handlers write to a database of the user's, killed at it.

Run with a folder, a seed and a number of rounds. Each round is a forked process: a planner
publishes numbers, a worker books each in the user's database and puts an answer into its
outbox, a critic books the answer. All are killed at some moment; the last round is left
alone until nothing is left to do.
"""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import Final

import aiosqlite

from bus import Bus, Delivery, effects
from bus.core.outcome import Accepted
from bus.effects import Outbox
from tests.crash.effects_child import Journal
from tests.fakes.buses import DATA
from tests.fakes.effects import Acting, handed

TURN_S: Final = 0.01
TRIES: Final = 100  # that many processes may die on one message before it is given up
LAST_S: Final = 40


class Round:
    """One process."""

    def __init__(self, folder: Path, ready: int, *, last: bool) -> None:
        self._folder = folder
        self._ready = ready  # a pipe, to be told that the work begins
        self._last = last
        self._accepted = Journal(folder / "accepted")
        self._seen = Journal(folder / "seen")

    async def run(self) -> None:
        """Work until killed; in the last round until everything is done."""
        bus = Bus(DATA, store=self._folder / "bus.db")
        async with bus, asyncio.TaskGroup() as group:
            worker = bus.agent("worker")
            outbox = Outbox(self._connect, Acting(worker), poll_s=TURN_S)

            @worker.subscriber("pay.in", max_in_flight=4, max_deliver=TRIES)
            async def book(number: int, delivery: Delivery) -> None:
                async with (
                    self._connect() as db,
                    effects.once(handed(delivery), db) as first,
                ):
                    if first:
                        await db.execute("INSERT INTO booked VALUES (?)", (number,))
                        await outbox.put(db, "pay.done", number)
                    else:
                        self._seen.write(f"again {number}")
                await asyncio.sleep(
                    TURN_S
                )  # committed, and not acked: a place to die at

            @bus.agent("critic").subscriber(
                "pay.done", max_in_flight=4, max_deliver=TRIES
            )
            async def note(number: int, delivery: Delivery) -> None:
                async with (
                    self._connect() as db,
                    effects.once(handed(delivery), db) as first,
                ):
                    if first:
                        await db.execute("INSERT INTO noted VALUES (?)", (number,))

            relay = group.create_task(outbox.run())
            os.write(self._ready, b"!")
            if self._last:
                async with asyncio.timeout(LAST_S):
                    await self._rest()
            else:
                await self._publish(bus)
            relay.cancel()

    async def _publish(self, bus: Bus) -> None:
        planner = bus.agent("planner")
        number = len(self._accepted.lines)
        while True:
            # The number may have been accepted before, and the process killed on it.
            outcome = await planner.publish("pay.in", number, dedup=f"number {number}")
            assert isinstance(outcome, Accepted), outcome
            self._accepted.write(str(number))
            number += 1

    async def _rest(self) -> None:
        wanted = set(map(int, self._accepted.lines))
        while True:
            async with self._connect() as db:
                booked = await _numbers(db, "booked")
                noted = await _numbers(db, "noted")
                [(left,)] = await db.execute_fetchall(
                    "SELECT count(*) FROM assent_outbox"
                )
            if wanted <= set(booked) and set(booked) == set(noted) and not left:
                return
            await asyncio.sleep(TURN_S)

    def _connect(self) -> aiosqlite.Connection:
        return aiosqlite.connect(self._folder / "user.db", timeout=30)


async def _numbers(db: aiosqlite.Connection, table: str) -> list[int]:
    rows = await db.execute_fetchall(f"SELECT * FROM {table}")  # noqa: S608 - one of two
    return [row[0] for row in rows]


def prepare(folder: Path) -> None:
    """Make the user's database."""
    db = sqlite3.connect(folder / "user.db")
    db.execute("PRAGMA journal_mode=WAL")
    for table in ("booked", "noted"):
        db.execute(f"CREATE TABLE {table} (number INTEGER NOT NULL)")
    effects.create_tables(db)
    db.close()


def main(folder: Path, seed: int, rounds: int) -> None:
    """Run the rounds, and tell how they ended."""
    prepare(folder)
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    killed = 0
    for number in range(rounds + 1):
        last = number == rounds
        told, ready = os.pipe()
        child = os.fork()
        if not child:
            try:
                asyncio.run(Round(folder, ready, last=last).run())
            except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
                os.write(2, f"round {number}: {error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        os.close(ready)
        os.read(told, 1)  # or nothing, where it ended before
        os.close(told)
        if not last:
            time.sleep(dice.uniform(0.02, 0.4))
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        killed += code == -signal.SIGKILL
    sys.stdout.write(json.dumps({"rounds": rounds + 1, "killed": killed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
