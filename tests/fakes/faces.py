"""One bus, seen from inside its process or over a line to it: for tests of both.

The bus behind is a `TestBus`, so time moves when the test says so. Its door is the real
one, on loopback; a token is the name of its agent.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

from aiohttp import web

from bus.config import Settings
from bus.config.keeping import StoreSettings
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.errors import UnknownAgentError
from bus.edge.caller import Caller, Presented
from bus.edge.connections import Connections, Ending
from bus.edge.gate import Gate
from bus.edge.http import ws
from bus.edge.http.serving import serve
from bus.edge.session.allowance import Allowance
from bus.remote.client import RemoteBus, connect
from bus.testing import TestBus
from tests.fakes.buses import PartsBus, new_bus

KINDS = ("embedded", "node")
PATIENCE_S = 30.0


class RuledBus(PartsBus):
    """A `PartsBus` with what doors look at beside agents."""

    settings = Settings()

    @property
    def revision(self) -> str:
        """The revision in force."""
        return self.stats().revision

    @property
    def constitution(self) -> str:
        """The constitution's hash."""
        return self.stats().constitution


AnyBus = TestBus | RuledBus


class Names:
    """Lets everybody in whom policy data name: the token is the name."""

    def __init__(self, bus: "AnyBus") -> None:
        self._bus = bus
        self.closed: set[str] = set()

    async def authenticate(self, shown: Presented) -> Caller:
        """Return the caller that a token names."""
        name = shown.bearer or ""
        try:
            principal = self._bus.agent(name)
        except UnknownAgentError:
            raise UnauthenticatedError(f"no token {name!r}") from None
        if name in self.closed:
            raise UnauthenticatedError(f"token {name!r} was revoked")
        return Caller(
            agent=principal.name,
            tenant=principal.tenant,
            roles=principal.roles,
            credential=f"token {name}",
        )


class Door:
    """The WebSocket of a bus; it can be shut and opened again on the same port."""

    def __init__(self, bus: AnyBus, allowance: Allowance | None = None) -> None:
        self.bus = bus
        self.names = Names(bus)
        self.connections = Connections()
        self.allowance = allowance
        self.port = 0
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"ws://127.0.0.1:{self.port}/ws"

    async def open(self) -> None:
        """Serve; the first time on a free port."""
        app = web.Application()

        async def nobody(request: web.Request) -> Caller:
            del request
            raise UnauthenticatedError("show a token in the first frame")

        ws.add_routes(
            app,
            Gate(cast("Any", self.bus)),
            nobody,
            identity=self.names,
            connections=self.connections,
            clock=self.bus.clock,
            allowance=self.allowance,
        )
        self.port = await self._stack.enter_async_context(
            serve(app, "127.0.0.1", self.port)
        )

    async def shut(self) -> None:
        """Hang up on everybody, and serve no more."""
        self.hang_up()
        await self._stack.aclose()

    def hang_up(self) -> None:
        """End every connection; who comes again is let in."""
        self.connections.end(lambda _: True, Ending("going_away", "the door is shut"))


@asynccontextmanager
async def opened(
    bus: AnyBus, allowance: Allowance | None = None
) -> AsyncIterator[Door]:
    """Open a bus's door until the block is left."""
    door = Door(bus, allowance)
    await door.open()
    try:
        yield door
    finally:
        await door.shut()


class Face:
    """A bus as agents see it: `remote` tells over which of both."""

    def __init__(self, bus: AnyBus, door: Door | None) -> None:
        self.bus = bus
        self.door = door
        self._stack = AsyncExitStack()
        self.remotes: dict[str, RemoteBus] = {}

    @property
    def remote(self) -> bool:
        """Whether agents are on the other side of a line."""
        return self.door is not None

    async def agent(self, name: str, **options: Any) -> Any:
        """Return an agent; over a line, with a connection of its own."""
        if self.door is None:
            return self.bus.agent(name)
        if name not in self.remotes:
            made = connect(self.door.url, token=name, **options)
            self.remotes[name] = await self._stack.enter_async_context(made)
        return self.remotes[name].agent(name)

    async def subscribe(
        self, name: str, pattern: str, handler: Callable[..., Any], **options: Any
    ) -> Any:
        """Return a subscription that stands."""
        agent = await self.agent(name)
        subscription = agent.subscribe(pattern, handler, **options)
        await subscription.ready()
        return subscription

    async def rest(self) -> None:
        """Let what is under way go on for a while, without time passing for the bus."""
        for _ in range(10):
            await self.bus.settle()
            if self.remote:
                await asyncio.sleep(0.005)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass for the bus."""
        await self.rest()
        await self.bus.advance(seconds)
        await self.rest()

    async def close(self) -> None:
        """Hang up."""
        await self._stack.aclose()


@asynccontextmanager
async def face(
    kind: str, given: AnyBus | None = None, *, durable: bool = False
) -> AsyncIterator[Face]:
    """Run a bus and show it: `kind` is "embedded" or "node"."""
    sections: dict[str, Any] = {}
    if durable:
        sections["store"] = StoreSettings(kind="memory")
    bus = given or new_bus(None, **sections)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(bus)
        door = await stack.enter_async_context(opened(bus)) if kind == "node" else None
        made = Face(bus, door)
        stack.push_async_callback(made.close)
        yield made


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; fails after a long time."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await _breath()


async def _breath() -> None:
    await asyncio.sleep(0.002)
