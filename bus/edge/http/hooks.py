"""The hooks of coding agents over HTTP: the same JSON in and out as on a command line.

Rule: it answers 200 and a verdict whatever happens. A coding agent lets a call through
where its hook fails, so a failure has to be a verdict too.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from bus.core.edgelimits import HOOK_INPUT_BYTES_MAX, HOOK_READ_S
from bus.core.errors import BusError
from bus.edge.caller import Caller
from bus.edge.hooks.desk import Desk
from bus.edge.hooks.events import fault

PATH: Final = "/v1/hooks/claude-code"

_log: Final = logging.getLogger("assent.hooks")
_encode: Final = msgspec.json.Encoder().encode

Who = Callable[[web.Request], Awaitable[Caller]]


def add_routes(app: web.Application, who: Who, desk: Desk) -> None:
    """Serve the hooks at PATH."""

    async def hook(request: web.Request) -> web.Response:
        answer = await _answer(request, who, desk)
        return web.Response(body=answer, content_type="application/json")

    app.router.add_post(PATH, hook)


async def _answer(request: web.Request, who: Who, desk: Desk) -> bytes:
    """Return what the desk answers, or why it was not asked."""
    try:
        caller = await who(request)
        data = await _body(request)
    except BusError as error:
        return _encode(fault("", f"{error.code}: {error}"))
    except (web.HTTPException, ConnectionError, TimeoutError, ValueError) as error:
        return _encode(fault("", f"not read: {error or type(error).__name__}"))
    except Exception:  # noqa: BLE001 - whatever goes wrong here blocks the call
        _log.exception("a hook could not be read")
        return _encode(fault("", "internal: the node has a fault"))
    return await desk.answer(caller, data)


async def _body(request: web.Request) -> bytes:
    """Read one byte more than may be at most: then `events.read` refuses it."""
    parts, size = [], 0
    async with asyncio.timeout(HOOK_READ_S):
        async for part in request.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > HOOK_INPUT_BYTES_MAX:
                break
    return b"".join(parts)
