"""The log: what is appended is written, in order, and everybody sees when it is not."""

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bus.adapters.clock import SystemClock
from bus.core.errors import (
    BusAlreadyStartedError,
    BusNotStartedError,
    ConfigurationError,
    PolicyLoadError,
)
from bus.core.policylimits import DECISION_LOG_PENDING_MAX
from policy.bundle import Bundle, Origin
from policy.decisionlog import (
    CollectorSettings,
    DecisionLog,
    DecisionLogStalledError,
    FileSettings,
    LogSettings,
    Remains,
    Rules,
    rules_of,
)
from policy.decisionlog.event import EventMaker
from policy.decisionlog.writer import State, Writer
from tests.fakes import policies
from tests.fakes.decisionentries import entry
from tests.fakes.policies import ALLOW_ALL
from tests.fakes.recording import disk_full

HIDES = 'package system.log\nimport rego.v1\nmask contains "/input"\n'


def no_rules() -> Rules | None:
    """Find none."""
    return None


def new_log(folder: Path, rules: Any = no_rules, **more: Any) -> DecisionLog:
    """Return a log to a file."""
    file = FileSettings(path=folder / "d.jsonl")
    return DecisionLog(
        LogSettings(labels={"id": "bus-1"}, file=file, **more), rules, SystemClock()
    )


async def events(folder: Path) -> list[Any]:
    """Return what the file holds."""
    text = await asyncio.to_thread((folder / "d.jsonl").read_text)
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def hiding(tmp_path: Path) -> Bundle:
    """Return a policy that hides every input."""
    folder = policies.folder(tmp_path / "policy", ALLOW_ALL, log__rego=HIDES)
    return Origin(folder=folder).read()


def is_full(log: DecisionLog) -> bool:
    """Look now: it changes behind the type checker's back."""
    return log.full


async def until(holds: Any) -> None:
    """Wait for the thread."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - threads set no event of ours
            await asyncio.sleep(0.005)


async def test_what_is_appended_is_written_in_order(tmp_path: Path) -> None:
    """A few or many, and the counts tell."""
    log = new_log(tmp_path)
    await log.open()
    for count in (1, 300, 2_000):
        for _ in range(count):
            log.append(entry(f"d-{log.stats().appended}"))
        await log.flush()
        assert log.stats().pending == 0
    assert log.health() == (True, "writing")
    assert await log.close() == Remains()
    assert [event["decision_id"] for event in await events(tmp_path)] == [
        f"d-{number}" for number in range(2_301)
    ]
    stats = log.stats()
    assert (stats.appended, stats.written) == (2_301, 2_301)


async def test_what_is_appended_is_written_without_being_asked(tmp_path: Path) -> None:
    """One decision does not wait for others."""
    log = new_log(tmp_path)
    await log.open()
    log.append(entry("one"))
    await until(lambda: log.stats().written)
    await log.close()


async def test_a_log_that_is_not_open_takes_nothing(tmp_path: Path) -> None:
    """Before the start and after the end; it is full then, so nobody should try."""
    log = new_log(tmp_path)
    assert is_full(log)
    with pytest.raises(BusNotStartedError, match="one not recorded"):
        log.append(entry("one"))
    assert log.health() == (False, "not open")
    assert await log.close() == Remains()
    await log.open()
    assert not is_full(log)
    with pytest.raises(BusAlreadyStartedError):
        await log.open()
    await log.close()
    assert is_full(log)
    with pytest.raises(BusNotStartedError):
        log.append(entry("one"))


async def test_a_file_that_cannot_be_kept_stops_the_start(tmp_path: Path) -> None:
    """With the reason."""
    log = new_log(tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="missing"):
        await log.open()


async def test_rules_mask_what_comes_after_them(tmp_path: Path, hiding: Bundle) -> None:
    """A change of policy is between two decisions, in the order they were made."""
    log = new_log(tmp_path)
    await log.open()
    log.append(entry("shown"))
    log.follow(lambda: rules_of(hiding))
    log.append(entry("hidden"))
    log.follow(no_rules)
    log.append(entry("shown again"))
    await log.close()
    assert [("input" in event) for event in await events(tmp_path)] == [
        *(True, False, True),
    ]


async def test_rules_at_the_start_are_those_last_followed(
    tmp_path: Path, hiding: Bundle
) -> None:
    """Also when the policy changed before the log was open."""
    log = new_log(tmp_path)
    log.follow(lambda: rules_of(hiding))
    await log.open()
    log.append(entry("hidden"))
    await log.close()
    (event,) = await events(tmp_path)
    assert event["erased"] == ["/input"]


async def test_rules_that_cannot_be_had_hide_everything_and_are_said(
    tmp_path: Path,
) -> None:
    """The log goes on: nothing leaks and nothing is missing."""

    def broken() -> Rules | None:
        raise PolicyLoadError("no such rule")

    log = new_log(tmp_path, broken)
    await log.open()
    log.append(entry("one"))
    await log.flush()
    well, told = log.health()
    assert well
    assert "mask failed: the mask rules cannot be loaded: no such rule" in told
    assert log.stats().erased == 1
    await log.close()
    (event,) = await events(tmp_path)
    assert {"input", "result"}.isdisjoint(event)


async def test_what_breaks_the_thread_is_said_and_stops_deciding(
    tmp_path: Path,
) -> None:
    """A fault of ours is no reason to go on unrecorded."""

    def fault() -> Rules | None:
        raise ZeroDivisionError("a fault of ours")

    log = new_log(tmp_path, fault, wait_s=0.1, close_s=0.1)
    await log.open()
    await until(lambda: log.full)
    assert log.health() == (False, "ended: a fault of ours")
    log.append(entry("one"))
    with pytest.raises(DecisionLogStalledError, match="a fault of ours"):
        await log.room()
    with pytest.raises(DecisionLogStalledError, match="1 decisions not written"):
        await log.close()


async def test_half_a_line_of_an_earlier_run_is_said(tmp_path: Path) -> None:
    """And is not there any more."""
    await asyncio.to_thread((tmp_path / "d.jsonl").write_text, '{"decision_')
    log = new_log(tmp_path)
    await log.open()
    assert log.health()[1] == "writing; at the start: cut 11 bytes of half a line"
    log.append(entry("one"))
    await log.close()
    assert [event["decision_id"] for event in await events(tmp_path)] == ["one"]


async def test_an_uploader_that_ends_by_itself_is_said(tmp_path: Path) -> None:
    """Its spool fills then, and pushes back."""
    bad = tmp_path / "ca.pem"
    settings = CollectorSettings(url="https://127.0.0.1:1", spool=tmp_path / "spool")
    log = DecisionLog(
        LogSettings(labels={}, collector=settings), no_rules, SystemClock()
    )
    uploader = log._uploader  # noqa: SLF001 - a fault that settings cannot have
    assert uploader is not None
    uploader._settings = CollectorSettings(  # noqa: SLF001 - as said above
        url=settings.url, spool=settings.spool, ca_file=bad
    )
    await log.open()
    await until(lambda: not log.health()[0])
    assert "the uploader has ended" in log.health()[1]
    log.append(entry("one"))
    assert (await log.close()).segments == 1


class Slow:
    """A sink that keeps lines, and fails while told to."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.failing = False

    def open(self) -> str:
        """There is nothing to open."""
        return ""

    def write(self, lines: Sequence[bytes]) -> int:
        """Take one line at a time."""
        if self.failing:
            raise disk_full()
        self.lines.append(lines[0])
        return 1

    def sync(self) -> None:
        """Fail or not."""
        if self.failing:
            raise disk_full()

    def close(self) -> None:
        """Fail or not."""
        if self.failing:
            raise disk_full()


