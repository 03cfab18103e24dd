"""One connection from its first frame to its end.

Rule: a frame that breaks the protocol ends the connection, and nothing of it is done.
Ending gives everything back: subscriptions end, what is in flight is free for others at
once, and what was published before the client left is carried out within a stated time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, Final, Protocol

from bus.agent import Agent
from bus.core import clientframes as client, frames, serverframes as server
from bus.core.edgelimits import WS_CHECK_S, WS_CLOSE_S, WS_LINGER_S
from bus.core.errors import (
    BusError,
    LimitExceededError,
    MalformedMessageError,
    ProtocolError,
    UnavailableError,
)
from bus.edge.caller import Caller
from bus.edge.connections import Ending, Place
from bus.edge.session import house as ends, outbound
from bus.edge.session.desk import Desk
from bus.edge.session.house import Admit, End, House
from bus.edge.session.outbound import Outbound
from bus.edge.session.states import TAKEN, Event, State, advance
from bus.edge.session.work import Work
from bus.ports import Timer

_log: Final = logging.getLogger("assent.session")
_NS_PER_S: Final = 1_000_000_000


class Line(outbound.Line, Protocol):
    """What carries frames to and from the client."""

    async def receive(self) -> tuple[bytes, bool] | None:
        """Return the next frame and whether it is binary; None once the client has gone."""

    async def close(self, code: int, reason: str) -> None:
        """Close; what was not sent may be lost. Never raises, and does not take long."""


class Session:
    """A client's connection. `run` lives as long as it does."""

    def __init__(self, house: House, line: Line, admit: Admit) -> None:
        self._house = house
        self._line = line
        self._admit = admit
        self.state = State.AWAITED
        allowance, now_ns = house.allowance, house.clock.now_ns
        self._outbound = Outbound(line, allowance.outbound_bytes, now_ns)
        self._desk = Desk(self._outbound, house.clock, allowance.in_flight)
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup
        self._over: asyncio.Future[End]
        self._gone = asyncio.Event()
        self._timer: Timer | None = None
        self._name = ""
        self._caller: Caller
        self._place: Place | None = None
        self._work: Work | None = None
        self._revision = ""

    async def run(self) -> None:
        """Serve the client until it leaves or is sent away; nothing is left behind."""
        self._over = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            self._group = group
            reader = group.create_task(self._guarded(self._read()))
            writer = group.create_task(self._guarded(self._outbound.write()))
            end = ends.GOES
            try:
                end = await asyncio.shield(self._over)
            finally:
                self._finish(end)  # also where this task was cancelled
                reader.cancel()
                await self._give_back(end)
                await self._close(end, writer)

    # What the node asks for (`bus.edge.connections.Connection`), and others.

    def draining(self, seconds: float) -> None:
        """Tell the client that the node stops."""
        self.state = advance(self.state, Event.DRAIN)
        if self._work is not None:
            self._work.draining = True
        self._outbound.add(server.Draining(seconds))

    def end(self, ending: Ending) -> None:
        """End it."""
        going = ending.code == "going_away"
        code = ends.CODES[ending.code]
        self._finish(End(code, ending.code, ending.text, lingers=going))

    def is_of(self, caller: Caller) -> bool:
        """Tell whether it is the caller's own."""
        mine = self._caller
        return (mine.agent, mine.tenant) == (caller.agent, caller.tenant)

    async def yield_place(self) -> None:
        """End it; return once all that it had is given back."""
        self._finish(ends.RESUMED)
        await self._gone.wait()

    # Its life.

    def _finish(self, end: End) -> None:
        """Begin to end; the first reason counts."""
        self.state = advance(self.state, Event.LOSE if end.lost else Event.END)
        if not self._over.done():
            self._over.set_result(end)

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = self._group.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a part; what it raises ends the connection, and nothing else."""
        try:
            await work
        except ConnectionError:
            self._finish(ends.LOST)
        except Exception:  # noqa: BLE001 - logged, and it ends this connection only
            _log.exception("a session of %s failed", self._name or "nobody yet")
            self._finish(ends.BROKEN)

    async def _give_back(self, end: End) -> None:
        """Let go of all that the connection had; what it published is carried out."""
        if self._timer is not None:
            self._timer.cancel()
        work = self._work
        lane = None if work is None else work.lane
        for task in self._tasks - {lane}:
            task.cancel()
        if self._place is not None:
            self._house.connections.leave(self._place)
            self._house.leave(self._name)
        if work is not None:
            await work.give_back()
        self._gone.set()
        if work is not None and lane is not None:
            if end.lingers:
                await _within(WS_LINGER_S, work.publishing.settled())
            lane.cancel()

    async def _close(self, end: End, writer: "asyncio.Task[None]") -> None:
        """Say why, and close."""
        if end.kind:
            self._outbound.add(server.Error(end.kind, end.text))
        if not end.lost:
            self._outbound.shut(drop=end is ends.SLOW)
            await _within(WS_CLOSE_S, asyncio.shield(writer))
        writer.cancel()
        await self._line.close(end.code, end.text)
        self.state = advance(self.state, Event.GONE)

    def _check(self) -> None:
        """Look, each second, who reads, what the bus has ended, and who may stay."""
        clock = self._house.clock
        self._timer = clock.call_after(WS_CHECK_S, self._check)
        since_ns = self._outbound.since_ns
        waited_s = (clock.now_ns() - since_ns) / _NS_PER_S
        if since_ns and waited_s > self._house.allowance.slow_s:
            self._finish(ends.SLOW)
            return
        if self._work is not None:
            self._work.subscribing.look()
        revision = self._house.gate.bus.revision
        if revision != self._revision:
            self._revision = revision
            asked = self._start(self._ask_again())
            del asked  # the session keeps it

    async def _ask_again(self) -> None:
        """Ask under a new policy whether the agent may be connected."""
        try:
            await self._house.gate.agent(self._caller).connected()
        except UnavailableError:
            self._revision = ""  # it is asked about once more
        except BusError as error:
            self._refuse(error)

    # Reading.

    async def _read(self) -> None:
        """Take what the client sends, until it leaves or breaks the protocol."""
        try:
            async with asyncio.timeout(self._house.allowance.connect_s):
                rest = await self._first()
            if self._work is not None:
                self._work.carry_out(rest)
                await self._follow(self._work)
            self._finish(ends.LOST)
        except TimeoutError:
            late = ProtocolError("no connect frame came in time")
            self._refuse(late)
        except BusError as error:
            self._refuse(error)

    async def _first(self) -> list[client.FromClient]:
        """Let the client in; return what came with its first frame."""
        got = await self._line.receive()
        if got is None:
            return []
        self._outbound.kind = frames.BINARY if got[1] else frames.TEXT
        first, *rest = self._items(*got)
        if not isinstance(first, client.Connect):
            raise MalformedMessageError("the first frame is connect")
        if client.Connect in map(type, rest):
            raise MalformedMessageError("a connection connects once")
        caller = await self._admit(first.token)
        agent = self._house.gate.agent(caller)
        await agent.connected()
        await self._house.resume(first.resume, caller)
        self._enter(caller, agent)
        return rest

    def _enter(self, caller: Caller, agent: Agent) -> None:
        """Make the connection the agent's."""
        house, allowance = self._house, self._house.allowance
        self._place = house.connections.enter(caller, self)
        self._caller = caller
        self._name = house.enter(self)
        self.state = advance(self.state, Event.CONNECT)
        durable = house.gate.bus.settings.store.kind != "direct"
        self._work = Work(self._desk, agent, allowance, self._start, durable=durable)
        self._revision = house.gate.bus.revision
        self._timer = house.clock.call_after(WS_CHECK_S, self._check)
        connected = server.Connected(
            self._name,
            agent.name,
            agent.tenant,
            agent.roles,
            house.version,
            house.gate.bus.revision,
            house.gate.bus.constitution,
            durable,
            allowance.told(),
        )
        self._outbound.add(connected)

    async def _follow(self, work: Work) -> None:
        receive, out, publishing = self._line.receive, self._outbound, work.publishing
        while True:
            if out.full or publishing.much:
                await work.room()
            got = await receive()
            if got is None:
                return
            work.carry_out(self._items(*got))

    def _items(self, data: bytes, binary: bool) -> list[client.FromClient]:  # noqa: FBT001 - as the line gives it
        """Return the objects of a frame that may be sent now; raises `ProtocolError`."""
        kind, allowance = self._outbound.kind, self._house.allowance
        if binary is not kind.binary:
            raise WrongKindError("text and binary frames are not mixed")
        if len(data) > allowance.frame_bytes:
            raise LimitExceededError(
                "frame bytes", actual=len(data), allowed=allowance.frame_bytes
            )
        items = frames.from_client(kind, data)
        if len(items) > allowance.frame_items:
            raise MalformedMessageError(
                f"{len(items)} objects in a frame; {allowance.frame_items} at most"
            )
        awaited = self.state is State.AWAITED  # then the first one is looked at
        if not (awaited or TAKEN[self.state].issuperset(map(type, items))):
            raise MalformedMessageError("a connection connects once")
        return items

    def _refuse(self, error: BusError) -> None:
        """Send the client away for what it did, or for who it is."""
        code = ends.CODES.get(error.code)
        if code is None:
            code = ends.PROTOCOL if isinstance(error, ProtocolError) else ends.LATER
        if isinstance(error, WrongKindError):
            code = ends.KIND
        self._finish(End(code, error.code, str(error), lingers=True))


class WrongKindError(ProtocolError):
    """A text frame on a connection of binary ones, or the other way round."""

    code = "wrong_kind"


async def _within(seconds: float, work: Awaitable[object]) -> None:
    """Wait for something, but no longer than so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        _log.warning("the end of a connection was cut short after %g s", seconds)
