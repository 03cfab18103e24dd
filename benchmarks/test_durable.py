"""The table of `python -m benchmarks.durable` is made whole, and nothing fails in it.

Run: .venv/bin/pytest benchmarks/test_durable.py
"""

import json
import subprocess
import sys
from typing import Any, Final

import pytest

from benchmarks.test_policy import expect

STORED: Final = 3_000
SIZE: Final = ("--rounds", "1", "--messages", "2000", "--stored", str(STORED))
LIMIT_S: Final = 120
ALWAYS: Final = {
    "bare inserts, 1,000 a commit",
    "assent, 1,000 in flight",
    "assent / bare, as many a commit",
    "bare inserts, as many a commit as publish_many",
    "assent, publish_many of 1,000",
    "publish_many / bare, as many a commit",
    "assent / bare, one alone",
    "publish to handler to ack",
    "replay",
    f"opening {STORED:,} messages",
    f"opening {STORED:,} messages, memory at most",
    f"publish at {STORED:,} stored / at 1,000",
}


def ended(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command."""
    return subprocess.run(  # noqa: S603 - our interpreter, our module
        [sys.executable, "-m", "benchmarks.durable", *words],
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.timeout(LIMIT_S)
def test_a_short_run_fills_the_table() -> None:
    made = ended("--quick", "--json", *SIZE)
    expect(made.returncode == 0, made.stderr.decode())
    found: dict[str, Any] = json.loads(made.stdout)
    rows = {row["what"]: row for row in found["rows"]}
    expect(rows.keys() >= ALWAYS, f"missing: {ALWAYS - rows.keys()}")
    expect(found["failures"] == 0, f"{found['failures']} failures")
    expect(all(row["met"] is None for row in rows.values()), "a short run judges")
    expect(all(row["figure"] > 0 for row in rows.values()), "nothing was measured")


@pytest.mark.parametrize("words", [["evrything"], ["--rounds", "0"]])
def test_what_cannot_be_measured_is_refused(words: list[str]) -> None:
    made = ended(*words)
    expect(made.returncode == 2, f"ended with {made.returncode}")  # noqa: PLR2004 - argparse's code
    expect(words[0] in made.stderr.decode(), made.stderr.decode())
