"""What the server itself has to answer, and a line that breaks while it is read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from bus.edge.http import problems
from bus.edge.http.serving import serve


@asynccontextmanager
async def faulty(*middlewares: Any) -> AsyncIterator[str]:
    """Serve what breaks, before its answer and in the middle of it."""

    async def before(_: web.Request) -> web.Response:
        raise ValueError("/srv/secret.db is broken")

    async def within(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "10"})
        await answer.prepare(request)
        await answer.write(b"12345")
        raise ValueError("/srv/secret.db is broken")

    async def line(_: web.Request) -> web.Response:
        raise ConnectionResetError("a part of ours hung up")

    app = web.Application(middlewares=middlewares)
    app.router.add_get("/before", before)
    app.router.add_get("/within", within)
    app.router.add_get("/line", line)
    async with serve(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


async def test_a_fault_of_the_server_is_a_problem_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged with all of it, and told with nothing of it."""
    async with (
        faulty() as url,
        aiohttp.ClientSession(url) as client,
        client.get("/before") as answer,
    ):
        told = msgspec.json.decode(await answer.read())
        assert (answer.status, told["code"]) == (500, "internal")
        assert "secret" not in str(told)
        assert answer.headers["Server"] == "assent"
    assert "secret.db" in caplog.text


async def test_an_answer_that_has_begun_is_broken_off() -> None:
    """There is no second answer in the middle of the first."""
    async with faulty() as url, aiohttp.ClientSession(url) as client:
        with pytest.raises(aiohttp.ClientError):
            async with client.get("/within") as answer:
                await answer.read()


async def test_a_line_of_our_own_that_breaks_is_a_fault_of_our_own() -> None:
    """Only where the client has gone there is nobody to be told."""
    async with faulty(problems.answer) as url, aiohttp.ClientSession(url) as client:
        async with client.get("/line") as answer:
            assert answer.status == 500
            assert msgspec.json.decode(await answer.read())["code"] == "internal"
        await asyncio.sleep(0)
