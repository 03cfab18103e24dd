"""`assent replay` called in this process, the samples, and what always has to hold."""

from pathlib import Path
from typing import Any

from bus.cli.output import OK
from bus.cli.recordings import replay
from tests.command import ROOT, Ended
from tests.fakes.calls import called

SAMPLES = ROOT / "tests" / "data"
OWN = SAMPLES / "actions.jsonl"
DOJO = SAMPLES / "agentdojo.jsonl"
SWE = SAMPLES / "swe-agent.jsonl"
GOOD = '{"agent": "a", "tenant": "acme", "subject": "tool.get_x.request", "body": 1}\n'


def run(folder: Path, *arguments: str | Path) -> Ended:
    """Call `assent replay` in `folder`."""
    return called(folder, "replay", *map(str, arguments))


def told(folder: Path, *arguments: str | Path) -> Any:
    """Run it and return the document it prints, having ended well."""
    done = run(folder, "--json", *arguments)
    assert (done.code, done.err) == (OK, "")
    return done.document


def by_tool(document: Any) -> dict[str, dict[str, int]]:
    """Return the endings of each tool."""
    return {row["name"]: row["endings"] for row in document["tools"]}


def assert_accounted(document: Any) -> None:
    """Every action has one ending, what was allowed was delivered, the record agrees."""
    ended = sum(document[name] for name in replay.ENDINGS)
    assert (
        ended == document["actions"] == sum(s["actions"] for s in document["sources"])
    )
    assert document["delivered"] == document["allowed"]
    assert document["messages"]["accepted"] == document["allowed"]
    assert {check["state"] for check in document["checks"]} == {"ok"}
    assert len(document["checks"]) == 6
