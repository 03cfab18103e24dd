"""Lines without a socket: what a client of a test sends, and what it was sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bus.app import Bus
from bus.core import frames
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.frames import Kind
from bus.edge.caller import Caller
from bus.edge.connections import Connections
from bus.edge.gate import Gate
from bus.edge.session.allowance import Allowance
from bus.edge.session.house import House
from bus.edge.session.session import Session
from bus.ports import Clock

TENANTS = {"spy": "globex"}


class FakeLine:
    """A client at the other end of a session.

    While `blocked` nothing that the session sends is taken, as by a client that does not
    read.
    """

    def __init__(self, kind: Kind = frames.TEXT) -> None:
        self.kind = kind
        self.sent: list[list[dict[str, Any]]] = []
        self.raw: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False
        self._coming: asyncio.Queue[tuple[bytes, bool] | None] = asyncio.Queue()
        self._looked = 0

    # As the session sees it.

    async def receive(self) -> tuple[bytes, bool] | None:
        """Return what the client sent next."""
        return await self._coming.get()

    async def send(self, data: bytes, *, binary: bool) -> None:
        """Take a frame, once the client reads."""
        await self.open.wait()
        if self.broken:
            raise ConnectionResetError("the line is broken")
        self._keep(data, binary=binary)

    def send_now(self, data: bytes, *, binary: bool) -> bool:
        """Take a frame if the client reads."""
        if self.broken or not self.open.is_set():
            return False
        self._keep(data, binary=binary)
        return True

    async def close(self, code: int, reason: str) -> None:
        """Note why."""
        self.closed = (code, reason)

    def _keep(self, data: bytes, *, binary: bool) -> None:
        decode = msgspec.msgpack.decode if binary else msgspec.json.decode
        found = decode(data)
        self.raw.append(data)
        self.sent.append(found if isinstance(found, list) else [found])

    # As the test sees it.

    def say(self, *items: dict[str, Any]) -> None:
        """Send one frame with these objects."""
        encode = msgspec.msgpack.encode if self.kind.binary else msgspec.json.encode
        self.say_raw(encode(items[0] if len(items) == 1 else list(items)))

    def say_raw(self, data: bytes, *, binary: bool | None = None) -> None:
        """Send one frame of these bytes."""
        self._coming.put_nowait((data, self.kind.binary if binary is None else binary))

    def leave(self) -> None:
        """Be gone."""
        self._coming.put_nowait(None)

    @property
    def got(self) -> list[dict[str, Any]]:
        """Everything that was sent, in order."""
        return [item for frame in self.sent for item in frame]

    @property
    def over(self) -> int:
        """The code it was closed with, or 0."""
        return 0 if self.closed is None else self.closed[0]

    def news(self) -> list[dict[str, Any]]:
        """Return what was sent since this was asked last."""
        found = self.got[self._looked :]
        self._looked += len(found)
        return found

    def ops(self, op: str) -> list[dict[str, Any]]:
        """Return what was sent of one kind."""
        return [item for item in self.got if item["op"] == op]


class Bench:
    """A house of sessions over a bus: any agent's name is its token."""

    def __init__(
        self, bus: Bus, clock: Clock, allowance: Allowance | None = None
    ) -> None:
        self.connections = Connections()
        gate = Gate(bus)
        self.house = House(
            gate, self.connections, clock, allowance or Allowance(), "test"
        )
        self.sessions: list[Session] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._group = asyncio.TaskGroup()

    async def admit(self, token: str | None) -> Caller:
        """Return the caller whose token it is."""
        if token is None or token.startswith("wrong"):
            raise UnauthenticatedError("the credential is not valid")
        tenant = TENANTS.get(token, "acme")
        return Caller(agent=token, tenant=tenant, roles=("all",), credential=token)

    def line(self, agent: str = "", *, kind: Kind = frames.TEXT) -> FakeLine:
        """Return a client's line, connected as an agent if one is named."""
        line = FakeLine(kind)
        session = Session(self.house, line, self.admit)
        self.sessions.append(session)
        self.tasks.append(self._group.create_task(session.run()))
        if agent:
            line.say({"op": "connect", "token": agent})
        return line

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Bench"]:
        """Run the sessions; those that are left at the end are cancelled."""
        async with self._group:
            try:
                yield self
            finally:
                for task in self.tasks:
                    task.cancel()
