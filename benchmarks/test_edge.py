"""The table of `python -m benchmarks.edge` is made whole, and nothing fails in it.

Run: .venv/bin/pytest benchmarks/test_edge.py
"""

import json
import subprocess
import sys
from typing import Any, Final

import pytest

from benchmarks.test_policy import expect

SIZE: Final = ("--rounds", "1", "--messages", "1000", "--idle", "20", "--active", "10")
LIMIT_S: Final = 120
ALWAYS: Final = {
    "websocket, 64 a frame: assent",
    "websocket, 64 a frame: relay",
    "websocket, 64 a frame: bare line",
    "websocket, 64 a frame: assent / relay",
    "websocket, one alone, p50: assent",
    "websocket, one alone, p50: assent / relay",
    "websocket, 64 a frame: assent, SQLite",
    "http, 32 connections: assent",
    "http, 32 connections: assent / bare",
    "an idle connection of 20",
    "10 active connections",
    "10 active connections: most / least",
    "hook: a process, p50",
    "hook: over HTTP, p50",
}
MAY_BE_NOTHING: Final = ("processor", "idle")  # of so few


def ended(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command."""
    return subprocess.run(  # noqa: S603 - our interpreter, our module
        [sys.executable, "-m", "benchmarks.edge", *words],
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.timeout(LIMIT_S)
def test_a_short_run_fills_the_table() -> None:
    made = ended("--quick", "--json", "--loop", "asyncio", *SIZE)
    expect(made.returncode == 0, made.stderr.decode())
    found: dict[str, Any] = json.loads(made.stdout)
    rows = {row["what"]: row for row in found["rows"]}
    expect(rows.keys() >= ALWAYS, f"missing: {ALWAYS - rows.keys()}")
    expect(found["failures"] == 0, f"{found['failures']} failures")
    expect(all(row["met"] is None for row in rows.values()), "a short run judges")
    for what, row in rows.items():
        if not any(word in what for word in MAY_BE_NOTHING):
            expect(row["figure"] > 0, f"{what}: nothing was measured")


@pytest.mark.parametrize(
    "words", [["evrything"], ["--rounds", "0"], ["--loop", "another"]]
)
def test_what_cannot_be_measured_is_refused(words: list[str]) -> None:
    made = ended(*words)
    expect(made.returncode == 2, f"ended with {made.returncode}")  # noqa: PLR2004 - argparse's code
    expect(words[0] in made.stderr.decode(), made.stderr.decode())
