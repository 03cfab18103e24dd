"""The door of messages: their rows as routes, and the forms that are not plain JSON.

Rule: what is read as CloudEvents or as events that are pushed is the same row as the
JSON, under the same checks; which form it takes is what the client accepts.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from bus.core.errors import MalformedMessageError
from bus.crew import Crew
from bus.edge.connections import Connections
from bus.edge.gate import Gate
from bus.edge.http import api, asking, cloudevents, described, sse
from bus.edge.http.api import Who
from bus.edge.http.asking import JSON_MEDIA
from bus.edge.http.problems import Handler
from bus.edge.messaging import cloudevents as events
from bus.edge.messaging.desk import Desk
from bus.edge.operations import Operation

_GRACE_S: Final = 5.0
_encode: Final = msgspec.json.Encoder().encode
_MESSAGE: Final = r"/v1/messages/{id:(?!batch$)[^/]+}"  # `batch` is another path
_SPECIAL: Final = frozenset({"readMessage", "readStream"})
"""Rows whose route offers more than JSON."""


class Messaging:
    """The door. `operations` and `paths` are for the OpenAPI document."""

    def __init__(self, gate: Gate, connections: Connections, who: Who) -> None:
        self._crew = Crew(_logged)
        self._who = who
        self.desk = Desk(gate, connections, self._crew.start)
        self.operations = self.desk.operations
        self.paths = described.paths(self.operations)

    def add_routes(
        self, app: web.Application, now_ns: Callable[[], int] | None = None
    ) -> None:
        """Add the routes; what is held for clients ends with the application."""
        keys = api.prepare(app, now_ns)
        plain = [row for row in self.desk.operations if row.name not in _SPECIAL]
        api.add_operations(app, plain, self._who)
        app.router.add_get(_MESSAGE, self._message(keys))
        app.router.add_get("/v1/messages/{id}/body", self._body())
        app.router.add_get("/v1/streams/{name}/messages", self._stream(keys))
        cloudevents.add_routes(app, self.desk.eventing, self._who, keys)
        app.on_shutdown.append(self._close)

    async def _close(self, app: web.Application) -> None:
        del app
        await self.desk.close()
        await self._crew.end(_GRACE_S)

    def _message(self, keys: Any) -> Handler:
        row = self.desk.operation("readMessage")
        plain, read = api.handler(row, self._who, keys), asking.reader(row)

        async def handle(request: web.Request) -> web.StreamResponse:
            form = api.require_acceptable(request, JSON_MEDIA, events.STRUCTURED)
            if form == JSON_MEDIA:
                return await plain(request)
            caller = await self._who(request)
            message = await self.desk.stories.message(caller, await read(request))
            return _answer(_encode(events.as_json(message)), events.STRUCTURED)

        return handle

    def _body(self) -> Handler:
        row = self.desk.operation("readMessage")
        read = asking.reader(row)

        async def handle(request: web.Request) -> web.StreamResponse:
            caller = await self._who(request)
            message = await self.desk.stories.message(caller, await read(request))
            # Never a page of ours: it is somebody's data, whatever type they gave it.
            headers = {
                **events.as_headers(message),
                "Content-Disposition": "attachment",
                "Content-Security-Policy": "default-src 'none'; sandbox",
                "Cache-Control": "no-store",
            }
            return web.Response(body=message.body, headers=headers)

        return handle

    def _stream(self, keys: Any) -> Handler:
        row: Operation = self.desk.operation("readStream")
        plain, read = api.handler(row, self._who, keys), asking.reader(row)

        async def handle(request: web.Request) -> web.StreamResponse:
            form = api.require_acceptable(request, JSON_MEDIA, sse.MEDIA, events.BATCH)
            if form == JSON_MEDIA:
                return await plain(request)
            caller = await self._who(request)
            given = await read(request)
            if form == sse.MEDIA:
                if request.method != "GET":
                    raise MalformedMessageError("events are read with GET")
                return await sse.follow(request, self.desk, caller, given)
            found = await self.desk.streams.look(caller, given)
            made = [events.as_json(entry.message) for entry in found.entries]
            link = request.rel_url.update_query(after=str(found.looked))
            return _answer(
                _encode(made), events.BATCH, {"Link": f'<{link}>; rel="next"'}
            )

        return handle


def _answer(
    body: bytes, media: str, more: dict[str, str] | None = None
) -> web.Response:
    headers = {"Content-Type": media, "Cache-Control": "no-store", **(more or {})}
    return web.Response(body=body, headers=headers)


def _logged(error: BaseException) -> None:
    """A consumer's task has failed: the crew has logged it, and the next pull makes anew."""
    del error
