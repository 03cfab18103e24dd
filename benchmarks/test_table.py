"""The table of `python -m benchmarks.policy` is made whole, and says what is missing.

Run: .venv/bin/pytest benchmarks/test_table.py
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.test_policy import expect

COMMAND = ("-m", "benchmarks.policy", "--quick", "--rounds", "1", "--json")
LIMIT_S = 120
ALWAYS = {
    "decision cache hit",
    "embedded miss / bare engine",
    "isolated / embedded",
    "evaluations for 10,000 misses of one key",
    "heartbeat late in a swap of 20,000 agents",
    "heartbeat late in an idle loop",
}
REMOTE = {"remote p50 / raw client, tcp", "remote, 32 in flight / raw client, tcp"}


def table(*more: str, path: str | None = None) -> dict[str, Any]:
    """Return the document that a short run prints."""
    env = dict(os.environ)  # noqa: TID251 - a process of ours needs all of it
    if path is not None:
        env["PATH"] = path
    ended = subprocess.run(  # noqa: S603 - our interpreter, our module
        [sys.executable, *COMMAND, *more],
        capture_output=True,
        timeout=LIMIT_S,
        check=True,
        env=env,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    expect(found["failures"] == 0, f"{found['failures']} failures")
    return found


@pytest.mark.timeout(LIMIT_S)
def test_a_short_run_fills_the_table(tmp_path: Path) -> None:
    found = table("--data", str(tmp_path))
    rows = {row["what"]: row for row in found["rows"]}
    expect(rows.keys() >= ALWAYS, f"missing: {ALWAYS - rows.keys()}")
    expect(rows["evaluations for 10,000 misses of one key"]["figure"] == 1, "not one")
    expect(all(row["met"] is None for row in rows.values()), "a short run judges")
    expect("hit ratio, AgentDojo" in found["absent"], "no word on what is not there")
    if shutil.which("opa"):
        expect(rows.keys() >= REMOTE, f"missing: {REMOTE - rows.keys()}")


@pytest.mark.timeout(LIMIT_S)
def test_recorded_actions_are_replayed_twice(tmp_path: Path) -> None:
    place = tmp_path / "agentdojo" / "bank"
    place.mkdir(parents=True)
    calls = [{"tool": "get_balance", "args": {}}, {"tool": "send_money", "args": {}}]
    task = {"suite": "bank", "task": "t", "calls": calls + calls}
    (place / "calls.jsonl").write_text(json.dumps(task) + "\n")
    found = table("--data", str(tmp_path), path=str(tmp_path))
    rows = {row["what"]: row["figure"] for row in found["rows"]}
    expect(rows["hit ratio, AgentDojo, again, warm"] == 1, "evaluated again")
    cold = rows["hit ratio, AgentDojo, 4 actions, cold"]
    expect(0 < cold < 1, f"cold: {cold}")
    expect("opa is not in PATH" in found["absent"]["remote / raw client"], "silent")