async def test_a_sink_that_fails_delays_its_own_lines_and_doubles_no_others() -> None:
    """Each sink gets each line once."""
    well, ill = Slow(), Slow()
    ill.failing = True
    writer = Writer(EventMaker({}), [well, ill], lambda: None)
    writer.start()
    writer.put([entry("a"), entry("b")])
    await until(lambda: writer.state is State.FAILING)
    assert str(writer.error) == "[Errno 28] No space left on device"
    assert (len(well.lines), writer.written) == (2, 0)
    ill.failing = False
    writer.stop()
    await until(lambda: writer.state is State.ENDED)
    assert well.lines == ill.lines
    assert (writer.written, writer.error) == (2, None)


async def test_a_writer_that_is_abandoned_ends_and_has_written_nothing() -> None:
    """What cannot be written does not keep anybody for ever."""
    ill = Slow()
    ill.failing = True
    writer = Writer(EventMaker({}), [ill], lambda: None)
    writer.start()
    writer.put([entry("a")])
    writer.stop()
    await until(lambda: writer.state is State.FAILING)
    writer.abandon()
    await until(lambda: writer.state is State.ENDED)
    assert (writer.written, ill.lines) == (0, [])


async def test_falling_behind_makes_the_log_full(tmp_path: Path) -> None:
    """Up to a bound entries wait in memory; then deciding waits for the disk."""
    go_on = threading.Event()

    def slowly() -> Rules | None:
        go_on.wait(60)
        return None

    log = new_log(tmp_path, slowly, wait_s=0.05)
    await log.open()
    count = 0
    while not is_full(log):
        log.append(entry(f"d-{count}"))
        count += 1
        assert count < 2 * DECISION_LOG_PENDING_MAX
    assert log.health() == (False, f"behind by {count} decisions")
    with pytest.raises(DecisionLogStalledError, match=f"{count} decisions behind"):
        await log.room()
    go_on.set()
    await until(lambda: not is_full(log))
    await log.room()
    await log.close()
    assert log.stats().written == count > DECISION_LOG_PENDING_MAX
