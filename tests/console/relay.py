"""A relay between a browser and a node that can be cut, or answer for a node that is away.

Rule: what it lets through it leaves as it is; what it says itself is what any proxy in
front of a node says.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

CHUNK_BYTES = 65_536
AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)

State = Literal["through", "cut", "away"]


class Relay:
    """Where the browser connects to; `to` changes what it meets, at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._state: State = "through"
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    def to(self, state: State) -> None:
        """Let everything through, refuse it, or answer 503; open connections end."""
        self._state = state
        for writer in self._writers:
            writer.transport.abort()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection of the browser."""
        self._writers.add(writer)
        try:
            if self._state == "through":
                await self._through(reader, writer)
            elif self._state == "away":
                await reader.readuntil(b"\r\n\r\n")
                writer.write(AWAY)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # one of the two has gone, as it may
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _through(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        near, far = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, far))
                group.create_task(_pump(near, writer))
        finally:
            far.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while octets := await reader.read(CHUNK_BYTES):
            writer.write(octets)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def relay_to(url: str) -> AsyncIterator[Relay]:
    """Run a relay to a node until the block is left."""
    relay = Relay(int(url.rsplit(":", 1)[1]))
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        server.close()
        relay.to("cut")
        await server.wait_closed()
