"""The endpoint tells alive from ready and refuses the rest in one form."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest

from bus.adapters.http import server
from bus.core.errors import ConfigurationError

TEXT = (b"assent_up 1\n", "text/plain; version=0.0.4; charset=utf-8")


@contextlib.asynccontextmanager
async def endpoint(
    checks: Mapping[str, server.Check] | None = None,
    render: server.Render = lambda _: TEXT,
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve on a free port and give a client of it."""
    async with (
        server.serve(checks or {}, render, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        yield client


async def get(client: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    """Return status and text."""
    async with client.get(path) as response:
        return response.status, await response.text()


async def test_alive_is_not_ready() -> None:
    """A bus that cannot work yet is not killed for it."""
    async with endpoint({"policy": lambda: (False, "not loaded")}) as client:
        assert await get(client, "/livez") == (200, "ok\n")
        assert await get(client, "/readyz") == (503, "not ready\n")


async def test_ready_needs_every_check() -> None:
    """One part that is not well is enough, and verbose names it."""
    state = {"audit": (False, "failing: No space\nleft")}
    checks = {"policy": lambda: (True, "r1"), "audit": lambda: state["audit"]}
    async with endpoint(checks) as client:
        assert await get(client, "/readyz?verbose") == (
            503,
            "[+] policy: r1\n[-] audit: failing: No space left\nnot ready\n",
        )
        state["audit"] = (True, "writing")
        assert await get(client, "/readyz") == (200, "ready\n")
        assert await get(client, "/readyz?verbose") == (
            200,
            "[+] policy: r1\n[+] audit: writing\nready\n",
        )


async def test_a_check_that_breaks_is_not_ready() -> None:
    """A fault in a check is never taken for health."""

    def broken() -> tuple[bool, str]:
        raise RuntimeError("no such part")

    async with endpoint({"part": broken}) as client:
        status, text = await get(client, "/readyz?verbose")
        assert status == 503
        assert "[-] part: RuntimeError: no such part" in text


async def test_a_check_that_answers_oddly_is_not_ready() -> None:
    """Only True is ready: a coroutine or a word, though truthy, is not."""

    def odd() -> tuple[bool, str]:
        return "yes", "odd"  # type: ignore[return-value]  # the point of the test

    async with endpoint({"part": odd}) as client:
        assert (await get(client, "/readyz"))[0] == 503


async def test_metrics_follow_the_accept_header() -> None:
    """The header is handed on, and text and type come back as rendered."""
    asked: list[str] = []

    def render(accept: str) -> tuple[bytes, str]:
        asked.append(accept)
        return TEXT

    async with endpoint(render=render) as client:
        headers = {"Accept": "application/openmetrics-text"}
        async with client.get("/metrics", headers=headers) as response:
            assert await response.read() == TEXT[0]
            assert response.headers["Content-Type"] == TEXT[1]
    assert asked == ["application/openmetrics-text"]


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/", 404, "Not Found"),
        ("GET", "/metrics/../../etc/passwd", 404, "Not Found"),
        ("GET", "/livez/", 404, "Not Found"),
        ("POST", "/livez", 405, "Method Not Allowed"),
        ("DELETE", "/metrics", 405, "Method Not Allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem(
    method: str, path: str, status: int, title: str
) -> None:
    """RFC 9457, for whatever is refused."""
    async with endpoint() as client, client.request(method, path) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        assert await response.json() == {
            "type": "about:blank",
            "title": title,
            "status": status,
        }


async def test_a_body_past_the_bound_is_refused() -> None:
    """Nobody needs to send this endpoint anything."""
    async with (
        endpoint() as client,
        client.post("/livez", data=b"x" * 5_000) as response,
    ):
        assert response.status == 413
        assert response.content_type == "application/problem+json"


async def test_a_line_past_the_bound_is_refused() -> None:
    """A request line is bounded, and the server goes on."""
    async with endpoint() as client:
        assert (await get(client, "/livez?" + "x" * 5_000))[0] == 400
        assert (await get(client, "/livez"))[0] == 200


async def test_garbage_is_refused_and_the_server_goes_on() -> None:
    """What is not HTTP ends its connection and nothing else."""
    async with server.serve({}, lambda _: TEXT, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x00\xff garbage\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            assert (await get(client, "/livez"))[0] == 200


async def test_a_port_in_use_is_an_error_of_the_settings() -> None:
    """The start stops, and says where."""
    async with server.serve({}, lambda _: TEXT, "127.0.0.1", 0) as port:
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}"):
            async with server.serve({}, lambda _: TEXT, "127.0.0.1", port):
                pytest.fail("the port was bound twice")


async def test_leaving_closes_the_port() -> None:
    """After the block nobody answers, though a connection was kept open."""
    async with server.serve({}, lambda _: TEXT, "127.0.0.1", 0) as port:
        client = aiohttp.ClientSession(f"http://127.0.0.1:{port}")
        assert (await get(client, "/livez"))[0] == 200
    with pytest.raises(aiohttp.ClientError):
        await get(client, "/livez")
    await client.close()
