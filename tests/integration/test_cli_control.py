"""A bus that runs, and an operator beside it: `assent top`, `recovery` and `chaos`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bus import Bus
from bus.cli.output import CHECK_FAILED, OK, UNAVAILABLE, WRONG_USAGE
from tests.command import RUN, Ended, assent, assert_one_line_of_error, environment

DATA = {
    "agents": {"op": {"tenant": "acme", "roles": ["ops"]}},
    "roles": {
        "ops": {
            "chaos": ["audit.latency", "policy.*", "memory.*", "disk.*", "clock.*"],
            "publish": [{"subject": "a"}],
            "subscribe": ["a"],
        }
    },
    "tenants": {"acme": {}},
}
SETTINGS = """
[policy]
data = "data.json"
[audit]
file = "audit.log"
[http]
port = 0
[control]
socket = "op.sock"
agent = "op"
[chaos]
enabled = true
max_seconds = 300
blast_radius = 0.5
components = ["policy", "audit", "clock", "memory", "disk"]
"""
MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with settings and policy data."""
    (tmp_path / "data.json").write_text(json.dumps(DATA))
    (tmp_path / "assent.toml").write_text(SETTINGS)
    return tmp_path


@contextmanager
def up(folder: Path, *flags: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a bus until the block is left; wait until it is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "up", "--json", *flags],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = list(iter(process.stdout.readline, "}\n"))
            assert json.loads("".join(lines) + "}")["control"] == "op.sock"
            yield process
            process.send_signal(signal.SIGTERM)
            _, error = process.communicate(timeout=20)
            assert (process.returncode, error) == (OK, "")
        finally:
            process.kill()


def start(folder: Path, *arguments: str, seconds: int = 300) -> Ended:
    """Inject a fault."""
    said = ("--seconds", str(seconds), "--reason", "drill", "--json")
    return assent(folder, "chaos", "start", *arguments, *said)


def left_by_a_bus(file: Path) -> None:
    """Leave a store with a consumer that has not taken its message."""
    asyncio.run(_work(Bus(DATA, store=file)))


async def _work(bus: Bus) -> None:
    async with bus:
        operator = bus.agent("op")
        waits = operator.subscribe("a", asyncio.sleep)
        await operator.unsubscribe(waits)
        (await operator.publish("a", 0)).unwrap()


def recorded(folder: Path, event: str = "chaos") -> list[str]:
    """Return what the audit record says of chaos, or of something else."""
    ended = assent(folder, "audit", "tail", "audit.log", "--json")
    records: list[dict[str, Any]] = ended.document["records"]
    return [one["detail"] for one in records if one["event"] == event]


def test_an_operator_watches_and_orders(folder: Path) -> None:
    """In words and as JSON; the socket is gone afterwards, the lock is not in the way."""
    with up(folder):
        seen = assent(folder, "top", "--json")
        assert (seen.code, seen.err) == (OK, "")
        assert seen.document["standing"] == "healthy"
        assert {check["name"] for check in seen.document["checks"]} >= {"bus running"}
        shown = assent(folder, "top", "--once", "--socket", "op.sock")
        assert shown.out.startswith("healthy (1.00), policy ")
        unknown = assent(folder, "recovery", "approve", "nothing-like-it")
        assert unknown.code == WRONG_USAGE
        assert_one_line_of_error(unknown)
    assert not (folder / "op.sock").exists()
    with up(folder):
        pass


def test_an_operator_rewinds_a_consumer(folder: Path) -> None:
    """One that a bus before has left; it goes into the record."""
    left_by_a_bus(folder / "kept.db")
    with up(folder, "--set", "store.kind=sqlite", "--set", "store.file=kept.db"):
        done = assent(folder, "recovery", "rewind", "op/a", "--json")
        assert (done.code, done.err) == (OK, "")
        assert (done.document["tenant"], done.document["deliveries"]) == ("acme", 1)
        wrong = assent(folder, "recovery", "rewind", "op/b")
        assert wrong.code == WRONG_USAGE
        assert_one_line_of_error(wrong)
        assert "did you mean 'op/a'" in wrong.err
    (told,) = recorded(folder, "recovery")
    assert told.startswith("consumer op/a of acme: rewound to its last ack; ")


