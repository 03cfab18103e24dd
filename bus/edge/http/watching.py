"""The live tail and the news of operators, as server-sent events.

Rule: what is told is made by `bus.edge.operator`; a client that does not read is let go,
and one whose credential ends is told so and let go.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
from aiohttp import web

from bus.core.edgelimits import SSE_BEAT_S, SSE_LOOK_S, SSE_WRITE_S
from bus.core.errors import BusError, MalformedMessageError
from bus.edge.caller import Caller, Scope
from bus.edge.connections import Connections
from bus.edge.http import problems
from bus.edge.http.api import Who, permits, require_acceptable
from bus.edge.http.sse import MEDIA, Line
from bus.edge.operator.answers import LiveAsked, Missed, Nothing
from bus.edge.operator.live import Tail
from bus.edge.operator.news import Listener
from bus.edge.operator.office import Office

Next = Callable[[], Awaitable[bytes]]
"""Waits for what is to be told next, as it is written."""

_BEAT: Final = b":\n\n"
_HEADERS: Final = {
    "Content-Type": f"{MEDIA}; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
_encode: Final = msgspec.json.Encoder().encode


def add_routes(
    app: web.Application, office: Office, connections: Connections, who: Who
) -> None:
    """Add /v1/live and /v1/events."""
    permitted = permits(Scope.OPERATOR)

    async def live(request: web.Request) -> web.StreamResponse:
        caller = await _operator(request)
        tail = office.live.open(caller, _asked(request, LiveAsked))
        try:
            return await _follow(request, connections, caller, _rows_of(tail))
        finally:
            tail.close()

    async def events(request: web.Request) -> web.StreamResponse:
        caller = await _operator(request)
        _asked(request, Nothing)
        listener = office.bulletin.listen(caller)
        try:
            return await _follow(request, connections, caller, _news_of(listener))
        finally:
            listener.close()

    async def _operator(request: web.Request) -> Caller:
        caller = await who(request)
        permitted(caller)
        require_acceptable(request, MEDIA)
        return caller

    app.router.add_get("/v1/live", live, allow_head=False)
    app.router.add_get("/v1/events", events, allow_head=False)


def _asked(request: web.Request, kind: Any) -> Any:
    """Return what the query asks for, each word once."""
    given = dict(request.query)
    if len(given) != len(request.query):
        raise MalformedMessageError("a parameter is there twice")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedMessageError(f"the parameters: {error}") from error


def _rows_of(tail: Tail) -> Next:
    async def following() -> bytes:
        rows, missed = await tail.next()
        told = [_event("missed", Missed(count=missed))] if missed else []
        told += [_event("message", row) for row in rows]
        return b"".join(told)

    return following


def _news_of(listener: Listener) -> Next:
    async def following() -> bytes:
        point, news = await listener.next()
        told = [] if point is None else [_event("point", point)]
        told += [_event("changed", one) for one in news]
        return b"".join(told)

    return following


async def _follow(
    request: web.Request, connections: Connections, caller: Caller, following: Next
) -> web.StreamResponse:
    """Tell a client what comes, until it goes or must; then say why it must."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - aiohttp runs each handler in one
    line = Line(task)
    place = connections.enter(caller, line)
    response = web.StreamResponse(headers=_HEADERS)
    try:
        await response.prepare(request)
        await _tell(request, response, following)
    except asyncio.CancelledError:
        if line.ending is None:
            raise
        task.uncancel()
        await _last(response, line.ending.code, line.ending.text)
    except BusError as error:
        found = problems.problem_of(error)
        await _last(response, found.code, found.detail)
    except (ConnectionError, TimeoutError):
        pass  # the client has gone, or does not read
    finally:
        connections.leave(place)
    return response


async def _tell(
    request: web.Request, response: web.StreamResponse, following: Next
) -> None:
    """Write what comes, and signs of life in between, until the client has gone."""
    await _written(response, _BEAT)
    quiet = 0
    while request.transport is not None and not request.transport.is_closing():
        told = await _or_nothing(following)
        if told is not None:
            await _written(response, told)
        quiet = 0 if told is not None else quiet + 1
        if quiet * SSE_LOOK_S >= SSE_BEAT_S:
            await _written(response, _BEAT)
            quiet = 0


async def _or_nothing(following: Next) -> bytes | None:
    """Return what is told next, or None where nothing is for a while."""
    try:
        async with asyncio.timeout(SSE_LOOK_S):
            return await following()
    except TimeoutError:
        return None


async def _written(response: web.StreamResponse, content: bytes) -> None:
    async with asyncio.timeout(SSE_WRITE_S):
        await response.write(content)


async def _last(response: web.StreamResponse, code: str, detail: str) -> None:
    """Tell why it ends, if the client still reads."""
    with suppress(ConnectionError, TimeoutError, RuntimeError):
        await _written(response, _event("ended", {"code": code, "detail": detail}))


def _event(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _encode(data) + b"\n\n"
