"""The line to a node, kept: read, written, and looked for anew when it is lost.

Rule: whoever asks is answered, told that nobody knows, or told that there is no node; a
link that ends for good says why.
"""

import asyncio
import enum
import itertools
import logging
from collections import deque
from typing import Any, Final

from bus.core import serverframes as told
from bus.core.edgelimits import (
    CLIENT_CALLS_MAX,
    CLIENT_RETRY_MS,
    CLIENT_RETRY_MS_MAX,
    FRAME_ITEMS_MAX,
)
from bus.core.errors import (
    BusError,
    BusNotStartedError,
    MalformedMessageError,
    UnavailableError,
)
from bus.core.recovering import Policy, delay_ms
from bus.ports import Timer
from bus.remote.calls import UNKNOWN, UNSENT, Call, Calls
from bus.remote.line import Line, Over
from bus.remote.parts import Party, Ways
from bus.remote.pump import Pump
from bus.remote.reading import error_of
from bus.remote.writing import ITEM_BYTES_MAX

_log: Final = logging.getLogger("assent.remote")
_RETRY: Final = Policy(initial_ms=CLIENT_RETRY_MS, max_ms=CLIENT_RETRY_MS_MAX)
_OURS: Final = frozenset({1002, 1003, 1007, 1009, 4400, 4413})
"""Close codes that blame a frame of ours."""
_RESERVED: Final = 128  # places of a frame for what was settled


class Phase(enum.Enum):
    """Where a link stands."""

    NEW = "new"
    OPEN = "open"
    AWAY = "away"  # the line is lost, and another is looked for
    CLOSED = "closed"


