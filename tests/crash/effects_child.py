"""Handles messages with effects in a database of the user's, and is killed at it.

Run with a folder, a seed and a number of rounds. It forks a process for each round, which
hands over every message that is not acked, with a real SQLite file for the effects, until
it is killed: by itself in the middle of a statement, or from outside at any moment. Acks
are lost, hand-overs doubled, older ones come late. The last round is left alone.
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
from typing import Any, Final

from bus import effects
from bus.core.outcome import Outcome
from bus.effects import Outbox, StaleTokenError
from tests.fakes.effects import FakeAgent, accepted, hand

MESSAGES_PER_ROUND: Final = 12
OPERATIONS: Final = 40  # of SQLite's machine, between looks at whether to die


class Journal:
    """Lines in a file: what was written survives the process, not more and not less."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)
        self.lines = path.read_text().splitlines()

    def write(self, line: str) -> None:
        """Add a line."""
        os.write(self._file, f"{line}\n".encode())
        self.lines.append(line)


class BusOfLines(FakeAgent):
    """Publishes into a file, and takes each dedup id once, as the bus does."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._published = Journal(folder / "published")
        self._repeated = Journal(folder / "repeated")

    async def publish(self, subject: str, body: object, **options: Any) -> Outcome:
        """Accept it; keep it unless it is known."""
        await super().publish(subject, body, **options)
        name = options["dedup"]
        known = name in self._published.lines
        (self._repeated if known else self._published).write(name)
        return accepted()


class Victim:
    """One round: a process that handles messages until it dies."""

    def __init__(self, folder: Path, seed: int, number: int, *, last: bool) -> None:
        self._folder = folder
        self._dice = random.Random(f"{seed}/{number}")  # noqa: S311 - repeatable, not secret
        self._number = number
        self._tokens = number << 32
        self._looks = None if last else self._lifetime()
        self._acks = Journal(folder / "acks")
        self._seen = Journal(folder / "seen")

    def _lifetime(self) -> int | None:
        """Return after how many looks it kills itself; None if that is left to others."""
        return self._dice.choice((None, self._dice.randrange(1, 400)))

    def live(self) -> None:
        """Hand over every message that is not acked."""
        db = self._connect()
        agent = BusOfLines(self._folder)
        outbox = Outbox(self._connect, agent)
        acked = set(map(int, self._acks.lines))
        for number in range((self._number + 1) * MESSAGES_PER_ROUND):
            if number not in acked:
                self._deliver(db, outbox, number)
            if not self._dice.randrange(10):
                asyncio.run(outbox.drain())
        asyncio.run(outbox.drain())
        db.close()

    def _deliver(self, db: sqlite3.Connection, outbox: Outbox, number: int) -> None:
        lapsed = self._token()  # handed over first, and given up as its lease ran out
        self._handle(db, outbox, number, self._token())
        if not self._dice.randrange(4):
            try:
                self._handle(db, outbox, number, lapsed)
            except StaleTokenError:
                self._seen.write(f"stale {number}")
        if self._dice.randrange(4):
            self._acks.write(str(number))

    def _handle(
        self, db: sqlite3.Connection, outbox: Outbox, number: int, token: int
    ) -> None:
        with effects.once(hand(number, token), db) as first:
            if not first:
                self._seen.write(f"again {number}")
                return
            db.execute("INSERT INTO effects VALUES (?)", (number,))
            db.execute("UPDATE account SET balance = balance + ?", (number,))
            outbox.put(db, "payments.done", number, dedup=str(number))

    def _token(self) -> int:
        self._tokens += 1
        return self._tokens

    def _connect(self) -> sqlite3.Connection:
        db = connect(self._folder)
        db.set_progress_handler(self._look, OPERATIONS)
        return db

    def _look(self) -> int:
        if self._looks is not None:
            self._looks -= 1
            if self._looks < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return 0


def connect(folder: Path) -> sqlite3.Connection:
    """Open the user's database, as its owner does."""
    return sqlite3.connect(folder / "user.db")


def prepare(folder: Path, *, wal: bool) -> None:
    """Make the user's database."""
    db = connect(folder)
    if wal:
        db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE effects (number INTEGER NOT NULL)")
    db.execute("CREATE TABLE account (balance INTEGER NOT NULL)")
    db.execute("INSERT INTO account VALUES (0)")
    db.commit()
    effects.create_tables(db)
    db.close()


def main(folder: Path, seed: int, rounds: int) -> None:
    """Run the rounds, and tell how they ended."""
    prepare(folder, wal=bool(seed % 2))
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    killed = finished = 0
    for number in range(rounds + 1):
        last = number == rounds
        child = os.fork()
        if not child:
            try:
                Victim(folder, seed, number, last=last).live()
            except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
                os.write(2, f"round {number}: {error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        if not last:
            time.sleep(dice.uniform(0.0, 0.06))
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        killed += code == -signal.SIGKILL
        finished += code == 0
    ended = {"rounds": rounds + 1, "killed": killed, "finished": finished}
    sys.stdout.write(json.dumps(ended))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
