"""How much of everything `python -m benchmarks.edge` asks, and how its servers are entered."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import msgspec

from benchmarks.durable_table import Table
from benchmarks.edge_servers import Server
from bus.cli.loops import ASYNCIO


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much a round asks, on which loop, and whether targets are judged."""

    rounds: int
    messages: int
    idle: int
    active: int
    hooks: int
    fair_s: float
    minutes: float
    loop: str = ASYNCIO
    judged: bool = True

    @property
    def said(self) -> str:
        """What a row says of the loop."""
        return "" if self.loop == ASYNCIO else f", {self.loop}"


Enter = Callable[[AbstractAsyncContextManager[Server]], Awaitable[Server]]


@asynccontextmanager
async def counted(table: Table) -> AsyncIterator[tuple[AsyncExitStack, Enter]]:
    """Give a stack, and what enters servers on it; what they lost is a failure."""
    servers: list[Server] = []
    async with AsyncExitStack() as stack:

        async def enter(starting: AbstractAsyncContextManager[Server]) -> Server:
            server = await stack.enter_async_context(starting)
            servers.append(server)
            return server

        yield stack, enter
    table.failures += sum(server.failures for server in servers)
