"""A stream of the bus as server-sent events (WHATWG HTML, 9.2).

Rule: an event's id is the message's sequence, so a browser that comes back goes on where
it was. A client that does not read slows nobody: it is let go.
"""

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web

from bus.core.edgelimits import PAGE_ITEMS, SSE_BEAT_S, SSE_WRITE_S
from bus.core.errors import BusError
from bus.edge.caller import Caller
from bus.edge.connections import Ending
from bus.edge.http import problems
from bus.edge.messaging.desk import Desk
from bus.edge.messaging.streams import Look, Read, item_of, sequence_of

MEDIA: Final = "text/event-stream"
LAST_EVENT_ID: Final = "Last-Event-ID"
_BEAT: Final = b":\n\n"
_encode: Final = msgspec.json.Encoder().encode


class Line:
    """One client's connection, as the node's registry sees it."""

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self.ending: Ending | None = None

    def draining(self, seconds: float) -> None:
        """End it: a browser comes back by itself, to a node that is there."""
        self.end(Ending("going_away", f"the node stops within {seconds:g} s"))

    def end(self, ending: Ending) -> None:
        """End it and tell the client why."""
        if self.ending is None:
            self.ending = ending
            self._task.cancel()


async def follow(
    request: web.Request, desk: Desk, caller: Caller, given: Read
) -> web.StreamResponse:
    """Answer with what a stream keeps after a sequence, and with what comes.

    Raises what keeps it from beginning; what ends it later is its last event.
    """
    tokens = await desk.streams.admit(caller, given.name, given.pattern)
    if LAST_EVENT_ID in request.headers:
        after = sequence_of(request.headers[LAST_EVENT_ID])
    else:
        after = desk.streams.place(caller, given.name, given.after)
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - aiohttp runs each handler in one
    line = Line(task)
    place = desk.connections.enter(caller, line)
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{MEDIA}; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    try:
        await response.prepare(request)
        await _tell(response, desk, caller, (given, tokens, after))
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
        desk.connections.leave(place)
    return response


async def _tell(
    response: web.StreamResponse,
    desk: Desk,
    caller: Caller,
    what: tuple[Read, tuple[str, ...], int],
) -> None:
    """Write pages as they come, and a sign of life where none does."""
    given, tokens, after = what
    revision = desk.revision
    while True:
        if desk.revision != revision:
            revision = desk.revision
            await desk.streams.admit(caller, given.name, given.pattern)
        found = await desk.streams.after(
            caller, given.name, tokens, (after, PAGE_ITEMS)
        )
        if text := _events(found):
            await _write(response, text)
        elif found.looked == after:
            await desk.streams.grown(caller, given.name, (after, found), SSE_BEAT_S)
            if desk.streams.last(caller, given.name) <= found.last:
                await _write(response, _BEAT)
        after = found.looked


def _events(found: Look) -> bytes:
    """Return the events of a page."""
    parts = []
    if found.gone:
        parts.append(b'event: gone\ndata: {"count":%d}\n\n' % found.gone)
    for entry in found.entries:
        data = _encode(item_of(entry))
        parts.append(b"id: %d\nevent: message\ndata: %s\n\n" % (entry.sequence, data))
    return b"".join(parts)


async def _last(response: web.StreamResponse, code: str, text: str) -> None:
    """Tell why it ends, if the client still reads."""
    try:
        data = _encode({"code": code, "detail": text})
        await _write(response, b"event: ended\ndata: %s\n\n" % data)
    except (ConnectionError, TimeoutError):
        return


async def _write(response: web.StreamResponse, text: bytes) -> None:
    async with asyncio.timeout(SSE_WRITE_S):
        await response.write(text)
