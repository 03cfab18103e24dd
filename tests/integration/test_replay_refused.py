"""What `assent replay` refuses, before anything is sent, and how it says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from bus.cli.output import WRONG_USAGE
from bus.cli.recordings import formats, reading
from bus.core.errors import MalformedMessageError
from bus.core.limits import REPLAY_LINE_BYTES_MAX
from tests.fakes.replays import DOJO, GOOD, OWN, run


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "f.jsonl: no record in it"),
        ("\n \n", "f.jsonl: no record in it"),
        ("[1]\n", "f.jsonl:1: Expected `object`"),
        ("{}\n", "f.jsonl:1: no known format"),
        ('{"agent": 1\n', "f.jsonl:1: "),
        (GOOD + "{", "f.jsonl:2: "),
        (GOOD + DOJO.read_text(), "f.jsonl:2: "),
        (GOOD + GOOD.replace("body", "bdy"), "f.jsonl:2: "),
        (GOOD + GOOD.replace("1}", '1, "x": 1}'), "f.jsonl:2: "),
        (GOOD.replace("1}", "NaN}"), "f.jsonl:1: "),
        (GOOD.replace("1}", "[" * 5_000), "f.jsonl:1: "),
        (GOOD.replace('"a"', '"a b"'), "f.jsonl:1: agent 'a b'"),
        (GOOD.replace("acme", "A"), "f.jsonl:1: tenant 'A'"),
        (GOOD.replace("tool.get_x.request", "a..b"), "an empty token"),
        (GOOD.replace("1}", '1, "type": "cmd"}'), "type 'cmd' is none of"),
        (GOOD.replace("1}", '1, "task": "a b"}'), "task 'a b'"),
        (GOOD.replace("1}", '1, "time": "\\n"}'), "control characters"),
        (GOOD + GOOD.replace("acme", "other"), "recorded in two tenants"),
        (GOOD.replace('"a"', '"tools:a"'), "those of the receiving agents"),
        ('{"suite": "abc", "task": "t", "calls": [{"tool": "", "args": {}}]}', ":1: "),
        ('{"suite": "abc", "task": "t", "calls": [{"args": {}}]}', ":1: "),
    ],
)
def test_what_is_no_recording_is_refused_with_its_place(
    tmp_path: Path, content: str, said: str
) -> None:
    """One line, code 2, and nothing was sent: there is no record."""
    (tmp_path / "f.jsonl").write_text(content)
    done = run(tmp_path, OWN, "f.jsonl", "--audit", "audit.log")
    assert (done.code, done.out) == (WRONG_USAGE, "")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "audit.log").exists()


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A recording is UTF-8."""
    path = tmp_path / "f.jsonl"
    path.write_bytes(GOOD.encode() + GOOD.replace('"a"', '"é"').encode("latin-1"))
    with pytest.raises(MalformedMessageError, match=r"f\.jsonl:2: "):
        reading.read([path])


def test_a_line_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """Before it is all in memory."""
    path = tmp_path / "f.jsonl"
    path.write_text(GOOD + "x" * (REPLAY_LINE_BYTES_MAX + 1))
    with pytest.raises(MalformedMessageError, match=r"f\.jsonl:2: a line of more"):
        reading.read([path])


def test_too_many_actions_are_refused_unless_a_limit_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bound is a limit of the bus's; what is cut is said."""
    monkeypatch.setattr(reading, "REPLAY_ACTIONS_MAX", 3)
    with pytest.raises(MalformedMessageError, match="more than 3 actions"):
        reading.read([DOJO])
    found = reading.read([DOJO, OWN], limit=2)
    assert len(found.actions) == 2
    assert [source.complete for source in found.sources] == [False, False]
    monkeypatch.setattr(reading, "REPLAY_BYTES_MAX", 100)
    with pytest.raises(MalformedMessageError, match="over 100 bytes in all"):
        reading.read([DOJO])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tools:acme": None}, "needs an agent 'tools:acme'"),
        ({"tools:acme": {"tenant": "acme"}}, "needs an agent 'tools:acme'"),
        ({"tools:acme": {"tenant": "other", "roles": ["tool-receiver"]}}, "belongs to"),
        ({"helper": {"tenant": "none"}}, "unknown tenant 'none'"),
    ],
)
def test_data_that_cannot_serve_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """With what it lacks, and code 2."""
    shown = json.loads(run(tmp_path, OWN, "--show-data").out)
    shown["tenants"]["other"] = {}
    shown["agents"].update(change)
    shown["agents"] = {k: v for k, v in shown["agents"].items() if v is not None}
    (tmp_path / "mine.json").write_text(json.dumps(shown))
    done = run(tmp_path, OWN, "--data", "mine.json")
    assert (done.code, done.out) == (WRONG_USAGE, "")
    assert said in done.err


def test_a_role_beside_own_data_or_an_unknown_one_is_refused(tmp_path: Path) -> None:
    """What would have no effect is not silently taken."""
    (tmp_path / "mine.json").write_text("{}")
    done = run(tmp_path, OWN, "--data", "mine.json", "--role", "reader")
    assert done.code == WRONG_USAGE
    assert "--role is for the default data" in done.err
    done = run(tmp_path, OWN, "--role", "admin")
    assert done.code == WRONG_USAGE
    assert "none of reader, operator" in done.err


@pytest.mark.parametrize(
    ("command", "tool"),
    [
        ("ls -a", "ls"),
        ("ls; rm -rf x", "shell"),
        ("cat a > b", "shell"),
        ("cat a\nrm a", "shell"),
        ("cat $(rm a)", "shell"),
        ("find . -delete", "shell"),
        ("find_file a.py", "find_file"),
        ("rm a; ls", "rm"),
        ("./get_it.sh", "%2E%2Fget_it%2Esh"),
    ],
)
def test_a_command_line_never_seems_to_do_less_than_it_does(
    command: str, tool: str
) -> None:
    """What only begins with a reading command is a shell's, and an effect."""
    line = json.dumps({"run": "r", "step": 0, "action": command}).encode()
    [action] = formats.tell(line).actions(line)
    assert action.tool == tool
