"""Operations of no use, served: what routes do with them is what a test looks at."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import aiohttp
import msgspec
from aiohttp import web

from bus.core.edgeerrors import ConflictError
from bus.core.edgelimits import (
    HTTP_REQUEST_BYTES_MAX,
)
from bus.edge.caller import Caller, Scope
from bus.edge.http import api
from bus.edge.operations import Asks, Operation, Page


class Look(Asks, frozen=True, kw_only=True):
    """A thing that is looked at."""

    id: str
    n: Annotated[int, msgspec.Meta(ge=1)] = 3
    many: tuple[str, ...] = ()


class Shown(Page, frozen=True, kw_only=True):
    """A thing."""

    id: str
    n: int
    many: tuple[str, ...]


class Put(Asks, frozen=True, kw_only=True):
    """A change."""

    id: str
    text: str = "none"
    if_match: str | None = None


class Tagged(msgspec.Struct, frozen=True):
    """A thing with a tag."""

    etag: str
    text: str


class Do(Asks, frozen=True, kw_only=True):
    """Something to do once."""

    text: str
    value: Any = None
    idempotency_key: str | None = None


class Drop(Asks, frozen=True, kw_only=True):
    """A thing to drop."""

    id: str


class Desk:
    """What the operations of these tests do; `wrong` is raised, `done` is counted."""

    def __init__(self) -> None:
        self.done = 0
        self.wrong: Exception | None = None

    async def look(self, caller: Caller, asked: Look) -> Shown:
        """Show it."""
        del caller
        if self.wrong is not None:
            raise self.wrong
        return Shown(id=asked.id, n=asked.n, many=asked.many, next="cursor")

    async def put(self, caller: Caller, asked: Put) -> Tagged:
        """Change it."""
        del caller
        if asked.if_match not in {None, "v1"}:
            raise ConflictError("it is v1 now")
        return Tagged("v2", asked.text)

    async def do(self, caller: Caller, asked: Do) -> Do:
        """Do it."""
        del caller
        self.done += 1
        if self.wrong is not None:
            raise self.wrong
        return asked

    async def drop(self, caller: Caller, asked: Drop) -> None:
        """Drop it."""
        del caller, asked
        self.done += 1

    def operations(self) -> tuple[Operation, ...]:
        """Return the rows."""
        agent: Any = {"scope": Scope.AGENT, "summary": "."}
        return (
            Operation(
                name="look",
                method="GET",
                path="/v1/things/{id}",
                asks=Look,
                answers=Shown,
                run=self.look,
                **agent,
            ),
            Operation(
                name="put",
                method="PUT",
                path="/v1/things/{id}",
                asks=Put,
                answers=Tagged,
                run=self.put,
                writes=True,
                **agent,
            ),
            Operation(
                name="do",
                method="POST",
                path="/v1/things",
                asks=Do,
                answers=Do,
                run=self.do,
                status=202,
                writes=True,
                **agent,
            ),
            Operation(
                name="drop",
                method="DELETE",
                path="/v1/things/{id}",
                asks=Drop,
                answers=None,
                run=self.drop,
                writes=True,
                scope=Scope.ADMIN,
                summary=".",
            ),
        )


class Site:
    """A served application, and a client of it."""

    def __init__(self, client: aiohttp.ClientSession, desk: Desk) -> None:
        self.client = client
        self.desk = desk
        self.headers: Mapping[str, str] = {}

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        """Return status and answer; the headers are kept."""
        async with self.client.request(method, path, **more) as answer:
            self.headers = answer.headers.copy()
            text = await answer.read()
            return answer.status, msgspec.json.decode(text) if text else None

    async def refused(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        """Return status and code of a request that is refused with problem details."""
        status, told = await self.ask(method, path, **more)
        assert self.headers["Content-Type"] == "application/problem+json"
        assert told["type"] == "urn:assent:error:" + told["code"]
        assert told["status"] == status
        return status, told["code"]


@asynccontextmanager
async def serving(scope: Scope = Scope.AGENT, **keys: Any) -> AsyncIterator[Site]:
    """Serve operations until the block is left."""

    async def who(request: web.Request) -> Caller:
        name = request.headers.get("X-Agent", "planner")
        tenant = request.headers.get("X-Tenant", "acme")
        return Caller(agent=name, tenant=tenant, scope=scope)

    desk = Desk()
    app = web.Application(client_max_size=HTTP_REQUEST_BYTES_MAX)
    api.add_operations(app, desk.operations(), who, **keys)
    runner = web.AppRunner(
        app, access_log=None, auto_decompress=False, lingering_time=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(url) as client:
            yield Site(client, desk)
    finally:
        await runner.cleanup()
