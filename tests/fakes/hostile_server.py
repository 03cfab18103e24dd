"""A server that misbehaves exactly as it is told, request by request.

Rule: it speaks bytes, not HTTP. Each request takes the next script; a script is what
is written, in order, with `HANG` and `CLOSE` for what else a peer can do.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

HANG: Final = "hang"  # says nothing more and keeps the connection
CLOSE: Final = "close"
Script = Sequence[bytes | str]
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def reply(
    body: bytes = b'{"result":true}',
    *,
    status: str = "200 OK",
    content_type: str = "application/json",
    length: int | None = None,
    more: str = "",
) -> bytes:
    """Return an HTTP reply; `length` is what it says of its body, true where None."""
    told = len(body) if length is None else length
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {told}\r\n{more}\r\n"
    )
    return head.encode() + body


class HostileServer:
    """What it was asked, and what it does next. The last script is repeated."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self.scripts = list(scripts)
        self.asked: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.url = ""
        self._ending = asyncio.Event()
        self._asked = asyncio.Event()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Follow the scripts on one connection."""
        self.connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the peer went away, as it may
        finally:
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1]) if length else 0)
        self.asked.append(head)
        self.bodies.append(body)
        self._asked.set()
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        for step in script:
            if step == CLOSE:
                return False
            if step == HANG:
                await self._ending.wait()
                return False
            assert isinstance(step, bytes)
            writer.write(step)
            await writer.drain()
        return True

    async def until_asked(self, times: int = 1) -> None:
        """Return once that many requests came."""
        while len(self.asked) < times:
            self._asked.clear()
            await self._asked.wait()

    def end(self) -> None:
        """Let go of whoever is left hanging."""
        self._ending.set()


@asynccontextmanager
async def hostile(*scripts: Script) -> AsyncIterator[HostileServer]:
    """Serve scripts on a free port of this machine."""
    made = HostileServer(scripts)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        made.end()
        server.close()
        await asyncio.sleep(0.01)  # its connections end
