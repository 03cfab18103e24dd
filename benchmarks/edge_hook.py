"""What a coding agent waits for before it may call a tool: a hook's verdict.

Rule: a process is timed from its start until its verdict was read; another one that
starts the interpreter and does nothing says how much of that is not Assent's.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks.edge_http import connected, written
from benchmarks.edge_node import SENDER
from benchmarks.edge_servers import Server

PATH: Final = "/v1/hooks/claude-code"
LIMIT_S: Final = 60
ASSENT: Final = "import sys; from bus.cli import main; sys.exit(main())"
EVENT: Final = json.dumps(
    {
        "session_id": "benchmark",
        "transcript_path": "/nowhere",
        "cwd": "/work",
        "permission_mode": "default",
        "hook_event_name": "PreToolUse",
        "tool_name": "Bash",
        "tool_input": {"command": "ls -l"},
        "tool_use_id": "t1",
    }
).encode()


class Hooked(msgspec.Struct, frozen=True):
    """How long each took, in milliseconds, and how many verdicts were not `allow`."""

    took_ms: list[float]
    failures: int

    @property
    def p50_ms(self) -> float:
        """Return the median."""
        return median(self.took_ms)


def processes(server: Server, folder: Path, count: int) -> tuple[Hooked, Hooked]:
    """Ask for verdicts, each by a process of its own; and start as many that do nothing."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(server.tokens[SENDER], encoding="ascii")
    at = ("--server", f"http://127.0.0.1:{server.port}", "--token-file", str(token))
    verdict = (sys.executable, "-c", ASSENT, "hook", "claude-code", *at)
    nothing = (sys.executable, "-c", "")
    found: tuple[list[float], list[float]] = ([], [])
    failures = 0
    for _ in range(count):
        took_ms, out = _timed(verdict)
        found[0].append(took_ms)
        failures += not _allowed(out)
        found[1].append(_timed(nothing)[0])
    return Hooked(found[0], failures), Hooked(found[1], 0)


async def over_http(server: Server, count: int) -> Hooked:
    """Ask for verdicts on one connection that is kept open."""
    request = written(PATH, EVENT, server.tokens[SENDER])
    line = await connected(server.port)
    took_ms, failures = [], 0
    try:
        for _ in range(count):
            start = time.perf_counter()
            status, body = await line.ask(request)
            took_ms.append((time.perf_counter() - start) * 1e3)
            failures += status != 200 or not _allowed(body)  # noqa: PLR2004 - HTTP's word for well
    finally:
        await line.close()
    return Hooked(took_ms, failures)


def _timed(words: tuple[str, ...]) -> tuple[float, bytes]:
    start = time.perf_counter()
    ended = subprocess.run(  # noqa: S603 - our interpreter, our command
        words, input=EVENT, stdout=subprocess.PIPE, timeout=LIMIT_S, check=False
    )
    took_ms = (time.perf_counter() - start) * 1e3
    return took_ms, ended.stdout if ended.returncode == 0 else b""


def _allowed(answer: bytes) -> bool:
    """Tell whether an answer lets the call of the tool happen."""
    try:
        told = json.loads(answer)["hookSpecificOutput"]
    except (ValueError, KeyError):
        return False
    return bool(told["permissionDecision"] == "allow")
