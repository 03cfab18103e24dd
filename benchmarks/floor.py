"""The hand-written lower bound that Assent is measured against."""

import asyncio
import collections
import hashlib
import hmac
import itertools
import os
import time
from typing import Final

import msgspec

from benchmarks.figures import BODY, SUBJECT, TURN, Figure

CONSTITUTION: Final = "cdd01ef066bc6cf2"


class Handed(msgspec.Struct, gc=False):
    """The floor's message."""

    id: bytes
    subject: str
    sender: str
    tenant: str
    body: bytes
    created_ns: int
    priority: int = 1
    constitution: str = CONSTITUTION
    stamp: bytes = b""


async def floor(messages: int) -> list[Figure]:  # noqa: C901, PLR0915 - one scope: see below
    """Run the least a governed hand-off can do, with no layer between its steps.

    A keyed stamp made and checked, one look-up for the decision, a queue to a consumer
    task, a usage record and a running audit hash. No wildcards, limits, errors, storage.
    Closures, because an attribute for each name would make the floor slower.
    """
    key, ids = hashlib.blake2b(key=os.urandom(32), digest_size=16), itertools.count()
    decisions: dict[tuple[str, str, str, int], bool] = {}
    queue: collections.deque[Handed] = collections.deque()
    usage: collections.deque[object] = collections.deque(maxlen=100_000)
    audit, done = hashlib.blake2b(digest_size=32), 0
    waiter: asyncio.Future[None] | None = None

    def stamp(message: Handed) -> bytes:
        state = key.copy()
        state.update(message.id)
        state.update(message.subject.encode())
        state.update(message.body)
        return state.digest()

    async def publish(subject: str, sender: str, tenant: str, body: bytes) -> None:
        message = Handed(
            next(ids).to_bytes(16, "big"), subject, sender, tenant, body, time.time_ns()
        )
        message.stamp = stamp(message)
        if message.constitution != CONSTITUTION or not hmac.compare_digest(
            stamp(message), message.stamp
        ):
            raise ValueError(subject)
        decisions.setdefault((tenant, sender, subject, message.priority), True)
        queue.append(message)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        usage.append((tenant, sender, subject, len(body)))
        audit.update(message.stamp)

    async def handle(_: Handed) -> None:
        nonlocal done
        done += 1

    async def consume() -> None:
        nonlocal waiter
        while done < messages:
            if not queue:
                waiter = asyncio.get_running_loop().create_future()
                await waiter
            while queue:
                await handle(queue.popleft())

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consume())
        started = time.perf_counter()
        for number in range(messages):
            await publish(SUBJECT, "alice", "t1", BODY)
            if number % TURN == 0:
                await asyncio.sleep(0)
    seconds = time.perf_counter() - started
    return [Figure("floor", "msgspec", done, seconds, "hand-off with two stamps")]
