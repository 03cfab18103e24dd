"""`assent replay` as a user sees it: every recorded action is accounted for."""

import json
import os
from pathlib import Path

import pytest

from bus.cli.output import CHECK_FAILED, OK
from bus.cli.recordings import replay
from bus.core.limits import PAYLOAD_BYTES_MAX
from bus.subscription import Delivery
from tests.command import ROOT
from tests.fakes.replays import (
    DOJO,
    GOOD,
    OWN,
    SWE,
    assert_accounted,
    by_tool,
    run,
    told,
)

REAL = ("agentdojo/*/calls.jsonl", "swe-agent/steps.jsonl")


def recordings() -> list[Path]:
    """Return the real recordings, or skip the test where there are none."""
    given = os.environ.get("ASSENT_REPLAY_DATA")  # noqa: TID251 - a test's own switch
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    found = [p for pattern in REAL for p in sorted(folder.glob(pattern))]
    if given:
        assert found, f"ASSENT_REPLAY_DATA: no recordings in {folder}"
    if not found:
        pytest.skip("no real recordings: set ASSENT_REPLAY_DATA to their folder")
    return found


def test_every_recorded_action_is_accounted_for(tmp_path: Path) -> None:
    """Three formats at once, told by their content, under the default data."""
    document = told(tmp_path, DOJO, SWE, OWN)
    assert_accounted(document)
    assert [s["format"] for s in document["sources"]] == [
        "AgentDojo calls", "SWE-agent steps", "Assent actions",
    ]  # fmt: skip
    assert [s["without_action"] for s in document["sources"]] == [1, 1, 0]
    assert (document["allowed"], document["denied"]) == (6, 5)


def test_a_reader_may_read_and_an_operator_may_do_more(tmp_path: Path) -> None:
    """The rule is the name of the tool, and what is no tool is granted to nobody."""
    read = by_tool(told(tmp_path, DOJO, OWN))
    assert read["get_ticket"] == {"allowed": 2}
    assert read["send_mail"] == {"denied": 1}
    assert read["alerts.disk.full"] == {"denied": 1}
    operated = by_tool(told(tmp_path, DOJO, OWN, "--role", "operator"))
    assert operated["send_mail"] == {"allowed": 1}
    assert operated["alerts.disk.full"] == {"denied": 1}


def test_why_an_action_was_made_changes_nothing(tmp_path: Path) -> None:
    """With the kinds of the tasks exchanged, all endings are the same."""
    other = tmp_path / "other.jsonl"
    text = DOJO.read_text().replace('"kind": "user"', '"kind": "x"')
    text = text.replace('"kind": "injection"', '"kind": "user"')
    other.write_text(text.replace('"kind": "x"', '"kind": "injection"'))
    assert by_tool(told(tmp_path, other)) == by_tool(told(tmp_path, DOJO))


def test_the_agents_are_those_of_the_recording(tmp_path: Path) -> None:
    """Each publishes under its own name and in its own tenant."""
    document = told(tmp_path, DOJO, SWE, OWN)
    agents = {row["name"]: row["actions"] for row in document["agents"]}
    assert agents["assistant:helpdesk"] == 4
    assert agents["helper"] == 2
    assert sum(name.startswith("swe-agent:") for name in agents) == 2


def test_a_person_reads_what_was_let_in_and_why_not(tmp_path: Path) -> None:
    """Tables by tool, agent and reason, the rule that was applied, and the checks."""
    done = run(tmp_path, DOJO, OWN)
    assert (done.code, done.err) == (OK, "")
    for said in (
        "assistant-reader may use 3 tools",
        "effect (send)",
        "agent assistant:helpdesk has no role",
        "3 denied",
        "every action accounted for",
        "decision cache",
    ):
        assert said in done.out


def test_a_limit_replays_the_first_actions(tmp_path: Path) -> None:
    """And counts only these."""
    document = told(tmp_path, DOJO, OWN, "--limit", "3")
    assert_accounted(document)
    assert document["actions"] == 3


def test_a_body_over_the_bound_is_rejected_and_counted(tmp_path: Path) -> None:
    """The bus refuses it; the replay goes on and accounts for it."""
    path = tmp_path / "f.jsonl"
    path.write_text(GOOD.replace("1}", f'"{"x" * PAYLOAD_BYTES_MAX}"}}') + GOOD)
    document = told(tmp_path, path)
    assert_accounted(document)
    assert (document["rejected"], document["allowed"]) == (1, 1)
    assert any("body bytes" in reason for reason in document["reasons"])


