"""A stand-in for a decision-log collector, which fails in every way and counts."""

import asyncio
import gzip
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

OK = "ok"
ERROR = "500"
UNAVAILABLE = "503"
BUSY = "429"
HANG = "hang"
CLOSE_FIRST = "close before reading"
CLOSE_MIDWAY = "close in the middle of the request"
LOST = "take it, then close without an answer"
TRUNCATED = "take it, then cut the answer off"
SLOW = "take it, slowly"
REDIRECT = "302"
UNAUTHORIZED = "401"
TOO_LARGE = "413"
BAD = "400"
EVERY_WAY = (
    *(ERROR, UNAVAILABLE, BUSY, HANG, CLOSE_FIRST, CLOSE_MIDWAY, LOST, TRUNCATED),
    *(SLOW, REDIRECT, UNAUTHORIZED),
)
"""All but those after which an event is never sent again."""
_STATUSES = {ERROR, UNAVAILABLE, BUSY, REDIRECT, UNAUTHORIZED, TOO_LARGE, BAD}


class Collector:
    """Takes chunks as `script` says, then as usual; a key it knows is not taken twice."""

    def __init__(self, script: Iterable[str] = (), *, otherwise: str = OK) -> None:
        self.script = iter(script)
        self.otherwise = otherwise
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []  # (what was done, key)
        self.bodies: dict[str, set[bytes]] = {}
        self.headers: list[dict[str, str]] = []
        self.retry_after = "0"
        self.token = ""
        self.port = 0
        self.news = asyncio.Event()

    @property
    def ids(self) -> list[str]:
        """The ids of all events taken, in order."""
        return [event["decision_id"] for event in self.events]

    @property
    def twice(self) -> list[str]:
        """The ids that were taken more than once."""
        return [found for found, count in Counter(self.ids).items() if count > 1]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of what was received."""
        while not holds():
            self.news.clear()
            await self.news.wait()

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Serve on a port that stays the same; yield the address."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/logs", self._logs)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(
                runner, "127.0.0.1", self.port, ssl_context=tls, reuse_address=True
            )
            await site.start()
            self.port = runner.addresses[0][1]
            yield f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        finally:
            await runner.cleanup()

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        what = next(self.script, self.otherwise)
        key = request.headers.get("Idempotency-Key", "")
        self.requests.append((what, key))
        self.headers.append(dict(request.headers))
        self.news.set()
        try:
            return await self._answer(what, key, request)
        finally:
            self.news.set()

    async def _answer(
        self, what: str, key: str, request: web.Request
    ) -> web.StreamResponse:
        if what in (CLOSE_FIRST, CLOSE_MIDWAY):
            if what == CLOSE_MIDWAY:
                await request.content.read(10)
            _hang_up(request)
            return web.Response()
        raw = await request.content.read(-1)
        if what == HANG:
            await asyncio.sleep(3600)
        if what in _STATUSES:
            headers = {"Retry-After": self.retry_after, "Location": "/logs"}
            return web.Response(status=int(what), headers=headers)
        self._take(key, raw)
        if what == SLOW:
            await asyncio.sleep(0.05)
        if what == LOST:
            _hang_up(request)
        if what == TRUNCATED:
            answer = web.StreamResponse(headers={"Content-Length": "100"})
            await answer.prepare(request)
            await answer.write(b"{")
            _hang_up(request)
            return answer
        return web.Response()

    def _take(self, key: str, raw: bytes) -> None:
        # aiohttp has unpacked it unless told otherwise; the key is of what is inside.
        body = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        if key not in self.bodies:
            self.events += json.loads(body)
        self.bodies.setdefault(key, set()).add(body)


def _hang_up(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()
