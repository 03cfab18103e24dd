"""The wires to a node: a WebSocket's frames, and HTTP's answers. Nothing is understood here.

Rule: the only module of the client that knows the HTTP library. What it reads is bounded,
and each fault of the network leaves as `UnreachableError`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from types import TracebackType
from typing import Any, Final, Protocol, Self

import aiohttp
import msgspec

from bus.core.edgelimits import (
    CLIENT_ANSWER_BYTES_MAX,
    CLIENT_CLOSE_S,
    CLIENT_CONNECT_S,
    CLIENT_HEARTBEAT_S,
    CLIENT_LINE_BYTES_MAX,
    FRAME_BYTES_MAX,
)
from bus.core.errors import LimitExceededError, UnavailableError
from bus.core.frames import SUBPROTOCOL

_SEEN: Final = (aiohttp.ClientError, TimeoutError, OSError)
_GOING: Final = frozenset(
    {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}
)
_TOO_LARGE: Final = 1009
_LOST: Final = 1006
_CHUNK_BYTES: Final = 65_536


class UnreachableError(UnavailableError):
    """No node answers there, or not in time; the text says what was met."""

    code = "unreachable"


class RefusedError(Exception):
    """A node answered the upgrade with an HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status


class Over(msgspec.Struct, frozen=True):
    """How a line ended: the close code, and what was said with it."""

    code: int
    reason: str


class Line(Protocol):
    """One connection. Frames arrive in the order they were sent, each once, or it is over."""

    async def send(self, frame: bytes) -> None:
        """Send a binary frame; wait where the peer does not read.

        Raises `UnreachableError` once it is over.
        """

    async def receive(self) -> bytes | Over:
        """Return the next frame, or how the line ended; from then on always that."""

    async def close(self, code: int, reason: str) -> None:
        """End it, waiting for the peer to agree for a bounded time."""


class Answer(msgspec.Struct, frozen=True):
    """What HTTP answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class SocketLine:
    """A `Line` over a WebSocket, with a session of its own."""

    def __init__(
        self, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self._session = session
        self._socket = socket
        self._over: Over | None = None

    async def send(self, frame: bytes) -> None:
        """See `Line`."""
        try:
            await self._socket.send_bytes(frame)
        except _SEEN as error:
            raise UnreachableError(f"the line is lost: {error!r}") from error

    async def receive(self) -> bytes | Over:
        """See `Line`."""
        if self._over is not None:
            return self._over
        read = await self._socket.receive()
        if read.type is aiohttp.WSMsgType.BINARY:
            data: bytes = read.data
            return data
        code, reason = self._socket.close_code or _LOST, str(read.extra or "")
        if read.type is aiohttp.WSMsgType.ERROR:
            reason = f"{read.data}"
        elif read.type not in _GOING:
            code, reason = 1003, "a text frame on a line of MessagePack"
        self._over = Over(code, reason)
        await self.close(1000, "")
        return self._over

    async def close(self, code: int, reason: str) -> None:
        """See `Line`."""
        try:
            await self._socket.close(code=code, message=reason.encode()[:120])
        finally:
            await self._session.close()


async def dial(
    url: str, headers: Mapping[str, str], context: ssl.SSLContext | None
) -> SocketLine:
    """Open a WebSocket.

    Raises:
        UnreachableError: nobody there, no TLS that holds, or not in time.
        RefusedError: a status instead of an upgrade.
    """
    session = _session(headers, context)
    try:
        async with asyncio.timeout(CLIENT_CONNECT_S):
            socket = await session.ws_connect(
                url,
                protocols=(SUBPROTOCOL,),
                max_msg_size=FRAME_BYTES_MAX,
                heartbeat=CLIENT_HEARTBEAT_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLIENT_CLOSE_S),
                compress=0,
            )
    except BaseException as error:
        await session.close()
        if isinstance(error, aiohttp.WSServerHandshakeError):
            raise RefusedError(error.status, error.message) from error
        if isinstance(error, _SEEN):
            raise UnreachableError(f"{url}: {_told(error)}") from error
        raise
    line = SocketLine(session, socket)
    if socket.protocol != SUBPROTOCOL:
        await line.close(1002, "")
        raise UnreachableError(f"{url}: what answers there speaks no {SUBPROTOCOL}")
    return line


class Web:
    """HTTP to one node, over connections that are kept open."""

    def __init__(
        self, base: str, headers: Mapping[str, str], context: ssl.SSLContext | None
    ) -> None:
        self._base = base
        self._headers = headers
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open nothing yet: the first request does."""
        self._session = _session(self._headers, self._context)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        del kind, error, trace
        await self._opened.close()

    @property
    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise UnavailableError("not open: use 'async with'")
        return self._session

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
    ) -> Answer:
        """Return what the node answers, whatever the status.

        Raises:
            UnreachableError: no answer, or not in time.
            LimitExceededError: an answer longer than any should be.
        """
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._opened.request(
                    method,
                    self._base + path,
                    params=query,
                    data=None if body is None else BytesIO(body),  # in pieces
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                read = await _bounded(response)
                return Answer(response.status, _lower(response.headers), read)
        except _SEEN as error:
            raise UnreachableError(f"{self._base}: {_told(error)}") from error

    async def stream(
        self, path: str, *, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> AsyncIterator[Answer | str]:
        """Yield a stream's lines as they come; an answer that is none is yielded alone.

        Raises:
            UnreachableError: it broke off.
            LimitExceededError: a line longer than any should be.
        """
        try:
            async with self._opened.get(
                self._base + path, params=query, headers=headers, allow_redirects=False
            ) as response:
                if response.content_type != "text/event-stream":
                    read = await _bounded(response)
                    yield Answer(response.status, _lower(response.headers), read)
                    return
                async for line in _lines(response):
                    yield line
        except _SEEN as error:
            raise UnreachableError(f"{self._base}: {_told(error)}") from error


def _session(
    headers: Mapping[str, str], context: ssl.SSLContext | None
) -> aiohttp.ClientSession:
    # No cookies and no netrc: the credential is the one that was given.
    return aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(ssl=True if context is None else context),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CLIENT_CONNECT_S),
        max_line_size=CLIENT_LINE_BYTES_MAX,
        trust_env=False,
    )


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        read += chunk
        if len(read) > CLIENT_ANSWER_BYTES_MAX:
            raise LimitExceededError(
                "answer bytes", actual=len(read), allowed=CLIENT_ANSWER_BYTES_MAX
            )
    return bytes(read)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    kept = b""
    async for chunk in response.content.iter_any():
        *whole, kept = (kept + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
        if len(kept) > CLIENT_ANSWER_BYTES_MAX:
            raise LimitExceededError(
                "line bytes", actual=len(kept), allowed=CLIENT_ANSWER_BYTES_MAX
            )


def _lower(headers: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in headers.items()}


def _told(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
