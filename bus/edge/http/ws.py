"""The WebSocket at /ws: one session of `assent.v1` for each connection.

Rule: nothing of the protocol is here. Whoever shows a credential with the request is
known before the upgrade; a session cookie counts only from a page of the node's own, and
who shows nothing has to show a token in the first frame.
"""

import asyncio
import contextlib
from typing import Final, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from bus.core.edgeerrors import UnauthenticatedError
from bus.core.edgelimits import (
    WS_CLOSE_S,
    WS_HEARTBEAT_S,
    WS_LINE_BYTES_MAX,
    WS_NOW_BYTES,
    WS_WRITE_BYTES,
)
from bus.core.frames import SUBPROTOCOL
from bus.edge.caller import Caller, Presented
from bus.edge.connections import Connections
from bus.edge.gate import Gate
from bus.edge.http.problems import HttpError
from bus.edge.http.who import Who, presented
from bus.edge.session.allowance import Allowance
from bus.edge.session.house import House
from bus.edge.session.session import Session
from bus.ports import Clock

PATH: Final = "/ws"
_REASON_BYTES_MAX: Final = 123  # of a close frame, RFC 6455


class Authenticates(Protocol):
    """Says who shows a token; `bus.edge.identity.Identity`."""

    async def authenticate(self, shown: Presented) -> Caller:
        """Return the caller; raise `UnauthenticatedError`."""


def add_routes(  # noqa: PLR0913 - what a node has for its doors
    app: web.Application,
    gate: Gate,
    who: Who,
    *,
    identity: Authenticates,
    connections: Connections,
    clock: Clock,
    allowance: Allowance | None = None,
    version: str = "",
) -> None:
    """Serve the protocol at `PATH`."""
    house = House(gate, connections, clock, allowance or Allowance(), version)

    async def connect(request: web.Request) -> web.StreamResponse:
        caller = await who(request) if _shows(request) else None
        _require_upgrade(request)

        async def admit(token: str | None) -> Caller:
            if token is not None:
                return await identity.authenticate(presented(request, token))
            if caller is None:
                raise UnauthenticatedError("connect shows no token")
            return caller

        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            compress=False,  # no bombs, and no secrets beside text of others
            heartbeat=WS_HEARTBEAT_S,
            max_msg_size=WS_LINE_BYTES_MAX,
            writer_limit=WS_WRITE_BYTES,
            timeout=WS_CLOSE_S,
            decode_text=False,
        )
        await socket.prepare(request)
        await Session(house, SocketLine(socket, request), admit).run()
        return socket

    app.router.add_get(PATH, connect, allow_head=False)


class SocketLine:
    """A WebSocket as a session's line."""

    __slots__ = ("_request", "_socket")

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._request = request

    async def receive(self) -> tuple[bytes, bool] | None:
        """Return the next frame; None once the client has closed, or the line broke."""
        got = await self._socket.receive()
        if got.type is WSMsgType.BINARY:
            return got.data, True
        if got.type is WSMsgType.TEXT:
            return got.data, False
        return None

    async def send(self, data: bytes, *, binary: bool) -> None:
        """Hand a frame to the socket; waits while the client does not read."""
        await self._socket.send_frame(
            data, WSMsgType.BINARY if binary else WSMsgType.TEXT
        )

    def send_now(self, data: bytes, *, binary: bool) -> bool:
        """Hand a frame to the socket if nothing waits in its buffer, and it is short.

        Then it is below the buffer's high-water mark, so sending it does not wait.
        """
        transport = self._request.transport
        if transport is None or len(data) > WS_NOW_BYTES:
            return False
        if transport.get_write_buffer_size() or transport.is_closing():
            return False
        sending = self._socket.send_frame(
            data, WSMsgType.BINARY if binary else WSMsgType.TEXT
        )
        try:
            sending.send(None)
        except StopIteration:
            return True
        except ConnectionError:
            return False
        sending.close()
        raise BufferError(f"{len(data)} bytes filled an empty buffer")

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, for as long as that takes a client that reads; then hang up."""
        told = reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore").encode()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(WS_CLOSE_S):
                await self._socket.close(code=code, message=told)
        transport = self._request.transport
        if transport is not None and code != WSCloseCode.OK:
            transport.abort()


def _shows(request: web.Request) -> bool:
    """Tell whether a request shows a credential."""
    shown = presented(request)
    return any((shown.bearer, shown.session, shown.certificate))


def _require_upgrade(request: web.Request) -> None:
    """Refuse what does not ask for the protocol."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise HttpError(
            "malformed",
            f"this is a WebSocket: connect with subprotocol {SUBPROTOCOL}",
            Upgrade="websocket",
        )
    asked = request.headers.get("Sec-WebSocket-Protocol", "")
    if SUBPROTOCOL not in [name.strip() for name in asked.split(",")]:
        raise HttpError("malformed", f"offer the subprotocol {SUBPROTOCOL}")
