"""A coding agent's hook as a process, and over HTTP, against a real node."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from bus.config.hooking import HooksSettings
from bus.core.edgelimits import HOOK_INPUT_BYTES_MAX
from bus.core.errors import ConfigurationError
from tests.command import RUN, environment
from tests.fakes.nodes import Running, data, running_node

EVENT = {
    "session_id": "s1",
    "transcript_path": "/nowhere",
    "cwd": "/work",
    "permission_mode": "default",
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "tool_input": {"command": "ls"},
    "tool_use_id": "t1",
}
URL = "/v1/hooks/claude-code"


@pytest.fixture
def coding() -> dict[str, Any]:
    """Return policy data with a desk, and a role that may only run one tool."""
    made = data()
    made["agents"]["tooldesk"] = {"tenant": "acme", "roles": ["all"]}
    made["roles"]["narrow"]["publish"] = [{"subject": "tool.Bash.*"}]
    return made


@pytest.fixture
async def running(coding: dict[str, Any]) -> AsyncIterator[Running]:
    """Give a node that takes calls of tools."""
    hooks = HooksSettings(agents=("tooldesk",))
    async with running_node(coding, hooks=hooks) as running:
        yield running


async def hook(
    running: Running,
    folder: Path,
    event: bytes,
    agent: str = "intern",
    server: str = "",
) -> tuple[int, str, str]:
    """Run the hook as a coding agent does; return its code and both streams."""
    file = folder / "token"
    await asyncio.to_thread(file.write_text, running.token(agent))
    at = ("--server", server or running.url, "--token-file", str(file))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUN,
        "hook",
        "claude-code",
        *at,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    out, err = await process.communicate(event)
    return process.returncode or 0, out.decode(), err.decode()


def decision(answer: str) -> str:
    """Return the decision in an answer."""
    told = json.loads(answer)["hookSpecificOutput"]
    return str(told["permissionDecision"])


async def test_a_process_answers_allow_and_deny(
    running: Running, tmp_path: Path
) -> None:
    """Both with exit code 0: what is printed counts."""
    code, out, err = await hook(running, tmp_path, json.dumps(EVENT).encode())
    assert (code, decision(out), err) == (0, "allow", "")
    other = json.dumps({**EVENT, "tool_name": "WebFetch"}).encode()
    code, out, err = await hook(running, tmp_path, other)
    assert (code, decision(out), err) == (0, "deny", "")


@pytest.mark.parametrize(
    "server",
    ["http://127.0.0.1:9", "http://127.0.0.1:{port}0/", "https://127.0.0.1:{port}"],
)
async def test_a_node_that_cannot_be_asked_blocks(
    running: Running, tmp_path: Path, server: str
) -> None:
    """Not there, no address, or not speaking TLS: code 2, one line, nothing printed."""
    at = server.format(port=running.node.port)
    code, out, err = await hook(
        running, tmp_path, json.dumps(EVENT).encode(), server=at
    )
    assert (code, out) == (2, "")
    assert err.startswith("assent hook: ")
    assert err.count("\n") == 1


async def test_the_end_of_an_agent_is_not_held_up_by_a_fault(
    running: Running, tmp_path: Path
) -> None:
    """Nothing is let through by it; blocking would keep it from ending for ever."""
    event = json.dumps({**EVENT, "hook_event_name": "SubagentStop"}).encode()
    code, _, _ = await hook(running, tmp_path, event, server="http://127.0.0.1:9")
    assert code == 1


async def test_a_token_that_is_revoked_denies(running: Running, tmp_path: Path) -> None:
    """Through the process with exit code 0 and a verdict, as over HTTP."""
    await running.node.identity.revoke_all("intern")
    code, out, _ = await hook(running, tmp_path, json.dumps(EVENT).encode())
    assert (code, decision(out)) == (0, "deny")


async def test_over_http_every_fault_is_a_verdict_with_status_200(
    running: Running,
) -> None:
    """A coding agent lets a call through on any other status."""
    async with running.client() as nobody, running.client("intern") as intern:
        for client, body in (
            (nobody, json.dumps(EVENT).encode()),
            (intern, b"{"),
            (intern, BytesIO(b"x" * (HOOK_INPUT_BYTES_MAX + 1))),
        ):
            async with client.post(URL, data=body) as answer:
                assert answer.status == 200
                assert decision(await answer.text()) == "deny"
        async with intern.post(URL, json=EVENT) as answer:
            assert decision(await answer.text()) == "allow"


async def test_a_desk_that_policy_does_not_know_stops_the_start(
    coding: dict[str, Any],
) -> None:
    """With the setting named."""
    hooks = HooksSettings(agents=("nobody",))
    with pytest.raises(ConfigurationError, match=r"hooks\.agents"):
        async with running_node(coding, hooks=hooks):
            pass