class Link:
    """One agent's connection, over as many lines as it takes."""

    def __init__(self, ways: Ways, party: Party) -> None:
        self._ways = ways
        self._party = party
        self._urgent: deque[bytes] = deque()
        self._pump: Pump | None = None
        self._line: Line | None = None
        self._timer: Timer | None = None
        self._blamed: BusError | None = None  # what the node said before it closed
        self.draining = False
        self.calls = Calls()
        self.next = itertools.count(1).__next__
        self.phase = Phase.NEW
        self.impatient = False
        self.failure: BusError | None = None
        self.connected: told.Connected | None = None
        self.lines = 0  # how many there were, this one included

    @property
    def busy(self) -> bool:
        """Whether anything was asked and not answered, or settled and not told."""
        return bool(self.calls or self._urgent) and self.phase is Phase.OPEN

    def require_open(self) -> None:
        """Raise unless something may be asked.

        Raises:
            BusNotStartedError: not connected yet, or not any more; the text says why.
            UnavailableError: the node has been away for too long.
        """
        if self.phase is Phase.OPEN:
            return
        if self.phase is Phase.NEW:
            raise BusNotStartedError("not connected: use 'async with bus.connect(...)'")
        if self.failure is not None:
            raise BusNotStartedError(f"the connection has ended: {self.failure}")
        if self.phase is Phase.CLOSED:
            raise BusNotStartedError("the connection was closed")
        if self.impatient:
            raise UnavailableError(UNSENT)

    async def open(self) -> Line:
        """Open the first line. Raises what `Ways.dial` raises."""
        line, connected = await self._ways.dial(None)
        self._opened(line, connected)
        return line

    async def run(self, line: Line) -> None:
        """Serve a line, and those after it, until the link is closed."""
        while True:
            pump = self._pump = Pump(line, self._take, self._batch)
            over = await pump.run()
            if self.phase is Phase.CLOSED:
                return
            if pump.fault is not None:
                self.failure = MalformedMessageError(f"the node's frame: {pump.fault}")
            self._lost(over)
            found = await self._look()
            if found is None:
                return
            line = found

    async def close(self) -> None:
        """Say good-bye; whoever still waits for an answer is told."""
        self.phase = Phase.CLOSED
        self._quiet()
        if self._line is not None:
            await self._line.close(1000, "")
        self.calls.end_all(lambda _: BusNotStartedError("the connection was closed"))

    def call(
        self,
        number: int,
        item: bytes,
        *,
        again: bool = False,
        bound: bool = False,
        first: bool = False,
    ) -> "asyncio.Future[Any]":
        """Send an encoded call; the future has its answer, a frame, or raises."""
        call = Call(number, item, again=again, bound=bound)
        self.calls.add(call, first=first)
        self.touch()
        return call.future

    async def ask(
        self, number: int, item: bytes, *, again: bool = False, bound: bool = False
    ) -> Any:
        """Send a call and wait for its answer; cancelled it is forgotten."""
        future = self.call(number, item, again=again, bound=bound)
        try:
            return await future
        except asyncio.CancelledError:
            self.calls.forget(number)
            raise

    def touch(self) -> None:
        """Be told that there is something to send."""
        if self._pump is not None:
            self._pump.touch()

    async def room(self) -> None:
        """Wait until a call may be added; raises as `require_open`."""
        while self.calls.full:
            self.require_open()
            await self.calls.room()
        self.require_open()

    def _batch(self) -> list[bytes]:
        """Take what goes into one frame: calls in order, then what was settled."""
        urgent = self._urgent
        urgent.extend(self._party.settled())
        places = FRAME_ITEMS_MAX - min(len(urgent), _RESERVED)
        items, room = self.calls.take(places, ITEM_BYTES_MAX)
        while urgent and len(items) < FRAME_ITEMS_MAX and len(urgent[0]) <= room:
            room -= len(urgent[0])
            items.append(urgent.popleft())
        return items

    def _take(self, frame: Any) -> None:
        kind = type(frame)
        if kind is told.Message:
            self._party.arrived(frame)
        elif kind is told.Error:
            self._refused(frame)
        elif kind is told.Ended:
            self._party.ended(frame)
        elif kind is told.Missed:
            self._party.missed(frame)
        elif kind is told.Draining:
            self.draining = True
        elif kind is not told.Connected:
            self.calls.answered(frame.id, frame)

    def _refused(self, frame: told.Error) -> None:
        if frame.id is not None:
            # A node that drains has not taken it: the next line has it.
            closing = self.draining and frame.code == BusNotStartedError.code
            if not (closing and self.calls.postpone(frame.id)):
                self.calls.failed(frame.id, error_of(frame))
        elif frame.sid is not None:
            self._party.stale(frame)
        else:
            self._blamed = error_of(frame)

    def _opened(self, line: Line, connected: told.Connected) -> None:
        self._line, self.connected = line, connected
        self.lines += 1
        self.phase, self.impatient, self.draining = Phase.OPEN, False, False
        self._blamed = None
        self.calls.allowed = min(CLIENT_CALLS_MAX, connected.limits.publishes_in_flight)
        self._quiet()
        if self.lines > 1:
            if not connected.durable:
                self.calls.not_kept()
            self._party.back()

    def _lost(self, over: Over) -> None:
        self._line = None
        self.phase = Phase.AWAY
        self._urgent.clear()
        self._party.gone()
        said = self._blamed or over.reason or "no reason given"
        _log.warning("the line to the node is lost (%d): %s", over.code, said)
        self.calls.lost(ours=over.code in _OURS)
        self._timer = self._ways.clock.call_after(self._ways.patience_s, self._give_up)

    def _give_up(self) -> None:
        """End what waits for a node; it is looked for all the same."""
        self.impatient = True
        self.calls.end_all(lambda tried: UnavailableError(UNKNOWN if tried else UNSENT))

    async def _look(self) -> Line | None:
        """Return another line, or None where no other can be had."""
        session = "" if self.connected is None else self.connected.session
        attempt = 0
        while self.failure is None:
            attempt += 1
            await self._pause(delay_ms(_RETRY, attempt, self._ways.draw()) / 1000)
            try:
                line, connected = await self._ways.dial(session)
            except UnavailableError as error:
                _log.info("attempt %d to reach the node: %s", attempt, error)
                continue
            except BusError as error:
                self.failure = error
                break
            self._opened(line, connected)
            return line
        self._fail()
        return None

    def _fail(self) -> None:
        """End for good: another line would be refused as well."""
        failure = self.failure or UnavailableError("no node")
        _log.error("the connection has ended: %s", failure)
        self.phase = Phase.CLOSED
        self._quiet()
        self._party.failed(failure)
        self.calls.end_all(
            lambda tried: UnavailableError(
                f"{UNKNOWN if tried else UNSENT}: the connection has ended: {failure}"
            )
        )

    async def _pause(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        timer = self._ways.clock.call_after(
            seconds, lambda: None if future.done() else future.set_result(None)
        )
        try:
            await future
        finally:
            timer.cancel()

    def _quiet(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
