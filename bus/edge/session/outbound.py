"""What is to be sent on one connection: collected, and written once a loop turn.

Rule: frames go out in the order they came in. What waits is bounded by whoever adds:
deliveries and reading stop while it is `full`, so a client that does not read is sent
nothing more, and nobody else waits for it.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

from bus.core import frames, serverframes as server
from bus.core.edgelimits import (
    FRAME_ITEMS_MAX,
    WS_BATCH_BYTES,
    WS_FRAME_BYTES,
    WS_NOW_BYTES,
)
from bus.core.frame import Frame
from bus.core.frames import Kind


class Line(Protocol):
    """What carries frames to the client."""

    async def send(self, data: bytes, *, binary: bool) -> None:
        """Return once it is taken to be sent; raise `ConnectionError` if nobody is there."""

    def send_now(self, data: bytes, *, binary: bool) -> bool:
        """Send without waiting; False, and nothing was sent, where that cannot be."""


class Outbound:
    """The frames of one connection that were not written yet."""

    __slots__ = (
        "_bytes",
        "_bytes_max",
        "_idle",
        "_items",
        "_now_ns",
        "_shut",
        "kind",
        "line",
        "relieved",
        "rooms",
        "since_ns",
    )

    def __init__(self, line: Line, bytes_max: int, now_ns: Callable[[], int]) -> None:
        self.kind: Kind = frames.TEXT
        self.line = line
        self.relieved: Callable[[], None] = _nobody
        self.rooms: list[asyncio.Future[None]] = []
        self.since_ns = 0  # when the write that is not over yet began
        self._bytes_max = bytes_max
        self._now_ns = now_ns
        self._items: list[Frame] = []
        self._bytes = 0
        self._idle: asyncio.Future[None] | None = None
        self._shut = False

    @property
    def full(self) -> bool:
        """Whether nothing more should be added: what waits must be written first."""
        return self._bytes >= self._bytes_max

    def add(self, frame: Frame, body_bytes: int = 0) -> None:
        """Have a frame sent; what comes after `shut` is dropped."""
        if self._shut:
            return
        self._items.append(frame)
        self._bytes += WS_FRAME_BYTES + body_bytes
        if self._idle is not None:
            self._wake()

    def flush(self) -> None:
        """Send what is there at once, rather than in the next turn of the loop."""
        size, items = self._bytes, self._items
        if self.since_ns or size > WS_NOW_BYTES or len(items) > FRAME_ITEMS_MAX:
            return  # `write` is at it, or has more than one frame's worth
        kind = self.kind
        if items and self.line.send_now(frames.encode(kind, items), binary=kind.binary):
            items.clear()
            self._written(size)

    async def room(self) -> None:
        """Wait until it is not full."""
        while self.full and not self._shut:
            future = asyncio.get_running_loop().create_future()
            self.rooms.append(future)
            await future

    def shut(self, *, drop: bool = False) -> None:
        """Take nothing more; `write` returns once the rest is written, or dropped."""
        self._shut = True
        if drop:
            self._items.clear()
        self._wake()
        self._relieve()

    async def write(self) -> None:
        """Write what is there until `shut`; raises what `Line.send` raises."""
        line, now_ns = self.line, self._now_ns
        while True:
            while not self._items:
                if self._shut:
                    return
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle
            items, self._items = self._items, []
            size = self._bytes
            kind = self.kind
            for batch in _batches(items, size):
                self.since_ns = now_ns()
                await line.send(frames.encode(kind, batch), binary=kind.binary)
            self.since_ns = 0
            self._written(size)

    def _written(self, size: int) -> None:
        """Count out what was written, and let go on who waited for that."""
        full = self.full  # also by what came while it was written
        self._bytes -= size
        if full:
            self._relieve()

    def _wake(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None and not idle.done():
            idle.set_result(None)

    def _relieve(self) -> None:
        waiting, self.rooms = self.rooms, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        self.relieved()


def _batches(items: list[Frame], size: int) -> Iterator[list[Frame]]:
    """Yield the items in order, so many at once as one WebSocket frame should carry."""
    if len(items) <= FRAME_ITEMS_MAX and size <= WS_BATCH_BYTES:
        yield items
        return
    batch: list[Frame] = []
    size = 0
    for item in items:
        more = WS_FRAME_BYTES + _body_bytes(item)
        if batch and (len(batch) == FRAME_ITEMS_MAX or size + more > WS_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += more
    yield batch


def _body_bytes(item: Frame) -> int:
    if isinstance(item, server.Message | server.Answer):
        return len(bytes(item.body))
    return 0


def _nobody() -> None:
    """Nobody waits for room."""
