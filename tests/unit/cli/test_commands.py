"""Commands called in this process: what they print and the code they return."""

import asyncio
import io
import json
import signal
import sys
import urllib.request
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import typer

from bus.adapters.audit import FileAudit
from bus.adapters.clock import SystemClock
from bus.cli import main, output, serving
from bus.cli.diagnosis import BINARIES, package
from bus.cli.version import distribution_version
from bus.config import load
from bus.core.errors import (
    BusError,
    DeniedError,
    HandlerError,
    KeyRingError,
    OverloadedError,
    SubjectError,
)
from policy.constitution import BUILT_IN

KEYS = f'active = 1\nkeys = {{1 = "{"ab" * 32}"}}'
DATA = {
    "agents": {"planner": {"tenant": "acme", "roles": ["plan"]}},
    "roles": {"plan": {"publish": [{"subject": "tasks.>"}]}},
    "tenants": {"acme": {}},
}
ALLOW = "package assent.authz\n\ndecision := {'allow': true}\n".replace("'", '"')
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with policy data, rules with tests, an input and an audit record."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.json").write_text(json.dumps(DATA))
    (tmp_path / "in.json").write_text('{"x": 1}')
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.rego").write_text(ALLOW)
    (tmp_path / "rules" / "a_test.rego").write_text(
        "package a\n\ntest_good if data.agents.planner\n\ntest_bad if 1 == 2\n"
    )

    async def write() -> None:
        log = FileAudit(tmp_path / "audit.log", SystemClock())
        await log.open()
        for time_ns in (1, 10**25):
            log.append(("denied", time_ns, b"", "acme", "planner", "t", "r", "no", b""))
        await log.close()

    asyncio.run(write())
    return tmp_path


