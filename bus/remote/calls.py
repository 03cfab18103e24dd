"""What was asked of a node and has not been answered.

Rule: each call ends once. What the node may have carried out is sent again only under a
name by which the node knows it again; otherwise its caller is told that nobody knows.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from bus.core.edgelimits import CLIENT_CALLS_BYTES_MAX, CLIENT_CALLS_MAX
from bus.core.errors import BusError, UnavailableError

UNKNOWN: Final = "the connection was lost; whether it was carried out is not known"
UNSENT: Final = "no node answered in time; it was not sent"


class Call:
    """Something asked of a node. `again` tells that it may be sent twice.

    `bound` is about something on this very line, such as a delivery: no other line has it.
    """

    __slots__ = ("again", "bound", "future", "item", "number", "sent", "tried")

    def __init__(self, number: int, item: bytes, *, again: bool, bound: bool) -> None:
        self.number = number
        self.item = item
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.again = again
        self.bound = bound
        self.sent = False  # on this line
        self.tried = False  # on any


class Calls:
    """Calls by their numbers, in the order they were made in."""

    def __init__(self) -> None:
        self._known: dict[int, Call] = {}
        self._out: deque[Call] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._bytes = 0
        self.allowed = CLIENT_CALLS_MAX

    def __len__(self) -> int:
        return len(self._known)

    @property
    def full(self) -> bool:
        """Whether no call should be added before one has been answered."""
        return len(self._known) >= self.allowed or self._bytes >= CLIENT_CALLS_BYTES_MAX

    def add(self, call: Call, *, first: bool = False) -> None:
        """Take one to be sent, before all others if it is to be `first`."""
        self._known[call.number] = call
        self._bytes += len(call.item)
        if first:
            self._out.appendleft(call)
        else:
            self._out.append(call)

    def take(self, places: int, room: int) -> tuple[list[bytes], int]:
        """Return what may be sent now, in order, and the bytes of `room` that are left."""
        items: list[bytes] = []
        out = self._out
        while out and len(items) < places:
            call = out[0]
            if not call.future.done():
                if len(call.item) > room:
                    break
                room -= len(call.item)
                call.sent = call.tried = True
                items.append(call.item)
            out.popleft()
        return items, room

    def answered(self, number: int, frame: Any) -> None:
        """End a call with its answer. One that nobody waits for is passed over."""
        call = self._known.pop(number, None)
        if call is None:
            return
        self._bytes -= len(call.item)
        if not call.future.done():
            call.future.set_result(frame)
        if self._waiting:
            self._let_in()

    def failed(self, number: int, error: BusError) -> None:
        """End a call with what the node said went wrong."""
        call = self._known.get(number)
        if call is not None:
            self._end(call, error)

    def postpone(self, number: int) -> bool:
        """Send a call anew that the node has not taken; tell whether that can be."""
        call = self._known.get(number)
        if call is None or call.bound:
            return False
        call.sent = call.tried = False
        return True

    def forget(self, number: int) -> None:
        """Do not wait for a call any more; what was not sent will not be."""
        call = self._known.pop(number, None)
        if call is not None:
            self._bytes -= len(call.item)
            call.future.cancel()
            self._let_in()

    def lost(self, *, ours: bool) -> None:
        """End what cannot go on over another line; the rest is sent there, in order.

        With `ours` a frame of ours ended the line: nothing that was in one is sent again.
        """
        left = list(self._known.values())
        for call in left:
            if call.bound or (call.sent and (ours or not call.again)):
                self._end(call, UnavailableError(UNKNOWN if call.sent else UNSENT))
            call.sent = False
        self._out = deque(self._known.values())

    def not_kept(self) -> None:
        """End what was sent before: the node has no store to know it again by."""
        for call in list(self._known.values()):
            if call.tried:
                self._end(call, UnavailableError(UNKNOWN))

    def end_all(self, error: Callable[[bool], BusError]) -> None:
        """End every call; `error` is told whether it was ever sent."""
        for call in list(self._known.values()):
            self._end(call, error(call.tried))
        self._out.clear()
        while self._waiting:
            self._let_in()

    async def room(self) -> None:
        """Wait until a call is answered, in the order of those who wait."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future in self._waiting:
                self._waiting.remove(future)
            else:
                self._let_in()  # it was let in for somebody else, then
            raise

    def _end(self, call: Call, error: BusError) -> None:
        del self._known[call.number]
        self._bytes -= len(call.item)
        if not call.future.done():
            call.future.set_exception(error)
            call.future.exception()  # seen: who asked may be gone without a word
        self._let_in()

    def _let_in(self) -> None:
        if self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
