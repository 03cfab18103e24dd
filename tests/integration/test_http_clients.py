"""The HTTP interface as others' programs see it: schemathesis and curl."""

import asyncio
import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from bus.subscription import Delivery
from tests.fakes.messaging import HurriedClock, serving

EXAMPLES = 3  # of each operation, beside those that cover its schema
SEED = 7  # the same cases each time: a failure can be looked at
BOUND_S = 180  # of a machine that others use as well


async def run(*command: str, folder: Path) -> tuple[int, str]:
    """Return how a program ended, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    async with asyncio.timeout(BOUND_S):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.mark.timeout(BOUND_S + 20)
async def test_schemathesis_has_nothing_to_say(tmp_path: Path) -> None:
    """Every operation does what its document says."""

    async def answer(delivery: Delivery) -> int:
        return delivery.attempt

    async with serving(clock=HurriedClock()) as site:
        site.bus.agent("worker").subscribe(">", answer)
        ended, said = await run(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{site.url}/v1/openapi.json",
            "--header=Authorization: Bearer planner",
            f"--max-examples={EXAMPLES}",
            "--workers=1",  # the parser of Python 3.11 is not for several at once
            "--generation-database=none",
            "--no-color",
            f"--seed={SEED}",
            folder=tmp_path,
        )
        assert ended == 0, said
        assert "No issues found" in said


CURL = ("curl", "--silent", "--fail-with-body", "--max-time", "9")
BEARER = ("-H", "Authorization: Bearer planner")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl in PATH")


async def curl(folder: Path, *arguments: str) -> tuple[int, str]:
    """Return how curl ended, and what it got."""
    return await run(*CURL, *BEARER, *arguments, folder=folder)


@needs_curl
async def test_curl_publishes_and_reads(tmp_path: Path) -> None:
    """As a person would."""
    body = '{"subject": "orders.new", "body": {"order": 7}}'
    async with serving() as site:
        ended, said = await curl(tmp_path, "--json", body, f"{site.url}/v1/messages")
        assert ended == 0, said
        known = msgspec.json.decode(said)["message_id"]
        body_of = await curl(tmp_path, f"{site.url}/v1/messages/{known}/body")
        assert body_of == (0, '{"order":7}')
        headers = ("id: 1", "source: /curl", "type: orders.paid", "specversion: 1.0")
        named = [part for told in headers for part in ("-H", f"ce-{told}")]
        ended, said = await curl(tmp_path, *named, "-d", "{}", f"{site.url}/v1/events")
        assert ended == 0, said


@needs_curl
async def test_curl_follows_a_stream_and_finds_no_way_out(tmp_path: Path) -> None:
    """Pushed events, and a path that climbs."""
    async with serving() as site:
        for number in range(2):
            (await site.bus.agent("planner").publish("orders.new", number)).unwrap()
        accept = ("-N", "--max-time", "1", "-H", "Accept: text/event-stream")
        path = f"{site.url}/v1/streams/default/messages"
        ended, said = await curl(tmp_path, *accept, path)
        assert ended == 28  # it would have gone on
        ids = [line for line in said.splitlines() if line.startswith("id: ")]
        assert ids == ["id: 1", "id: 2"]
        climbs = f"{site.url}/v1/../etc/passwd"
        ended, said = await curl(tmp_path, "--path-as-is", climbs)
        assert ended == 22
        assert msgspec.json.decode(said)["code"] == "not_found"
