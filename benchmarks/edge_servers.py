"""The servers that are measured, each a process of its own, and what they tell at the end.

Rule: a server that does not end in order, or counted a message that it lost, is a failure.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.contest import BrokenContestError

START_S: Final = 60.0
STOP_S: Final = 60.0


class Server(msgspec.Struct):
    """A server that runs; `failures` is known once it has ended."""

    name: str
    pid: int
    port: int
    tokens: dict[str, str]
    failures: int = 0

    def rss_bytes(self) -> int:
        """Return the memory that it has in RAM."""
        pages = Path(f"/proc/{self.pid}/statm").read_bytes().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self) -> float:
        """Return the processor's time that it has used."""
        told = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii")
        ticks = told.rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def node(folder: Path, loop: str, kind: str = "plain") -> AsyncIterator[Server]:
    """Run a node with everything on until the block is left."""
    await asyncio.to_thread(folder.mkdir)
    words = ("benchmarks.edge_node", str(folder), loop, kind)
    async with _running("assent", *words) as server:
        yield server


@asynccontextmanager
async def relay(loop: str) -> AsyncIterator[Server]:
    """Run bare aiohttp until the block is left."""
    async with _running("relay", "benchmarks.edge_relay", loop) as server:
        yield server


@asynccontextmanager
async def _running(name: str, *words: str) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(START_S):
            told = await _line(process)
        server = Server(name, process.pid, told["port"], told["tokens"])
        yield server
        async with asyncio.timeout(STOP_S):
            out, _ = await process.communicate(b"")
        server.failures = (process.returncode != 0) + _counted(out)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    line = b"" if process.stdout is None else await process.stdout.readline()
    if not line:
        raise BrokenContestError("a server did not start; see above why")
    told: dict[str, Any] = json.loads(line)
    return told


def _counted(out: bytes) -> int:
    """Return the failures that a node counted itself; a relay counts none."""
    return int(json.loads(out)["failures"]) if out.strip() else 0
