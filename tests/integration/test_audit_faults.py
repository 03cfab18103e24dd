"""Real faults on a real file: a full disk, a killed process, a file moved away."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from bus.adapters.audit import FileAudit, tail, verify
from bus.adapters.clock import SystemClock
from bus.core.auditrecord import Entry
from bus.core.errors import AuditStalledError, ConfigurationError
from tests.fakes.recording import keep, record

ROOT = Path(__file__).parents[2]
CHILD = [sys.executable, "-m", "tests.integration.audit_child"]


def accepted(path: Path) -> list[Entry]:
    """Return the last records, without what the log said of itself."""
    return [entry for entry in tail(path, 10_000) if entry.event == "accepted"]


def test_a_full_disk_stalls_and_nothing_is_lost_when_it_mends(tmp_path: Path) -> None:
    """The kernel refuses the write, publishing stops, and then every record is there."""
    path = tmp_path / "audit.jsonl"
    done = subprocess.run(
        [*CHILD, "fill", str(path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    stalled, health, appended = done.stdout.splitlines()
    assert stalled.startswith("stalled: audit log: no room in 0.3 s")
    assert "File too large" in stalled
    assert health == "health: (True, 'writing')"
    count = int(appended.removeprefix("appended: "))
    assert verify(path).records == count
    assert [entry.detail for entry in accepted(path)] == [
        f"number {number}" for number in range(count)
    ]


@pytest.mark.parametrize("rounds", [1, 5, 20])
def test_a_killed_process_leaves_all_it_had_written(
    tmp_path: Path, rounds: int
) -> None:
    """After kill -9 the record holds what was flushed, and goes on."""
    path = tmp_path / "audit.jsonl"
    with subprocess.Popen(
        [*CHILD, "endless", str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        written = max(int(child.stdout.readline()) for _ in range(rounds))
        child.kill()
    keep(path, [1])
    found = accepted(path)[:-1]
    summary = verify(path)
    assert summary.records >= written + 1
    assert summary.head_checked
    numbers = [int(entry.detail.removeprefix("number ")) for entry in found]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[-1] >= written - 1


def test_a_log_that_is_never_closed_does_not_keep_the_process(tmp_path: Path) -> None:
    """The writer's thread ends with the program, and the file is whole."""
    path = tmp_path / "audit.jsonl"
    subprocess.run([*CHILD, "forgetful", str(path)], cwd=ROOT, check=True, timeout=20)
    assert verify(path).records == 1


def test_a_file_moved_away_stalls_until_it_is_back(tmp_path: Path) -> None:
    """What is written to a file nobody can find is not taken for recorded."""
    path, away = tmp_path / "audit.jsonl", tmp_path / "away.jsonl"

    async def run() -> int:
        audit = FileAudit(path, SystemClock(), wait_s=2.5, close_s=5)
        await audit.open()
        audit.append(record(0))
        await audit.flush()
        await asyncio.to_thread(path.rename, away)
        async with asyncio.timeout(5):
            while not audit.full:
                audit.append(record(1))
                await asyncio.sleep(0.05)
        with pytest.raises(AuditStalledError, match="No such file"):
            await audit.room()
        await asyncio.to_thread(away.rename, path)
        await audit.room()
        await audit.close()
        return audit.stats().written

    assert asyncio.run(run()) == verify(path).records


def test_a_file_cut_under_the_writer_stalls(tmp_path: Path) -> None:
    """A cut is noticed at the next sync, not covered with zeros."""
    path = tmp_path / "audit.jsonl"

    async def run() -> None:
        audit = FileAudit(path, SystemClock(), wait_s=0.2, close_s=0.3)
        await audit.open()
        audit.append(record(0))
        await audit.flush()
        await asyncio.to_thread(path.write_bytes, b"")
        with pytest.raises(AuditStalledError, match="0 bytes"):
            await audit.close()

    asyncio.run(run())
    with pytest.raises(ConfigurationError):
        keep(path, [])


def test_a_folder_that_takes_no_files_is_refused() -> None:
    """The start stops; the record is not kept somewhere else."""
    with pytest.raises(ConfigurationError):
        keep(Path("/proc/audit.jsonl"), [])