def test_a_fault_begins_is_listed_and_stopped(folder: Path) -> None:
    """Policy that cannot be reached cannot be asked for more; stopping needs nobody."""
    with up(folder):
        begun = start(folder, "partition", "policy")
        assert begun.code == OK, begun.err
        (fault,) = begun.document["active"]
        assert (fault["by"], fault["asked"]["component"]) == ("op", "policy")
        more = start(folder, "latency", "audit", "--share", "0.5", "--latency", "1")
        assert more.code == UNAVAILABLE
        assert "injected partition" in more.err
        listed = assent(folder, "chaos", "list")
        assert fault["id"] in listed.out
        assert "audit can be hit by breaker, error, latency, partition" in listed.out
        stopped = assent(folder, "chaos", "stop", "--all", "--json")
        assert [one["id"] for one in stopped.document["ended"]] == [fault["id"]]
        assert start(folder, "partition", "policy").code == OK
    first, second, _, last = recorded(folder)
    assert first.startswith(f"begins {fault['id']} policy.partition: ")
    assert "stopped; hit 1 of 1" in second
    assert "the bus stops" in last


def test_a_fault_ends_by_itself_though_nobody_is_there(folder: Path) -> None:
    """Who ordered it is long gone."""
    with up(folder):
        assert start(folder, "clock", "--jump", "-3600", seconds=1).code == OK
        active = [True]
        while active:  # the test's own time limit ends it otherwise
            active = assent(folder, "chaos", "list", "--json").document["active"]
    assert "its time is over" in recorded(folder)[-1]


def test_memory_and_disk_are_really_taken_and_given_back(folder: Path) -> None:
    """As the kernel counts them."""
    with up(folder) as process:
        before = _resident_bytes(process.pid)
        assert start(folder, "memory", "--amount", str(64 * MIB)).code == OK
        assert _resident_bytes(process.pid) - before > 60 * MIB
        assert start(folder, "disk", "--amount", str(16 * MIB)).code == OK
        assert _unnamed(process.pid, folder)
        assert assent(folder, "chaos", "stop", "--all").code == OK
        assert _resident_bytes(process.pid) - before < 32 * MIB
        assert not _unnamed(process.pid, folder)


REFUSED: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("error", "audit", "--share", "0.1"), CHECK_FAILED, "break audit.error"),
    (("error", "policy", "--share", "0.9"), WRONG_USAGE, "chaos.blast_radius"),
    (("error", "store", "--share", "0.1"), WRONG_USAGE, "not among chaos.compon"),
    (("error", "policy", "--share", "0.1", "--subject", "a"), WRONG_USAGE, "subject"),
    (("fire", "policy"), WRONG_USAGE, "malformed"),
    (("error",), WRONG_USAGE, "error needs a COMPONENT"),
    (("memory", "--amount", str(4 << 40)), WRONG_USAGE, "amount"),
)


def test_what_may_not_be_broken_is_refused(folder: Path) -> None:
    """One line each, and nothing happened."""
    with up(folder):
        for arguments, code, told in REFUSED:
            ended = start(folder, *arguments)
            assert (ended.code, ended.out) == (code, ""), arguments
            assert_one_line_of_error(ended)
            assert told in ended.err
    assert recorded(folder) == []


def test_without_chaos_in_the_settings_nothing_is_broken(folder: Path) -> None:
    """It is off as it comes."""
    plain = SETTINGS.partition("[chaos]")[0]
    (folder / "assent.toml").write_text(plain)
    with up(folder):
        ended = start(folder, "partition", "policy")
    assert ended.code == WRONG_USAGE
    assert "set chaos.enabled" in ended.err


def test_without_a_bus_a_command_says_so(folder: Path) -> None:
    """And without a socket in the settings, what to set."""
    ended = assent(folder, "top", "--once")
    assert ended.code == UNAVAILABLE
    assert_one_line_of_error(ended)
    assert "no bus answers there" in ended.err
    (folder / "assent.toml").unlink()
    ended = assent(folder, "recovery", "list")
    assert ended.code == WRONG_USAGE
    assert "set control.socket" in ended.err


def test_a_second_bus_at_the_same_socket_is_refused(folder: Path) -> None:
    """The first goes on; one that was killed is no obstacle."""
    with up(folder) as process:
        second = assent(folder, "up", "--set", "audit.file=other.log")
        assert second.code == WRONG_USAGE
        assert "another process serves there" in second.err
        assert assent(folder, "top", "--once").code == OK
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        process.returncode = OK  # killed on purpose
    assert (folder / "op.sock").is_socket()
    with up(folder):
        assert assent(folder, "top", "--once").code == OK


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _unnamed(pid: int, folder: Path) -> list[str]:
    """Return the files below `folder` that a process holds and that have no name."""
    found = []
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        target = str(handle.readlink())
        if target.startswith(str(folder)) and target.endswith("(deleted)"):
            found.append(target)
    return found
