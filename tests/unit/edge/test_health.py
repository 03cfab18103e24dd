"""The endpoint tells alive from ready, and shows what is inside to who may see it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bus.core.edgeerrors import UnauthenticatedError
from bus.core.errors import ConfigurationError
from bus.edge.caller import Caller, Scope
from bus.edge.http.app import application
from bus.edge.http.health import Check, Health, Render, insider_of
from bus.edge.http.serving import serve, url_of

TEXT = (b"assent_up 1\n", "text/plain; version=0.0.4; charset=utf-8")


async def nobody(_: web.Request) -> Caller:
    """Let nobody in."""
    raise UnauthenticatedError("no credential")


def app_of(
    checks: Mapping[str, Check] | None = None,
    render: Render = lambda _: TEXT,
    told: str = "loopback",
    **options: Any,
) -> web.Application:
    """Return an application of health alone."""
    health = Health(lambda: checks or {}, render, insider_of(told, nobody))
    return application(health, **options)


@contextlib.asynccontextmanager
async def endpoint(*given: Any, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve on a free port and give a client of it."""
    async with (
        serve(app_of(*given, **options), "127.0.0.1", 0) as port,
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


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
async def test_a_proxy_on_this_machine_is_not_this_machine(header: str) -> None:
    """Who is behind it is somebody else, whatever the connection says."""
    async with endpoint() as client:
        for path in ("/metrics", "/readyz?verbose"):
            async with client.get(path, headers={header: "192.0.2.1"}) as answer:
                assert answer.status == 401
        async with client.get("/readyz", headers={header: "192.0.2.1"}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(("told", "status"), [("token", 401), ("open", 200)])
async def test_metrics_are_for_whom_the_settings_say(told: str, status: int) -> None:
    """For operators only, or for everybody."""
    headers = {"Via": "a proxy"} if told == "open" else {}
    async with endpoint(told=told) as client:
        async with client.get("/metrics", headers=headers) as answer:
            assert answer.status == status
        assert (await get(client, "/livez"))[0] == 200


@pytest.mark.parametrize(
    ("scope", "status"),
    [(Scope.AGENT, 403), (Scope.OPERATOR, 200), (Scope.ADMIN, 200)],
)
async def test_an_agents_credential_shows_no_metrics(scope: Scope, status: int) -> None:
    """They are an operator's."""

    async def who(_: web.Request) -> Caller:
        return Caller(agent="a", tenant="acme", scope=scope)

    health = Health(dict, lambda _: TEXT, insider_of("token", who))
    async with (
        serve(application(health), "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        assert (await get(client, "/metrics"))[0] == status


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/metrics/../../etc/passwd", 404, "not_found"),
        ("GET", "/livez/", 404, "not_found"),
        ("POST", "/livez", 405, "method_not_allowed"),
        ("DELETE", "/metrics", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem(
    method: str, path: str, status: int, code: str
) -> None:
    """RFC 9457, for whatever is refused; the server does not say what it is made of."""
    async with endpoint() as client, client.request(method, path) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        assert (await response.json())["code"] == code
        assert response.headers["Server"] == "assent"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_line_past_the_bound_is_refused() -> None:
    """A request line is bounded, and the server goes on."""
    async with endpoint() as client:
        assert (await get(client, "/livez?" + "x" * 9_000))[0] == 400
        assert (await get(client, "/livez"))[0] == 200


async def test_garbage_is_refused_and_the_server_goes_on() -> None:
    """What is not HTTP ends its connection and nothing else."""
    async with serve(app_of(), "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x00\xff garbage\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            assert (await get(client, "/livez"))[0] == 200


async def test_a_port_in_use_is_an_error_of_the_settings() -> None:
    """The start stops, and says where."""
    async with serve(app_of(), "127.0.0.1", 0) as port:
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}"):
            async with serve(app_of(), "127.0.0.1", port):
                pytest.fail("the port was bound twice")


async def test_leaving_closes_the_port() -> None:
    """After the block nobody answers, though a connection was kept open."""
    async with serve(app_of(), "127.0.0.1", 0) as port:
        client = aiohttp.ClientSession(f"http://127.0.0.1:{port}")
        assert (await get(client, "/livez"))[0] == 200
    with pytest.raises(aiohttp.ClientError):
        await get(client, "/livez")
    await client.close()


async def test_a_node_that_stops_keeps_no_connection_open() -> None:
    """Whoever asks meanwhile comes again on a new one, perhaps to another node."""
    async with endpoint(ending=lambda: True) as client, client.get("/livez") as answer:
        assert answer.headers["Connection"] == "close"


def test_an_ipv6_address_stands_in_brackets() -> None:
    """So that the port can be told from it."""
    assert url_of("::1", 1, secure=False) == "http://[::1]:1"
    assert url_of("127.0.0.1", 1, secure=True) == "https://127.0.0.1:1"