RULES = ["--set", "policy.folder=rules", "--data", "data.json"]
TO = ["--set", "decision_log.collector_url=https://h/v1", "--set"]
TOKEN = [*TO, "decision_log.collector_token_file=none", "--set"]
SPOOL = ["--set", "decision_log.spool=s", "--set"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 0, "Usage: assent"),
        (["--version"], 0, distribution_version()),
        (["config", "show"], 0, "http.port"),
        (["config", "check"], 0, "no policy data"),
        (["config", "check", "--set", "policy.data=data.json"], 0, "revision"),
        (["config", "check", "--set", "policy.data=none"], 1, "none"),
        (["config", "check", "--set", f"stamp.keys={KEYS}"], 0, "KeyRing(1 keys"),
        (["config", "check", "--set", "constitution.file=rules"], 1, "rules"),
        (["config", "check", "--set", "stages=[{name='direct'}]"], 1, "no stage"),
        (["config", "check", "--set", "decision_log.file=d.log"], 0, "to d.log"),
        (["config", "check", "--set", "decision_log.file=rules"], 1, "no regular file"),
        (
            ["config", "check", "--set", "decision_log.file=no/d.log"],
            1,
            "no is no folder",
        ),
        (["config", "check", "--set", "decision_log.keep=3"], 1, "nothing uses it"),
        (["config", "check", *TO, "decision_log.keep=8"], 1, "decision_log.spool: "),
        (["config", "check", *TO, "decision_log.spool=s/t"], 0, "by way of s/t"),
        (["config", "check", *TO, "decision_log.spool=in.json"], 1, "is no folder"),
        (["config", "check", *SPOOL, "decision_log.collector_url=ftp://h"], 1, "ftp:"),
        (["config", "check", *TOKEN, "decision_log.spool=s"], 1, "none: No such file"),
        (["audit", "verify", "audit.log"], 0, "whole, 2 records"),
        (["audit", "verify", "--set", "audit.file=audit.log"], 0, "(checked)"),
        (["audit", "verify", "audit.log", "--head", "none"], 2, "no audit head"),
        (["audit", "tail", "audit.log"], 0, "1970-01-01 00:00:00.000"),
        (["audit", "tail", "audit.log", "-n", "1"], 0, f"{10**25} ns"),
        (["audit", "tail"], 2, "no audit file"),
        (["doctor", "--set", "audit.file=audit.log"], 0, "2 records, whole"),
        (["doctor", "--set", "audit.file=none.log"], 0, "not there yet"),
        (["doctor", "--set", "audit.file=rules"], 1, "Is a directory"),
        (["doctor"], 0, "in memory only"),
        (["doctor", "--set", "http.prot=1"], 1, "http.port"),
        (["policy", "check", *RULES], 0, "decisions are cached"),
        (["policy", "check", "--folder", "none", "--data", "x"], 1, "no such folder"),
        (["policy", "test", "rules", "--data", "data.json"], 1, "1 passed, 1 failed"),
        (["policy", "test", "--set", "policy.folder=rules"], 1, "test_good"),
        (["policy", "eval", "1 + 1"], 0, "2"),
        (["policy", "eval", "input.x", "--input", "in.json"], 0, "1"),
        (["policy", "eval", "data.none", *RULES], 0, "undefined"),
        (["policy", "eval", "1 +"], 1, "assent: "),
        (["policy", "check"], 2, "no policy data"),
        (["nothing"], 2, "No such command"),
        (["config", "show", "--config", "none.toml"], 2, "No such file"),
    ],
)
def test_what_a_command_says_and_how_it_ends(
    arguments: list[str], code: int, said: str, capsys: Capture
) -> None:
    """For a person: results on stdout, errors in one line on stderr."""
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(
    ("arguments", "code", "key"),
    [
        (["config", "show"], 0, "settings"),
        (["config", "check"], 0, "checks"),
        (["config", "check", "--set", "http.prot=1"], 1, "checks"),
        (["audit", "verify", "audit.log"], 0, "summary"),
        (["audit", "tail", "audit.log"], 0, "records"),
        (["doctor"], 0, "checks"),
        (["policy", "check", *RULES], 0, "report"),
        (["policy", "check", "--data", "none"], 1, "report"),
        (["policy", "test", "rules", "--data", "data.json"], 1, "tests"),
        (["policy", "eval", "input"], 0, "results"),
    ],
)
def test_json_is_one_document_and_nothing_else(
    arguments: list[str], code: int, key: str, capsys: Capture
) -> None:
    """Whatever the result of a check."""
    assert main([*arguments, "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert key in document
    assert document.get("ok", True) is (code == 0)


@pytest.mark.parametrize("gone", ["head", "head and end"])
def test_a_record_without_its_head_is_not_passed(
    gone: str, folder: Path, capsys: Capture
) -> None:
    """Whoever cuts the end off takes the head away as well: nothing else would show."""
    record = folder / "audit.log"
    (folder / "audit.log.head").unlink()
    if gone == "head and end":
        record.write_bytes(record.read_bytes().splitlines(keepends=True)[0])
    assert main(["audit", "verify", "audit.log", "--json"]) == output.CHECK_FAILED
    printed = capsys.readouterr()
    said = json.loads(printed.out)
    assert (said["ok"], said["summary"]["head_checked"]) == (False, False)
    assert "no head was checked" in said["reason"]
    assert "no head was checked" in printed.err
    assert main(["audit", "verify", "audit.log"]) == output.CHECK_FAILED
    assert "not checked" in capsys.readouterr().out


def test_a_record_may_be_checked_without_a_head_when_told(
    folder: Path, capsys: Capture
) -> None:
    """`--no-head` is a decision of the operator, and what was not checked is said."""
    (folder / "audit.log.head").unlink()
    assert main(["audit", "verify", "audit.log", "--no-head", "--json"]) == output.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["summary"]["head_checked"]) == (True, False)
    both = ["audit", "verify", "audit.log", "--no-head", "--head", "h"]
    assert main(both) == output.WRONG_USAGE
    assert "contradict" in capsys.readouterr().err


def test_a_head_that_is_there_is_checked_whatever_is_told(
    folder: Path, capsys: Capture
) -> None:
    """`--no-head` does without one; it overlooks none."""
    record = folder / "audit.log"
    record.write_bytes(record.read_bytes().splitlines(keepends=True)[0])
    told = ["audit", "verify", "audit.log", "--no-head"]
    assert main(told) == output.CHECK_FAILED
    assert "its head names block" in capsys.readouterr().err


def test_a_broken_record_is_named_by_its_line(folder: Path, capsys: Capture) -> None:
    """On stderr for a person, in the document for a program."""
    record = folder / "audit.log"
    record.write_bytes(record.read_bytes().replace(b"denied", b"agreed", 1))
    assert main(["audit", "verify", "audit.log", "--json"]) == output.CHECK_FAILED
    printed = capsys.readouterr()
    line = json.loads(printed.out)["line"]
    assert f"line {line}" in printed.err


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b'{"x": 7}', 0, "7"),
        (b"\xff", 2, "not UTF-8"),
        (b" " * (1 << 20), 2, "longer than"),
    ],
)
def test_the_input_comes_from_stdin_within_bounds(
    content: bytes,
    code: int,
    said: str,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`--input -`: UTF-8, and no longer than an input may be."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["policy", "eval", "input.x", "--input", "-"]) == code
    printed = capsys.readouterr()
    assert said in printed.out + printed.err


def test_doctor_says_how_to_get_what_is_missing(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in PATH is no failure: not everybody needs everything."""
    monkeypatch.setenv("PATH", str(folder))
    assert main(["doctor", "--json"]) == output.OK
    checks = json.loads(capsys.readouterr().out)["checks"]
    found = {check["name"]: check for check in checks}
    for name, how in BINARIES.items():
        assert found[f"binary {name}"] == {
            "name": f"binary {name}",
            "state": "missing",
            "text": how,
        }


def failing(error: BaseException) -> Callable[[typer.Typer], None]:
    """Return what registers commands of which `fail` raises `error`."""

    def register(app: typer.Typer) -> None:
        @app.command("fail")
        def fail() -> None:
            raise error

    return register


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyRingError("x"), output.WRONG_USAGE),
        (HandlerError("x"), output.WRONG_USAGE),
        (SubjectError("x"), output.WRONG_USAGE),
        (FileNotFoundError(2, "x", "file"), output.WRONG_USAGE),
        (OverloadedError("x", retry_after_s=1), output.UNAVAILABLE),
        (OSError("x"), output.UNAVAILABLE),
        (DeniedError(("x",), decision_id="", revision=""), output.CHECK_FAILED),
        (BusError("x"), output.CHECK_FAILED),
        (ZeroDivisionError("x"), output.FAULT),
        (KeyboardInterrupt(), output.INTERRUPTED),
    ],
)
def test_every_error_has_its_exit_code_and_one_line(
    error: BaseException, code: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever must act can be told from the code; even a fault shows no traceback."""
    monkeypatch.setattr("bus.cli.entry.COMMANDS", (failing(error), failing(error)))
    assert main(["fail"]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == (0 if code == output.INTERRUPTED else 1)


def test_up_is_ready_then_stops_at_a_signal() -> None:
    """The endpoint answers as soon as it is announced; afterwards it is gone."""
    settings = load(environ={}, flags=["policy.data=data.json", "http.port=0"])
    seen: list[serving.Up] = []

    def announced(up: serving.Up) -> None:
        seen.append(up)
        signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    serving.run(settings, announced)
    assert signal.getsignal(signal.SIGTERM) == before
    assert seen[0].constitution == BUILT_IN.hash
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{seen[0].url}/livez")  # noqa: S310 - http on loopback


def test_a_package_that_is_missing_is_a_failure() -> None:
    """With the command that installs it; one that is there says its version."""
    missing = package("no-such-package>=1")
    assert (missing.state, missing.name) == ("failed", "package no-such-package")
    assert "pip install 'no-such-package>=1'" in missing.text
    assert package("msgspec>=0.1; python_version > '3'").text == metadata.version(
        "msgspec"
    )


@pytest.mark.parametrize("as_json", [True, False])
def test_the_announcement_says_where_and_what(as_json: bool, capsys: Capture) -> None:  # noqa: FBT001 - a parameter of the test
    """As one document or as one line."""
    up = serving.Up(
        url="http://x:1",
        revision="rev",
        constitution="const",
        audit="audit.log",
        made=("data: all of it",),
        admin_token="secret" if not as_json else None,
    )
    serving.announce(up, as_json=as_json)
    out = capsys.readouterr().out
    if as_json:
        assert json.loads(out)["url"] == "http://x:1"
    else:
        made, token, told = out.splitlines()
        assert (made, token[-6:]) == ("made data: all of it", "secret")
        assert "http://x:1" in told
    assert "rev" in out


def test_a_node_without_tokens_says_how_to_make_one(capsys: Capture) -> None:
    """Nobody gets in, and nothing failed."""
    up = serving.Up(url="http://x:1", revision="r", constitution="c", audit="a")
    serving.announce(up, as_json=False)
    assert "assent token create AGENT" in capsys.readouterr().out
