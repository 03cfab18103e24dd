"""`assent policy explain` and `deps`, called in this process."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bus.cli import main
from tests.fakes import decisionlogs, policies

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a log and the data of its policy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.json").write_text(json.dumps(policies.data()))
    write(tmp_path)
    return tmp_path


def write(place: Path, **changes: Any) -> None:
    """Write a log of an allowed and a denied decision, with the changes."""
    made = decisionlogs.authorizer()
    messages = decisionlogs.messages(2, "planner", "intruder")
    events = [{**one, **changes} for one in decisionlogs.events(made, messages)]
    decisionlogs.write(place / "log.jsonl", events)


def explained(*arguments: str) -> int:
    """Run the command on the log."""
    given = ("--log", "log.jsonl", "--data", "data.json")
    return main(["policy", "explain", *arguments, *given])


def message(number: int) -> str:
    """Return the id of a message of the log."""
    return number.to_bytes(16, "big").hex()


def test_a_message_is_explained_by_its_rules(place: Path, capsys: Capture) -> None:
    """The decision, the rules by file and line, the input they read."""
    assert explained(message(1)) == 0
    out = capsys.readouterr().out
    assert "deny" in out
    assert "data.assent.authz.permitted" in out
    assert "authz.rego:" in out
    assert "principal.id" in out
    assert '"intruder"' in out
    assert place.exists()


def test_the_document_says_it_all(place: Path, capsys: Capture) -> None:
    """By the id of the message or of the decision."""
    del place
    for name in (message(0), "d-00000000"):
        assert explained(name, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        (one,) = document["explanations"]
        assert document["ok"]
        assert one["message_id"] == message(0)
        assert one["revision"] == one["explanation"]["revision"]
        assert one["explanation"]["allow"] is True
        assert one["explanation"]["obligations"]
        decided = [f for f in one["explanation"]["findings"] if f["decided"]]
        assert all(f["rule"] and f["file"] and f["line"] for f in decided)


def test_an_input_is_explained_under_the_policy_at_hand(
    place: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file or from stdin."""
    event = json.loads((place / "log.jsonl").read_text().splitlines()[0])
    text = json.dumps(event["input"])
    (place / "input.json").write_text(text)
    given = ["policy", "explain", "--data", "data.json", "--json", "--input"]
    assert main([*given, "input.json"]) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main([*given, "-"]) == 0
    assert capsys.readouterr().out == first
    assert main([*given[:-2], "--input", "input.json"]) == 0
    assert "allow" in capsys.readouterr().out


