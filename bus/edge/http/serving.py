"""Serves an application at an address, over TLS where the settings say so.

Rule: what a peer may send before anything is known of it is bounded in size and time,
and how many peers there are is bounded too.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final, cast

from aiohttp import web

from bus.core.edgelimits import TLS_HANDSHAKE_S
from bus.core.errors import ConfigurationError
from bus.core.limits import (
    HTTP_HEADERS_MAX,
    HTTP_KEEPALIVE_S,
    HTTP_LINE_BYTES_MAX,
    HTTP_STOP_S,
)
from bus.edge.http.guard import Factory, Guard
from bus.edge.http.refusing import Handler

_BACKLOG: Final = 1_024  # connections that the system keeps until they are taken
_OPTIONS: Final[dict[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,  # what is compressed is refused, never unpacked
    "max_line_size": HTTP_LINE_BYTES_MAX,
    "max_field_size": HTTP_LINE_BYTES_MAX,
    "max_headers": HTTP_HEADERS_MAX,
}


@contextlib.asynccontextmanager
async def serve(
    app: web.Application,
    host: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    guard: Guard | None = None,
) -> AsyncIterator[int]:
    """Serve until the block is left, and give the port that was bound.

    Leaving waits up to HTTP_STOP_S for requests under way.

    Raises:
        ConfigurationError: the address cannot be bound.
    """
    runner = web.AppRunner(app, shutdown_timeout=HTTP_STOP_S)
    await runner.setup()
    try:
        before = Guard() if guard is None else guard
        options = {**_OPTIONS, "keepalive_timeout": HTTP_KEEPALIVE_S}
        loop, inner = asyncio.get_running_loop(), cast("web.Server", runner.server)
        guarded = before.factory(partial(Handler, inner, loop=loop, **options))
        server = await _listening(guarded, host, port, tls)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
    finally:
        await runner.cleanup()


async def _listening(
    guarded: Factory, host: str, port: int, tls: ssl.SSLContext | None
) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(
            guarded,
            host,
            port,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else TLS_HANDSHAKE_S,
            backlog=_BACKLOG,
            reuse_address=True,
        )
    except OSError as error:
        raise ConfigurationError(f"cannot serve {host}:{port}: {error}") from error


def url_of(host: str, port: int, *, secure: bool) -> str:
    """Return where a node is; an IPv6 address stands in brackets (RFC 3986)."""
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
