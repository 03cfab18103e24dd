"""The operator's endpoint: alive, ready, metrics.

Rule: it answers from memory, so no request can hold up the bus, and says nothing
about messages. What it does not know it answers with problem+json (RFC 9457).
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from bus.core.errors import ConfigurationError
from bus.core.limits import (
    HTTP_BODY_BYTES_MAX,
    HTTP_HEADERS_MAX,
    HTTP_KEEPALIVE_S,
    HTTP_LINE_BYTES_MAX,
    HTTP_STOP_S,
)

Check = Callable[[], tuple[bool, str]]
"""Tells whether a part is well, and a word about it. Must not wait."""

Render = Callable[[str], tuple[bytes, str]]
"""Turns an Accept header into the metrics' text and its content type."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_encode: Final = msgspec.json.Encoder().encode


def application(checks: Mapping[str, Check], render: Render) -> web.Application:
    """Return the application, to be served or to be made part of another."""
    app = web.Application(middlewares=[_problems], client_max_size=HTTP_BODY_BYTES_MAX)

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        results = [(name, *_result(check)) for name, check in checks.items()]
        ready = all(ok for _, ok, _ in results)
        shown = results if "verbose" in request.query else []
        lines = [f"[{'+' if ok else '-'}] {name}: {text}" for name, ok, text in shown]
        lines.append("ready" if ready else "not ready")
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text="\n".join(lines) + "\n", status=status)

    async def metrics(request: web.Request) -> web.Response:
        text, content_type = render(request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


@contextlib.asynccontextmanager
async def serve(
    checks: Mapping[str, Check], render: Render, host: str, port: int
) -> AsyncIterator[int]:
    """Serve until the block is left, and give the port that was bound.

    Leaving waits up to HTTP_STOP_S for requests under way.

    Raises:
        ConfigurationError: the address cannot be bound.
    """
    runner = web.AppRunner(
        application(checks, render),
        access_log=None,
        keepalive_timeout=HTTP_KEEPALIVE_S,
        max_line_size=HTTP_LINE_BYTES_MAX,
        max_field_size=HTTP_LINE_BYTES_MAX,
        max_headers=HTTP_HEADERS_MAX,
        shutdown_timeout=HTTP_STOP_S,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigurationError(f"cannot serve {host}:{port}: {error}") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def _result(check: Check) -> tuple[bool, str]:
    try:
        ok, text = check()
    except Exception as error:  # noqa: BLE001 - a check that breaks is a part not ready
        ok, text = False, f"{type(error).__name__}: {error}"
    return ok is True, " ".join(text.split())


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer what is refused in one form."""
    try:
        if request.content_length and request.content_length > HTTP_BODY_BYTES_MAX:
            raise web.HTTPRequestEntityTooLarge(
                max_size=HTTP_BODY_BYTES_MAX, actual_size=request.content_length
            )
        return await handler(request)
    except web.HTTPException as error:
        headers = {k: v for k, v in error.headers.items() if k != "Content-Type"}
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(error.status).phrase,
            "status": error.status,
        }
        return web.Response(
            body=_encode(problem),
            status=error.status,
            headers=headers,
            content_type="application/problem+json",
        )
