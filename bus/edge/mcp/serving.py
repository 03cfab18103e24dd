"""How the MCP server is reached: standard input and output, or streamable HTTP.

Rule: over HTTP it is reached as its door says, and by the names it is meant to have, so
that no page in a browser can have it called.
"""

import asyncio
import hmac
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bus.core.edgelimits import (
    MCP_ARGUMENTS_BYTES_MAX,
    MCP_HEAD_BYTES_MAX,
    MCP_IDLE_S,
    MCP_SOCKETS_MAX,
    MCP_STOP_S,
)
from bus.core.errors import ConfigurationError
from bus.edge.mcp.door import Door, address_of, checked, written

PATH: Final = "/mcp"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_HEAD_BYTES: Final = 64 << 10  # of JSON-RPC around the arguments


async def over_stdio(server: MCPServer[Any]) -> None:
    """Serve one client over standard input and output until it closes them."""
    await server.run_stdio_async()


async def over_http(
    server: MCPServer[Any], door: Door, ready: Callable[[str], None]
) -> None:
    """Serve clients over streamable HTTP until a signal; `ready` gets the URL.

    Every request stands for itself: there are no sessions to be taken over or filled.

    Raises:
        ConfigurationError: as `checked`, or the certificate cannot be used.
        OSError: the address is taken.
    """
    checked(door)
    with _bound(door) as bound:
        port = bound.getsockname()[1]
        made = running(server, door, port)
        scheme = "http" if door.certificate is None else "https"
        ready(f"{scheme}://{written(door.host)}:{port}{PATH}")
        await made.serve(sockets=[bound])


def running(server: MCPServer[Any], door: Door, port: int) -> uvicorn.Server:
    """Return what serves a door on a port; raises `ConfigurationError`."""
    application: ASGIApp = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,
        max_request_body_size=MCP_ARGUMENTS_BYTES_MAX + _HEAD_BYTES,
        transport_security=security(door, port),
    )
    if door.token is not None:
        application = Guarded(application, door.token)
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MCP_SOCKETS_MAX,
        h11_max_incomplete_event_size=MCP_HEAD_BYTES_MAX,
        http="h11",
        ws="none",
        timeout_keep_alive=int(MCP_IDLE_S),
        timeout_graceful_shutdown=int(MCP_STOP_S),
        ssl_certfile=door.certificate,
        ssl_keyfile=door.key,
    )
    try:
        config.load()
    except OSError as error:  # SSLError is one
        raise ConfigurationError(f"certificate {door.certificate}: {error}") from error
    return _Served(config)


class _Served(uvicorn.Server):
    """A server that ends in order on a signal: the library's own ends the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM while the block runs."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def security(door: Door, port: int) -> TransportSecuritySettings:
    """Return the hosts and origins that requests may name: only this door's own."""
    names = {written(door.host), *door.names}
    address = address_of(door.host)
    if address is not None and address.is_loopback:
        names |= {"127.0.0.1", "localhost", "[::1]"}
    scheme = "http" if door.certificate is None else "https"
    hosts = sorted(f"{name}:{port}" for name in names)
    if door.names:
        hosts += sorted(door.names)  # behind a proxy, or on the scheme's own port
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{host}" for host in hosts],
    )


class Guarded:
    """An application for those who show a token."""

    def __init__(self, application: ASGIApp, token: str) -> None:
        self._application = application
        self._digest = sha256(token.encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or answer 401."""
        if scope["type"] == "http" and not self._shown(scope):
            refusal = Response(
                "a token is needed", 401, {"WWW-Authenticate": 'Bearer realm="assent"'}
            )
            await refusal(scope, receive, send)
            return
        await self._application(scope, receive, send)

    def _shown(self, scope: Scope) -> bool:
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(values) != 1:
            return False
        kind, _, token = values[0].partition(b" ")
        digest = sha256(token.strip()).digest()
        return hmac.compare_digest(digest, self._digest) and kind.lower() == b"bearer"


def _bound(door: Door) -> socket.socket:
    family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
    return socket.create_server((door.host, door.port), family=family)
