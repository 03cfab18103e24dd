"""`assent mcp` as its users have it: a process behind stdio, and over streamable HTTP."""

import asyncio
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from bus.cli import main
from tests.command import RUN, Ended, assent, assert_one_line_of_error, environment
from tests.fakes.mcps import (
    ACCEPT,
    INITIALIZE,
    TOKEN,
    Calls,
    kept_node,
    over_http,
)
from tests.fakes.nodes import Running


async def test_a_process_speaks_nothing_but_the_protocol_on_stdout() -> None:
    """Each line of it is JSON-RPC, and it ends when its input does."""
    async with kept_node() as running:
        process = await started(running, "intern")
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 7, "method": "nonsense"}\n')
        process.stdin.write(b"this is no JSON\n")
        answer = await process.stdout.readline()
        process.stdin.close()
        rest = await process.stdout.read()
        assert await process.wait() == 0
    for line in (answer + rest).splitlines():
        assert line.startswith(b"{")
        assert b'"jsonrpc"' in line
    assert b'"id":7' in answer + rest


def surroundings(running: Running, agent: str) -> dict[str, str]:
    """Return the environment of a command that acts as an agent."""
    return {
        **environment(),
        "HOME": "/nonexistent",
        "ASSENT_TOKEN": running.token(agent),
    }


async def started(running: Running, agent: str) -> asyncio.subprocess.Process:
    """Start the command as an MCP client does."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUN,
        "mcp",
        "--server",
        running.url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=surroundings(running, agent),
    )


async def test_the_sdks_client_calls_tools_over_stdio() -> None:
    """What policy lets in and what it does not, and an inbox."""
    async with kept_node() as running:
        parameters = StdioServerParameters(
            command=sys.executable,
            args=["-c", RUN, "mcp", "--server", running.url],
            env=surroundings(running, "intern"),
        )
        async with Client(stdio_client(parameters)) as client:
            call = Calls(client)
            await call("subscribe", pattern="notes.*", inbox="box")
            sent = await call("publish", subject="notes.a", body={"x": 1})
            assert sent["status"] == "accepted"
            found = await call("receive", inbox="box", wait_seconds=5)
            assert [one["body"] for one in found["messages"]] == [{"x": 1}]
            told = await call.fault("publish", subject="tasks.a")
            assert told["code"] == "denied"


async def test_the_sdks_client_calls_tools_over_http() -> None:
    """In both forms of the protocol, with the token that callers show."""
    async with (
        kept_node() as running,
        over_http(running, "intern", token=TOKEN) as (url, _),
    ):
        for mode in ("2026-07-28", "legacy"):
            shown = {"Authorization": f"Bearer {TOKEN}"}
            async with (
                create_mcp_http_client(headers=shown) as http,
                Client(
                    streamable_http_client(url, http_client=http), mode=mode
                ) as client,
            ):
                call = Calls(client)
                sent = await call("publish", subject="notes.a", body={"x": 1})
                assert sent["status"] == "accepted"
                told = await call.fault("publish", subject="tasks.a")
                assert told["code"] == "denied"


async def status(url: str, body: Any = None, **headers: str) -> int:
    """Return the status of a request."""
    async with (
        aiohttp.ClientSession(headers={**ACCEPT, **headers}) as session,
        session.post(url, json=INITIALIZE if body is None else body) as answer,
    ):
        return answer.status


async def test_who_shows_no_token_is_refused() -> None:
    """With 401; a wrong one, two of them and another scheme as well."""
    async with (
        kept_node() as running,
        over_http(running, "intern", token=TOKEN) as (url, _),
    ):
        assert await status(url) == 401
        for shown in ("Bearer wrong", f"Basic {TOKEN}", "", TOKEN):
            assert await status(url, Authorization=shown) == 401
        assert await status(url, Authorization=f"Bearer {TOKEN}") == 200


async def test_a_page_of_another_site_cannot_have_it_called() -> None:
    """By a name that was pointed here, or by its origin."""
    async with kept_node() as running, over_http(running, "intern") as (url, port):
        assert await status(url) == 200
        assert await status(url, Host="rebound.example") == 421
        assert await status(url, Host=f"localhost:{port + 1}") == 421
        assert await status(url, Origin="https://rebound.example") == 403
        assert await status(url, Origin=f"http://127.0.0.1:{port}") == 200


async def test_a_body_that_is_too_long_is_refused() -> None:
    """Before anything looks at it."""
    async with kept_node() as running, over_http(running, "intern") as (url, _):
        large = BytesIO(b'"' + b"x" * (3 << 20) + b'"')
        shown = {**ACCEPT, "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession(headers=shown) as session,
            session.post(url, data=large) as answer,
        ):
            assert answer.status == 413
        assert await status(url) == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--transport streamable-http --host 192.0.2.1", "--callers-token-file"),
        ("--transport streamable-http --certificate none.pem", "go together"),
        ("--transport streamable-http --callers-token-file none", "none"),
        ("--transport streamable-http --callers-token-file words", "one line"),
        ("--port 1", "streamable-http"),
        ("--json", "streamable-http"),
    ],
)
def test_what_is_not_safe_or_does_nothing_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    said: str,
) -> None:
    """In one line, before anything is served."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "words").write_text("two words\n")
    assert main(["mcp", *arguments.split()]) == 2
    ended = Ended(2, *capsys.readouterr())
    assert ended.out == ""
    assert_one_line_of_error(ended)
    assert said in ended.err


async def test_the_command_serves_over_http_until_a_signal() -> None:
    """Its first line names the URL; on SIGTERM it ends in order, its inboxes too."""
    async with kept_node() as running:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            RUN,
            *("mcp", "--transport", "streamable-http", "--port", "0"),
            *("--server", running.url),
            stdout=asyncio.subprocess.PIPE,
            env=surroundings(running, "intern"),
        )
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("MCP at http://127.0.0.1:")
        async with Client(line.split()[-1]) as client:
            opened = await Calls(client)("subscribe", pattern="notes.*")
        ledger = running.node.bus._host.ledger  # noqa: SLF001 - what it keeps is looked at
        assert ledger is not None
        assert ledger.consumers.named("acme", opened["inbox"]) is not None
        process.terminate()
        assert await process.stdout.read() == b""
        assert await process.wait() == 0
        assert ledger.consumers.named("acme", opened["inbox"]) is None


def test_without_the_extra_the_command_says_how_to_get_it(tmp_path: Path) -> None:
    """In one line, with what to install."""
    (tmp_path / "mcp.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'mcp'\", name='mcp')\n"
    )
    paths = f"{tmp_path}:{environment()['PYTHONPATH']}"
    ended = assent(tmp_path, "mcp", PYTHONPATH=paths, HOME=str(tmp_path))
    assert ended.code == 2
    assert_one_line_of_error(ended)
    assert "pip install 'assent[mcp]'" in ended.err
