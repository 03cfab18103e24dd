"""A publisher and a subscriber, each with a connection of its own to one server.

Rule: frames are written before the clock starts and read by the library that the servers
use, so what a client costs is the same whoever answers. A message counts once its outcome
and the message itself have arrived; what was not accepted is a failure.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import aiohttp
import msgspec

from benchmarks.contest import BrokenContestError, Took
from benchmarks.edge_node import SENDER
from benchmarks.edge_servers import Server
from bus.cli.measures.load import COLLECTOR, drawn, subject_name, task
from bus.core.frames import SUBPROTOCOL

BATCH: Final = 64
IN_FLIGHT: Final = 2_048
FRAMES: Final = 16  # written ahead; then from the first one again
CREDIT: Final = 1_000_000
LEFT_S: Final = 60.0  # for what is on its way to arrive
encode: Final = msgspec.msgpack.Encoder().encode


class Told(msgspec.Struct, gc=False):
    """What a client looks at of what it is told."""

    op: str
    status: str = ""


_decode: Final = msgspec.msgpack.Decoder(Told | list[Told]).decode


def publishes(count: int) -> list[bytes]:
    """Return frames of `count` publishes each, of the load's subjects and body."""
    subjects = map(subject_name, drawn(count * FRAMES).subjects)
    items = [
        {"op": "publish", "id": call, "subject": subject, "body": task()}
        for call, subject in enumerate(subjects, 1)
    ]
    return [
        encode(items[start : start + count] if count > 1 else items[start])
        for start in range(0, len(items), count)
    ]


def heard(frame: bytes) -> Sequence[Told]:
    """Return what a frame tells."""
    told = _decode(frame)
    return told if isinstance(told, list) else [told]


class Pair:
    """A publisher and a subscriber of one server. `name` is what it is called."""

    def __init__(
        self,
        name: str,
        publisher: aiohttp.ClientWebSocketResponse,
        subscriber: aiohttp.ClientWebSocketResponse,
        accepted: str,
        batch: int,
    ) -> None:
        self.name = name
        self._batch = batch
        self._publisher = publisher
        self._subscriber = subscriber
        self._accepted = accepted  # what the publisher is told of each
        self._credit = CREDIT
        self._received = 0
        self._answered = 0
        self._failures = 0
        self._moved = asyncio.Event()

    async def together(self, messages: int) -> Took:
        """Publish in batches, `IN_FLIGHT` on their way; until the last has arrived."""
        each = self._batch
        return await self._timed(publishes(each), each, -(-messages // each))

    async def alone(self, messages: int) -> Took:
        """Publish one after the other, each once the one before has arrived."""
        frames = itertools.cycle(publishes(1))
        start = time.perf_counter()
        for frame in itertools.islice(frames, messages):
            await self._one(frame)
        return Took(messages, time.perf_counter() - start, self._taken())

    async def times_us(self, messages: int) -> tuple[list[float], int]:
        """Return how long each of some messages takes to its subscriber; and failures."""
        frames, found = itertools.cycle(publishes(1)), []
        for frame in itertools.islice(frames, messages):
            start = time.perf_counter()
            arrived = await self._one(frame)
            found.append((arrived - start) * 1e6)
        return found, self._taken()

    async def kept(self) -> int:
        """Return how many messages the subscriber has received."""
        return self._received

    async def empty(self) -> None:
        """Leave it: nothing is kept."""

    async def _one(self, frame: bytes) -> float:
        """Publish one message; return when it arrived, with its outcome known."""
        await self._publisher.send_bytes(frame)
        self._take_messages(await self._subscriber.receive_bytes(timeout=LEFT_S))
        arrived = time.perf_counter()
        self._take_outcomes(await self._publisher.receive_bytes(timeout=LEFT_S))
        await self._grant()
        return arrived

    async def _timed(self, frames: list[bytes], each: int, turns: int) -> Took:
        total = turns * each
        goal = self._received + total
        self._answered = 0
        start = time.perf_counter()
        async with asyncio.timeout(LEFT_S + total), asyncio.TaskGroup() as group:
            group.create_task(self._outcomes(total))
            group.create_task(self._messages(goal))
            sent, first = 0, self._received
            for frame in itertools.islice(itertools.cycle(frames), turns):
                while (
                    sent - min(self._answered, self._received - first)
                    > IN_FLIGHT - each
                ):
                    self._moved.clear()
                    await self._moved.wait()
                await self._publisher.send_bytes(frame)
                sent += each
        return Took(total, time.perf_counter() - start, self._taken())

    async def _outcomes(self, total: int) -> None:
        while self._answered < total:
            self._take_outcomes(await self._publisher.receive_bytes(timeout=LEFT_S))
            self._moved.set()

    async def _messages(self, goal: int) -> None:
        while self._received < goal:
            self._take_messages(await self._subscriber.receive_bytes(timeout=LEFT_S))
            await self._grant()
            self._moved.set()

    def _take_outcomes(self, frame: bytes) -> None:
        told = heard(frame)
        self._answered += len(told)
        self._failures += sum(one.status != self._accepted for one in told)

    def _take_messages(self, frame: bytes) -> None:
        count = len(heard(frame))
        self._received += count
        self._credit -= count

    def _taken(self) -> int:
        failures, self._failures = self._failures, 0
        return failures

    async def _grant(self) -> None:
        if self._accepted and self._credit < CREDIT // 2:
            more = {"op": "credit", "sid": 1, "n": CREDIT - self._credit}
            self._credit = CREDIT
            await self._subscriber.send_bytes(encode(more))


@asynccontextmanager
async def pair(
    server: Server, path: str = "/ws", batch: int = BATCH
) -> AsyncIterator[Pair]:
    """Connect both to a server until the block is left; `batch` go in one frame."""
    speaks = path == "/ws"
    async with AsyncExitStack() as stack:
        publisher, subscriber = [
            await stack.enter_async_context(socket(server, path)) for _ in range(2)
        ]
        if speaks:
            await greet(publisher, server, SENDER)
            await greet(subscriber, server, COLLECTOR, subscription(">", CREDIT))
        name = server.name if speaks else f"{server.name}, frames as they are"
        yield Pair(name, publisher, subscriber, "accepted" if speaks else "", batch)


@asynccontextmanager
async def socket(
    server: Server, path: str = "/ws", client: aiohttp.ClientSession | None = None
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Open a WebSocket until the block is left."""
    async with AsyncExitStack() as stack:
        session = client
        if session is None:
            session = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"http://127.0.0.1:{server.port}{path}"
        yield await stack.enter_async_context(
            session.ws_connect(url, protocols=(SUBPROTOCOL,), max_msg_size=0)
        )


def subscription(pattern: str, credit: int) -> dict[str, object]:
    """Return what asks for a subscription that a publisher does not wait for."""
    told = {"op": "subscribe", "id": 1, "sid": 1, "pattern": pattern}
    return {**told, "credit": credit, "durable": False}


async def greet(
    line: aiohttp.ClientWebSocketResponse,
    server: Server,
    agent: str,
    ask: dict[str, object] | None = None,
) -> None:
    """Be let in, and wait until what is asked is answered; a ping if nothing is.

    Raises:
        BrokenContestError: it was refused.
    """
    token = server.tokens.get(agent)
    connect = {"op": "connect"} | ({} if token is None else {"token": token})
    await line.send_bytes(encode([connect, ask or {"op": "ping", "id": 1}]))
    while True:
        for told in heard(await line.receive_bytes(timeout=LEFT_S)):
            if told.op in {"subscribed", "pong"}:
                return
            if told.op == "error":
                raise BrokenContestError(f"{server.name} does not let {agent} in")
