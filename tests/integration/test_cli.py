"""The command line in a process of its own: usage, settings, audit and doctor."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bus.adapters.audit import FileAudit
from bus.adapters.clock import SystemClock
from bus.cli.output import CHECK_FAILED, FAULT, OK, UNAVAILABLE, WRONG_USAGE
from tests.command import RUN, assent, assert_one_line_of_error, environment

HELP_S_MAX = 0.4
RECORDS = 5


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """An audit record that the product itself has written."""

    async def write(path: Path) -> None:
        log = FileAudit(path, SystemClock())
        await log.open()
        for number in range(RECORDS):
            agent = f"a{number}"
            log.append(
                ("accepted", 1, b"\1" * 16, "acme", agent, "t.x", "r1", "\x1b[2J", b"")
            )
        await log.close()

    path = tmp_path / "audit.log"
    asyncio.run(write(path))
    return path


def test_help_is_there_at_once(tmp_path: Path) -> None:
    """The best of five starts: whoever asks for help does not wait for the bus."""
    took_s = []
    for _ in range(5):
        started = time.perf_counter()
        ended = assent(tmp_path, "--help")
        took_s.append(time.perf_counter() - started)
        assert ended.code == OK
        assert {"up", "policy", "config", "audit", "doctor"} <= set(ended.out.split())
    assert min(took_s) <= HELP_S_MAX


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "No such command"),
        (["config"], "Missing command"),
        (["config", "show", "--jsn"], "No such option"),
        (["config", "show", "--set"], "requires an argument"),
        (["config", "show", "--set", "http.prot=1"], "did you mean 'http.port'"),
        (["config", "show", "--config", "none.toml"], "none.toml: No such file"),
        (["config", "show", "--config", "."], "Is a directory"),
        (["config", "show", "--set", "http.port=\x1b[2J"], "http.port"),
        (["up", "--set", "policy.data=none.json"], "none.json"),
        (["policy", "check"], "no policy data"),
        (["policy", "test", "none"], "no such folder"),
        (["policy", "test", "."], "no policy file"),
        (["policy", "eval"], "Missing argument"),
        (["policy", "eval", "1", "--input", "none.json"], "none.json: No such file"),
        (["audit", "verify"], "no audit file"),
        (["audit", "verify", "none.log"], "none.log: No such file"),
        (["audit", "tail", "none.log", "--json"], "none.log: No such file"),
        (["audit", "tail", "x", "-n", "0"], "--count"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    """On stderr, with stdout empty, so that a pipe gets nothing it cannot read."""
    ended = assent(tmp_path, *arguments)
    assert (ended.code, ended.out) == (WRONG_USAGE, "")
    assert said in ended.err
    assert_one_line_of_error(ended)


def test_exit_codes_differ() -> None:
    """A script can tell them apart."""
    assert len({OK, CHECK_FAILED, WRONG_USAGE, UNAVAILABLE, FAULT}) == 5


def test_config_show_says_where_from_and_masks_secrets(tmp_path: Path) -> None:
    """From file, environment and flag at once."""
    (tmp_path / "assent.toml").write_text("[http]\nport = 1\n[bus]\nmax_deliver = 3")
    ended = assent(
        tmp_path,
        *("config", "show", "--json", "--set", "http.host=::1"),
        ASSENT__HTTP__PORT="2",
        ASSENT__STAMP__KEYS="hunter2",
    )
    assert (ended.code, ended.err) == (OK, "")
    shown = {
        row["key"]: (row["value"], row["origin"]) for row in ended.document["settings"]
    }
    assert shown["bus.max_deliver"] == (3, "file assent.toml")
    assert shown["http.port"] == (2, "environment ASSENT__HTTP__PORT")
    assert shown["http.host"] == ("::1", "flag --set")
    assert shown["stamp.keys"] == ("***", "environment ASSENT__STAMP__KEYS")
    assert "hunter2" not in ended.out


def test_config_show_is_readable_without_json(tmp_path: Path) -> None:
    """One line for each setting."""
    ended = assent(tmp_path, "config", "show")
    assert ended.code == OK
    line = next(line for line in ended.out.splitlines() if line.startswith("http.port"))
    assert line.split() == ["http.port", "8222", "default"]


@pytest.mark.parametrize(
    ("flag", "failed", "said"),
    [
        ("http.port=x", "settings", "Expected `int`"),
        ("stages=[{name='redcat'}]", "stages", "did you mean 'redact'"),
        ("stages=[{name='redact', options={x=1}}]", "stages", "no option 'x'"),
        ("strategies=[{name='stiky'}]", "strategies", "did you mean 'sticky'"),
        ("constitution.file=none.toml", "constitution", "none.toml"),
        ("stamp.keys_file=none.toml", "stamp keys", "none.toml: No such file"),
        ("stamp.keys=hunter2", "stamp keys", "TOML"),
    ],
)
def test_config_check_finds_what_cannot_be_honoured(
    tmp_path: Path, flag: str, failed: str, said: str
) -> None:
    """By making it, and saying which check failed, with code 1."""
    ended = assent(tmp_path, "config", "check", "--json", "--set", flag)
    assert (ended.code, ended.err) == (CHECK_FAILED, "")
    assert ended.document["ok"] is False
    texts = {
        c["name"]: c["text"] for c in ended.document["checks"] if c["state"] == "failed"
    }
    assert list(texts) == [failed]
    assert said in texts[failed]
    assert "hunter2" not in ended.out


def test_config_check_passes_what_holds(tmp_path: Path) -> None:
    """With stages and strategies that are made."""
    (tmp_path / "assent.toml").write_text(
        "[[stages]]\nname = 'redact'\noptions = {headers = ['x']}\n"
        "[[strategies]]\nname = 'sticky'\nsubjects = ['a.>']\n"
    )
    ended = assent(tmp_path, "config", "check", "--json")
    assert ended.code == OK
    found = {c["name"]: c["text"] for c in ended.document["checks"]}
    assert found["stages"] == "redact"
    assert found["strategies"] == "sticky"


def test_audit_verify_and_tail_read_a_real_record(tmp_path: Path, record: Path) -> None:
    """Named on the command line or in the settings."""
    ended = assent(tmp_path, "audit", "verify", str(record), "--json")
    assert ended.code == OK
    assert ended.document["ok"] is True
    assert ended.document["summary"]["records"] == RECORDS
    assert ended.document["summary"]["head_checked"] is True
    ended = assent(
        tmp_path, "audit", "tail", "-n", "2", "--json", "--set", f"audit.file={record}"
    )
    assert [entry["agent"] for entry in ended.document["records"]] == ["a3", "a4"]


def test_what_a_record_holds_cannot_control_the_terminal(
    tmp_path: Path, record: Path
) -> None:
    """An agent that writes escape codes reaches no screen with them."""
    ended = assent(tmp_path, "audit", "tail", str(record))
    assert ended.code == OK
    assert ended.out.count("accepted") == RECORDS
    assert "\x1b" not in ended.out


def test_audit_verify_names_the_broken_line(tmp_path: Path, record: Path) -> None:
    """With code 1, in words on stderr and in the document."""
    lines = record.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"a", b"b", 1)
    record.write_bytes(b"".join(lines))
    ended = assent(tmp_path, "audit", "verify", str(record), "--json")
    assert ended.code == CHECK_FAILED
    assert ended.document["ok"] is False
    assert isinstance(ended.document["line"], int)
    assert_one_line_of_error(ended)
    assert f"line {ended.document['line']}" in ended.err


def test_doctor_says_what_is_there_and_what_is_not(
    tmp_path: Path, record: Path
) -> None:
    """A missing binary is no failure and comes with how to get it."""
    ended = assent(
        tmp_path,
        "doctor",
        "--json",
        "--set",
        f"audit.file={record}",
        PATH=str(tmp_path),
    )
    found = {check["name"]: check for check in ended.document["checks"]}
    assert found["python"]["text"].endswith(".".join(map(str, sys.version_info[:3])))
    assert found["binary opa"]["state"] == "missing"
    assert "go install github.com/open-policy-agent/opa@" in found["binary opa"]["text"]
    assert found["event loop"]["state"] == "ok"
    assert found["audit record"]["text"] == f"{RECORDS} records, whole; head checked"
    assert ended.code == OK


def test_doctor_fails_when_something_is_broken(tmp_path: Path, record: Path) -> None:
    """A record that was changed is a failure, with code 1."""
    record.write_bytes(record.read_bytes()[1:])
    ended = assent(tmp_path, "doctor", "--json", "--set", f"audit.file={record}")
    assert ended.code == CHECK_FAILED
    found = {check["name"]: check["state"] for check in ended.document["checks"]}
    assert found["audit record"] == "failed"


def test_a_reader_that_stops_early_is_no_fault(tmp_path: Path) -> None:
    """`assent config show | head` ends without a word on stderr."""
    command = [sys.executable, "-c", RUN, "config", "show"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
