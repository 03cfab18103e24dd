"""Many connections to one node: what an idle one weighs, and how even active ones fare."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
import msgspec

from benchmarks.edge_line import CREDIT, encode, greet, heard, socket, subscription
from benchmarks.edge_node import SENDER
from benchmarks.edge_servers import Server
from bus.cli.measures.load import task

WARM: Final = 64  # connections that are there before the node is weighed
AT_ONCE: Final = 64
SETTLE_S: Final = 2.0
EACH: Final = 2  # messages that an active connection has on their way
LEFT_S: Final = 60.0


class Fair(msgspec.Struct, frozen=True):
    """What active connections received in the same time."""

    most: int
    least: int
    per_second: float
    failures: int


async def idle_bytes(server: Server, count: int) -> float:
    """Return what one of `count` connections that are let in and silent adds to a server."""
    async with AsyncExitStack() as stack:
        await _enter(stack, server, WARM)
        await asyncio.sleep(SETTLE_S)
        before = server.rss_bytes()
        await _enter(stack, server, count)
        await asyncio.sleep(SETTLE_S)
        return (server.rss_bytes() - before) / count


async def fair(server: Server, count: int, seconds: float) -> Fair:
    """Have connections publish, each to itself, as fast as it receives."""
    async with AsyncExitStack() as stack:
        lines = await _enter(stack, server, count, subscribes=True)
        works = [_Active(line, number) for number, line in enumerate(lines)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work.run()) for work in works]
            await asyncio.sleep(seconds / 4)  # until all are at it
            before = [work.received for work in works]
            start = time.perf_counter()
            await asyncio.sleep(seconds)
            took = time.perf_counter() - start
            counts = [
                work.received - was for work, was in zip(works, before, strict=True)
            ]
            for work in works:
                work.stop = True
            await asyncio.wait(tasks, timeout=LEFT_S)
        failures = sum(work.failures for work in works)
        return Fair(max(counts), min(counts), sum(counts) / took, failures)


class _Active:
    """One connection at work; it ends once what it sent has come back."""

    def __init__(self, line: aiohttp.ClientWebSocketResponse, number: int) -> None:
        self._line = line
        item = {"op": "publish", "subject": f"0.fair.{number}", "body": task()}
        self._frame = encode([{**item, "id": call} for call in range(1, EACH + 1)])
        self.received = 0
        self.failures = 0
        self.stop = False

    async def run(self) -> None:
        while not self.stop:
            await self._line.send_bytes(self._frame)
            messages = outcomes = 0
            while messages < EACH or outcomes < EACH:
                for told in heard(await self._line.receive_bytes(timeout=LEFT_S)):
                    if told.op == "message":
                        messages += 1
                    else:
                        outcomes += 1
                        self.failures += told.status != "accepted"
            self.received += messages


async def _enter(
    stack: AsyncExitStack, server: Server, count: int, *, subscribes: bool = False
) -> list[aiohttp.ClientWebSocketResponse]:
    """Open connections side by side, and have each let in; the stack closes them."""
    session = await stack.enter_async_context(
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    )
    places = asyncio.Semaphore(AT_ONCE)
    own = [AsyncExitStack() for _ in range(count)]
    stack.push_async_callback(_close, own)

    async def enter(number: int) -> aiohttp.ClientWebSocketResponse:
        async with places:
            opening = socket(server, client=session)
            line = await own[number].enter_async_context(opening)
            pattern = f"0.fair.{number}"
            ask = subscription(pattern, CREDIT) if subscribes else None
            await greet(line, server, SENDER, ask)
            return line

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(enter(number)) for number in range(count)]
    return [task.result() for task in tasks]


async def _close(stacks: list[AsyncExitStack]) -> None:
    """Close them side by side."""
    async with asyncio.TaskGroup() as group:
        for stack in stacks:
            group.create_task(stack.aclose())