def test_the_default_data_can_be_shown_changed_and_used(tmp_path: Path) -> None:
    """A recorded agent that the data does not know, or knows elsewhere, is not let in."""
    shown = json.loads(run(tmp_path, OWN, "--show-data").out)
    shown["agents"]["watcher"] = {"tenant": "other", "roles": []}
    shown["tenants"]["other"] = {}
    del shown["agents"]["helper"]
    (tmp_path / "mine.json").write_text(json.dumps(shown))
    document = told(tmp_path, OWN, "--data", "mine.json")
    assert_accounted(document)
    assert (document["not_let_in"], document["allowed"]) == (3, 0)
    assert document["policy"]["data"] == "mine.json"
    reasons = " ".join(document["reasons"])
    assert "no enabled agent 'helper'" in reasons
    assert "agent watcher belongs to tenant other, not to acme" in reasons


def test_a_policy_of_ones_own_decides(tmp_path: Path) -> None:
    """A folder of Rego, with the default data or with the data that lies in it."""
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "mine.rego").write_text(
        "package assent.authz\n"
        'default decision := {"allow": false, "reasons": ["not today"]}\n'
        'decision := {"allow": true} if input.action != "publish"\n'
    )
    document = told(tmp_path, OWN, "--policy", folder)
    assert_accounted(document)
    assert document["reasons"] == {"not today": 3}
    shown = json.loads(run(tmp_path, OWN, "--show-data").out)
    del shown["agents"]["helper"]
    (folder / "data.json").write_text(json.dumps(shown))
    document = told(tmp_path, OWN, "--policy", folder)
    assert document["not_let_in"] == 2
    assert document["policy"]["data"] == str(folder / "data.json")


def test_an_agent_that_may_not_connect_is_not_let_in(tmp_path: Path) -> None:
    """The refusal is in the record, and the record agrees."""
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "mine.rego").write_text(
        "package assent.authz\n"
        'default decision := {"allow": true}\n'
        'decision := {"allow": false, "reasons": ["keep out"]} if {\n'
        '\tinput.action == "connect"\n\tinput.principal.id == "helper"\n}\n'
    )
    document = told(tmp_path, OWN, "--policy", folder)
    assert_accounted(document)
    assert (document["not_let_in"], document["allowed"]) == (2, 1)


def test_an_action_that_is_not_delivered_fails_the_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let in and never received: code 1, and the check says so."""

    async def lose(_player: object, delivery: Delivery) -> None:
        delivery.term("lost by the test")

    monkeypatch.setattr("bus.cli.recordings.replay._Player._received", lose)
    done = run(tmp_path, OWN)
    assert done.code == CHECK_FAILED
    assert "FAILED" in done.out
    assert "1 allowed + 2 denied; 0 delivered" in " ".join(done.out.split())


def test_long_tables_are_cut_and_the_document_has_all(tmp_path: Path) -> None:
    """The cut is said, and nothing is lost from the count."""
    path = tmp_path / "f.jsonl"
    lines = [GOOD.replace("get_x", f"do_{n}") for n in range(60)]
    path.write_text("".join(lines))
    done = run(tmp_path, path, "--limit", "59")
    assert "and 9 more; --json has all" in done.out
    assert "44  for 44 other reasons" in done.out
    assert "first 59" in done.out
    assert len(told(tmp_path, path)["reasons"]) == 60


def test_reasons_past_the_bound_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many tools there are, what is kept of them is bounded."""
    monkeypatch.setattr(replay, "REPLAY_REASONS_MAX", 2)
    path = tmp_path / "f.jsonl"
    path.write_text("".join(GOOD.replace("get_x", f"do_{n}") for n in range(5)))
    reasons = told(tmp_path, path)["reasons"]
    assert reasons["other reasons"] == 3
    assert len(reasons) == 3


def test_all_real_recordings_are_accounted_for(tmp_path: Path) -> None:
    """AgentDojo's and SWE-agent's, as their authors wrote them, under both roles."""
    paths = recordings()
    expected = 0
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            expected += len(record["calls"]) if "calls" in record else 1
    reader = told(tmp_path, *paths)
    assert_accounted(reader)
    assert reader["actions"] == expected
    assert reader["allowed"] > 0
    assert reader["denied"] > 0
    assert set(reader["policy"]["rules"]["effect"]) == {
        row["name"] for row in reader["tools"] if "denied" in row["endings"]
    }
    operator = told(tmp_path, *paths, "--role", "operator")
    assert_accounted(operator)
    assert operator["allowed"] == expected
