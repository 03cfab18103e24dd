"""A bundle server that answers from a script, over a real socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from policy.bundles.download import LONG_POLLING

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BundleHost:
    """Gives out one bundle by its ETag, as OPA's documentation asks of a server.

    `asked` holds the headers of every question; `answers` go before the bundle.
    """

    def __init__(self, content: bytes = b"") -> None:
        self.url = ""
        self.asked: list[dict[str, str]] = []
        self.answers: list[Answer] = []
        self.content_type = "application/gzip"
        self._content = content
        self._version = 1
        self._changed = asyncio.Event()

    def publish(self, content: bytes) -> None:
        """Give out another bundle from now on."""
        self._content = content
        self._version += 1
        self._changed.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer from the script, then with the bundle or 304."""
        self.asked.append(dict(request.headers))
        if self.answers:
            return await self.answers.pop(0)(request)
        if request.headers.get("If-None-Match") == self._etag:
            wait_s = _wait_s(request)
            if self.content_type != LONG_POLLING or not wait_s:
                return web.Response(status=304)
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                return web.Response(status=304)
        return web.Response(
            body=self._content,
            headers={"ETag": self._etag},
            content_type=self.content_type,
        )

    @property
    def _etag(self) -> str:
        return f'"{self._version}"'


def replying(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    """Return an answer with these; `_` in a header's name is a dash."""

    async def answer(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=named)

    return answer


def hanging(after: bytes = b"") -> Answer:
    """Return an answer that promises much, sends `after`, and never ends."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        await response.write(after)
        await asyncio.Event().wait()
        return response

    return answer


def closing(after: bytes) -> Answer:
    """Return an answer that promises more than it sends."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000000"})
        await response.prepare(request)
        await response.write(after)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def endless() -> Answer:
    """Return an answer that sends for as long as it is read."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1 << 20))

    return answer


@asynccontextmanager
async def serving(
    host: BundleHost, tls: ssl.SSLContext | None = None
) -> AsyncIterator[BundleHost]:
    """Serve on a free port of this machine; `host.url` is where."""
    application = web.Application()
    application.router.add_get("/bundle.tar.gz", host.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    scheme = "http" if tls is None else "https"
    host.url = f"{scheme}://127.0.0.1:{port}/bundle.tar.gz"
    try:
        yield host
    finally:
        await runner.cleanup()


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something is so; the test's own time limit bounds it."""
    while not reached():  # noqa: ASYNC110 - what is awaited has no event
        await asyncio.sleep(0.001)


def _wait_s(request: web.Request) -> float:
    for preference in request.headers.get("Prefer", "").split(";"):
        name, _, value = preference.partition("=")
        if name == "wait":
            return float(value)
    return 0.0
