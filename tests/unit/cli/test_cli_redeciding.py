"""`assent policy replay`, called in this process."""

import io
import json
import sys
from pathlib import Path

import pytest

from bus.cli import main
from bus.core.errors import UnavailableError
from policy.replay import workers
from tests.fakes import decisionlogs, policies

GIVEN = ("policy", "replay", "--data", "data.json", "--log", "log.jsonl")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with a log and the data of its policy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.json").write_text(json.dumps(policies.data()))
    made = decisionlogs.authorizer()
    events = decisionlogs.events(made, decisionlogs.messages(20, "planner", "worker"))
    decisionlogs.write(tmp_path / "log.jsonl", events)
    return tmp_path


@pytest.mark.usefixtures("place")
def test_a_bar_is_drawn_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, so that what is printed stays what it is."""
    assert main(GIVEN) == 0
    plain = capsys.readouterr()
    assert plain.err == ""
    drawn = Terminal()
    monkeypatch.setattr(sys, "stderr", drawn)
    assert main(GIVEN) == 0
    assert capsys.readouterr().out == plain.out
    assert "replay" in drawn.getvalue()


@pytest.mark.usefixtures("place")
def test_a_lost_process_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not with 1, which would say that there are differences."""

    def lost(*_: object) -> workers.Replayed:
        raise UnavailableError("a process is gone")

    monkeypatch.setattr(workers, "replay", lost)
    assert main(GIVEN) == 2
    assert "a process is gone" in capsys.readouterr().err


def test_what_was_left_out_is_shown(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its place and why, and what the candidate calls that may differ."""
    log = place / "log.jsonl"
    lines = log.read_text().splitlines()
    hidden = json.dumps(json.loads(lines[0]) | {"erased": ["/input"]})
    log.write_text("\n".join([hidden, "{", *lines[2:]]))
    rule = 'decision := {"allow": time.now_ns() > 0, "why": input.message.subject}'
    policies.folder(place / "p", policies.authz(rule))
    given = ("policy", "replay", "--bundle", "p", "--log", "log.jsonl")
    assert main([*given, "--skip-unreadable"]) == 1
    out = capsys.readouterr().out
    assert "not decided log.jsonl:1: no input" in out
    assert "unreadable log.jsonl:2: not a recorded decision" in out
    assert "time.now_ns" in out


def test_nothing_to_decide_ends_with_2(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gate that saw nothing must not open."""
    (place / "log.jsonl").write_text('{"decision_id": "1", "path": "a/b"}\n')
    assert main(GIVEN) == 2
    assert "none of 1 lines" in capsys.readouterr().err


def test_rules_without_data_are_judged_with_the_settings_data(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `policy check --folder` does."""
    rule = 'decision := {"allow": true, "reasons": [], "obligations": []}'
    folder = policies.folder(place / "p", policies.authz(rule))
    (folder / "data.json").unlink()
    given = ("policy", "replay", "--bundle", "p", "--log", "log.jsonl", "--json")
    assert main([*given, "--set", "policy.data=data.json"]) == 1
    assert "deny to allow" in json.loads(capsys.readouterr().out)["changes"]
    assert main(given) == 2