def test_another_revision_is_said_and_refused(place: Path, capsys: Capture) -> None:
    """Another policy would give another explanation."""
    (place / "other.json").write_text(json.dumps({**policies.data(), "limits": {}}))
    given = ["policy", "explain", message(0), "--log", "log.jsonl", "--json"]
    assert main([*given, "--data", "other.json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "log.jsonl:1: decided under revision" in said.err
    assert "--bundle" in said.err


def test_the_policy_that_decided_can_be_named(place: Path, capsys: Capture) -> None:
    """Whatever the settings say."""
    rule = 'decision := {"allow": true, "reasons": [], "obligations": []}'
    folder = policies.folder(place / "old", policies.authz(rule))
    made = decisionlogs.authorizer(folder)
    event = decisionlogs.event(made, policies.message(), 0)
    decisionlogs.write(place / "old.jsonl", [event])
    given = ["policy", "explain", "d-00000000", "--log", "old.jsonl"]
    assert main([*given, "--data", "data.json"]) == 2
    assert main([*given, "--bundle", "old"]) == 0
    assert "authz.rego:3" in capsys.readouterr().out


def test_a_log_without_revisions_is_explained_and_it_is_said(
    place: Path, capsys: Capture
) -> None:
    """That it comes out the same is all that tells whether the policy is the one."""
    write(place, bundles={}, revision=None)
    assert explained(message(1), "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)["explanations"]
    assert (one["revision"], one["unrecorded"]) == ("", True)
    under = one["explanation"]["revision"]
    assert explained(message(1)) == 0
    assert f"not recorded; explained under {under}" in capsys.readouterr().out
    changed = {"allow": True, "reasons": [], "obligations": []}
    write(place, bundles={}, revision=None, result=changed)
    assert explained(message(1)) == 1
    assert "does not tell under which revision" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["erased", "masked"])
def test_hidden_input_is_named_and_nothing_is_guessed(
    place: Path, capsys: Capture, word: str
) -> None:
    """What was recorded is shown; it ends with an error."""
    write(place, **{word: ["/input/message/subject"]})
    assert explained(message(0), "--json") == 1
    said = capsys.readouterr()
    (one,) = json.loads(said.out)["explanations"]
    assert one["missing"] == ["input.message.subject"]
    assert one["explanation"] is None
    assert one["recorded"]["allow"] is True
    assert "cannot be explained fully" in said.err
    assert explained(message(0)) == 1
    assert "not recorded" in capsys.readouterr().out


def test_a_decision_that_does_not_come_out_again_is_a_problem(
    place: Path, capsys: Capture
) -> None:
    """The log was changed, or the revision does not say everything."""
    write(place, result={"allow": True, "reasons": [], "obligations": []})
    assert explained(message(1)) == 1
    assert "otherwise than was recorded" in capsys.readouterr().err


def test_what_policy_did_not_decide_is_not_explained(
    place: Path, capsys: Capture
) -> None:
    """A deadline has no rule."""
    write(place, error={"code": "policy_deadline", "message": "late"})
    assert explained(message(1)) == 1
    assert "policy did not decide" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody", "--log", "log.jsonl"], "no decision on message nobody"),
        (["m"], "--log FILE, or"),
        ([], "one of MESSAGE_ID and --input"),
        (["m", "--input", "x"], "one of MESSAGE_ID and --input"),
        ([" ", "--log", "log.jsonl"], "MESSAGE_ID is empty"),
        (["m", "--log", "none.jsonl"], "none.jsonl: No such file"),
        (["bad1", "--log", "bad.jsonl"], "bad.jsonl:2: not a recorded decision"),
        (["--input", "bad.jsonl"], "bad.jsonl:"),
    ],
)
def test_what_cannot_be_looked_up_is_an_error(
    place: Path, capsys: Capture, arguments: list[str], said: str
) -> None:
    """One line that says what to do, and exit code 2."""
    (place / "bad.jsonl").write_text('{"x": 1}\n{"decision_id": "bad1",\n')
    assert main(["policy", "explain", *arguments, "--data", "data.json"]) == 2
    assert said in capsys.readouterr().err


def test_deps_tell_what_a_rule_reads(place: Path, capsys: Capture) -> None:
    """For a person and for a program; without data the built-in rules are read."""
    del place
    assert main(["policy", "deps", "data.assent.authz.decision", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cacheable"] is True
    assert "principal.id" in document["input"]
    assert "agents" in document["data"]
    assert "data.assent.authz.allow" in document["rules"]
    assert main(["policy", "deps", "assent.subjects.covers"]) == 0
    out = capsys.readouterr().out
    assert "subjects.rego:" in out
    assert "nothing" in out


def test_deps_of_a_folder_and_of_what_is_volatile(place: Path, capsys: Capture) -> None:
    """It says why it cannot be cached."""
    policies.folder(
        place / "p", policies.authz("decision := time.now_ns()", "a := input")
    )
    given = ["policy", "deps", "--folder", "p"]
    assert main([*given, "data.assent.authz.decision"]) == 0
    assert "no: time.now_ns" in capsys.readouterr().out
    assert main([*given, "assent/authz/a"]) == 0
    assert "all of it" in capsys.readouterr().out


def test_a_misspelt_rule_is_an_error_with_a_suggestion(
    place: Path, capsys: Capture
) -> None:
    """Exit code 2, nothing on stdout."""
    del place
    assert main(["policy", "deps", "data.assent.authz.alow"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "did you mean 'data.assent.authz.allow'?" in said.err
