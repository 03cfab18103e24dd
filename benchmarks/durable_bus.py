"""Assent on its SQLite store, as a user has it: policy, stamp, checks and audit are on.

Rule: what it kept is counted in its database, through a connection of our own.
"""

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

from benchmarks.contest import IN_FLIGHT, BrokenContestError, Took, one_by_one
from benchmarks.figures import BODY
from bus.agent import Agent
from bus.app import Bus
from bus.cli.measures.load import COLLECTOR, policy_data
from bus.config import Settings, load
from bus.core.outcome import Accepted
from bus.core.stats import StoreStats

SUBJECT: Final = "0.tasks.000"
STREAM: Final = "kept"
STORED_MAX: Final = 1_000_000_000
SETTLED_CHECK_S: Final = 0.001
_SETTINGS: Final = """
[store]
kind = "sqlite"
file = {file}

[stamp]
keys_file = {keys}

[[streams]]
name = "{stream}"
subjects = ["0.>"]
max_messages = {most}
max_bytes = {bytes}
discard = "refuse"
"""


class Durable:
    """A running bus, and an agent that publishes on it."""

    name = "assent"

    def __init__(self, bus: Bus, file: Path) -> None:
        self.bus = bus
        self.agent: Agent = bus.agent(COLLECTOR)
        self._file = file
        self._rows = self._commits = 0

    async def together(self, messages: int) -> Took:
        """Publish many at once; count what a commit had."""
        before = self.stats()
        start = time.perf_counter()
        failures = await self._publish(messages)
        seconds = time.perf_counter() - start
        self._rows += self.stats().appended - before.appended
        self._commits += self.stats().commits - before.commits
        return Took(messages, seconds, failures)

    async def _publish(self, messages: int) -> int:
        """Publish from `IN_FLIGHT` tasks, each awaiting its outcome; return the failures."""
        left, failures = messages, 0

        async def work() -> None:
            nonlocal left, failures
            while left > 0:
                left -= 1
                failures += not await self.send()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(work())
        return failures

    async def alone(self, messages: int) -> Took:
        """Publish, and await the outcome of each."""
        return await one_by_one(messages, self.send)

    async def send(self) -> bool:
        """Publish one message; tell whether it was accepted."""
        return isinstance(await self.agent.publish(SUBJECT, BODY), Accepted)

    async def kept(self) -> int:
        """Count the rows of its database."""
        return await asyncio.to_thread(count, self._file, "messages")

    async def empty(self) -> None:
        """Leave the messages: what is published goes to the end."""

    def stats(self) -> StoreStats:
        """Return what the store counted."""
        stats = self.bus.stats().store
        if stats is None:
            raise BrokenContestError("this bus keeps nothing")
        return stats

    def batch(self) -> int:
        """Return how many rows a commit had on average, with many in flight."""
        return max(1, round(self._rows / max(1, self._commits)))

    def row_bytes(self) -> int:
        """Return what an entry weighs."""
        return _ask(self._file, "SELECT avg(length(entry)) FROM messages")

    async def replay(self) -> Took:
        """Read all messages back."""
        read = failures = 0
        start = time.perf_counter()
        async for entry in self.agent.replay("0.>"):
            read += 1
            failures += entry.message.body != BODY
        seconds = time.perf_counter() - start
        failures += abs(await self.kept() - read)
        return Took(read, seconds, failures)


class Batched(Durable):
    """A running bus, and an agent that publishes many with one call."""

    name = f"assent, publish_many of {IN_FLIGHT:,}"

    async def _publish(self, messages: int) -> int:
        """Publish `IN_FLIGHT` messages with each call, one call after the other."""
        failures = 0
        for start in range(0, messages, IN_FLIGHT):
            items = [(SUBJECT, BODY)] * min(IN_FLIGHT, messages - start)
            outcomes = await self.agent.publish_many(items)
            accepted = sum(isinstance(outcome, Accepted) for outcome in outcomes)
            failures += len(items) - accepted
        return failures


class Handled(Durable):
    """A running bus with a durable consumer, whose handler counts."""

    name = "assent, to a handler"

    def __init__(self, bus: Bus, file: Path) -> None:
        super().__init__(bus, file)
        self._handled = 0
        self._wanted = 0
        self._all_in = asyncio.Event()
        self.agent.subscribe("0.>", self._handle)

    async def together(self, messages: int) -> Took:
        """Publish; it takes until the last acknowledgement is in the store as well."""
        self._handled, self._wanted = 0, messages
        self._all_in.clear()
        start = time.perf_counter()
        published = await super().together(messages)
        await self._all_in.wait()
        while self.stats().pending:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(SETTLED_CHECK_S)
        seconds = time.perf_counter() - start
        left = await asyncio.to_thread(count, self._file, "deliveries")
        twice = self._handled - messages
        return Took(messages, seconds, published.failures + left + twice)

    async def _handle(self, _: bytes) -> None:
        self._handled += 1
        if self._handled == self._wanted:
            self._all_in.set()


def settings(file: Path, most: int = STORED_MAX) -> Settings:
    """Return settings for a store in a file, with keys beside it, made if not there."""
    keys = file.with_suffix(".keys")
    if not keys.exists():
        keys.touch(mode=0o600)
        keys.write_text(f'active = 1\n[keys]\n1 = "{os.urandom(32).hex()}"\n')
    text = _SETTINGS.format(
        file=json.dumps(str(file)),
        keys=json.dumps(str(keys)),
        stream=STREAM,
        most=most,
        bytes=most << 10,
    )
    written = file.with_suffix(".toml")
    written.write_text(text)
    return load(written, environ={}).settings


@asynccontextmanager
async def running(file: Path, kind: type[Durable] = Durable) -> AsyncIterator[Durable]:
    """Run a bus on the store in a file, made if it is not there."""
    bus = Bus(policy_data(), settings=await asyncio.to_thread(settings, file))
    durable = kind(bus, file)
    async with bus:
        yield durable


def count(file: Path, table: str) -> int:
    """Count the rows of a table that are committed."""
    return _ask(file, f"SELECT count(*) FROM {table}")  # noqa: S608 - a name of ours


def keys(file: Path, after: int = 0) -> int:
    """Return how far the keys of messages reach: their number, unless one was left out.

    To count the messages themselves would read all of the file.
    """
    first = _ask(
        file, "SELECT coalesce(min(key), 0) FROM messages WHERE key > ?", after
    )
    return last(file) - first + 1 if first else 0


def last(file: Path) -> int:
    """Return the last key."""
    return _ask(file, "SELECT coalesce(max(key), 0) FROM messages")


def _ask(file: Path, query: str, *values: int) -> int:
    with closing(_connection(file)) as connection:
        return int(connection.execute(query, values).fetchone()[0])


def _connection(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{file}?mode=ro", uri=True)
