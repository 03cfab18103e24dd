"""Usage sinks take a batch once, however often it comes."""

import asyncio
import json
import resource
from pathlib import Path

import pytest

from bus.adapters.usage import FileUsage, MemoryUsage, Totals
from bus.metering import UsageBatch, UsageRecord


def batch(number: int, *agents: str) -> UsageBatch:
    """Return a batch with one record for each agent."""
    records = tuple(
        UsageRecord("acme", agent, "agent_message", 2, 20, 1, 2) for agent in agents
    )
    return UsageBatch(number, records)


def lines(path: Path) -> list[tuple[str, int, list[str]]]:
    """Return run, number and agents of each line."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        (line["run"], line["batch"], [r["agent"] for r in line["records"]])
        for line in found
    ]


async def test_memory_sums_by_tenant_agent_and_operation() -> None:
    """A batch that comes again adds nothing."""
    sink = MemoryUsage()
    for one in (batch(1, "a", "b"), batch(1, "a", "b"), batch(2, "a")):
        await sink.write(one)
    assert sink.totals == {
        ("acme", "a", "agent_message"): Totals(events=4, body_bytes=40),
        ("acme", "b", "agent_message"): Totals(events=2, body_bytes=20),
    }


async def test_memory_is_bounded() -> None:
    """Past the bound it still counts, without names."""
    sink = MemoryUsage(keys_max=1)
    await sink.write(batch(1, "a", "b", "c"))
    assert list(sink.totals) == [("acme", "a", "agent_message")]
    assert sink.others == Totals(events=4, body_bytes=40)


async def test_a_file_gets_a_line_a_batch(tmp_path: Path) -> None:
    """Once each, in order, readable by its owner only."""
    path = tmp_path / "usage.jsonl"
    sink = FileUsage(path, "r1")
    for one in (batch(1, "a", "b"), batch(1, "a", "b"), batch(2, "a")):
        await sink.write(one)
    await FileUsage(path, "r2").write(batch(1, "c"))
    found = await asyncio.to_thread(lines, path)
    assert found == [("r1", 1, ["a", "b"]), ("r1", 2, ["a"]), ("r2", 1, ["c"])]
    mode = (await asyncio.to_thread(path.stat)).st_mode
    assert mode & 0o777 == 0o600


@pytest.mark.parametrize("torn", [b'{"run":"r0"', b"x" * 200_000])
def test_half_a_line_is_cut(tmp_path: Path, torn: bytes) -> None:
    """What a crash left does not spoil the next line."""
    path = tmp_path / "usage.jsonl"
    asyncio.run(FileUsage(path, "r1").write(batch(1, "a")))
    with path.open("ab") as file:
        file.write(torn)
    asyncio.run(FileUsage(path, "r2").write(batch(1, "b")))
    assert lines(path) == [("r1", 1, ["a"]), ("r2", 1, ["b"])]


def test_a_file_may_be_moved_away(tmp_path: Path) -> None:
    """The next batch starts another."""
    path = tmp_path / "usage.jsonl"
    sink = FileUsage(path, "r1")
    asyncio.run(sink.write(batch(1, "a")))
    path.rename(tmp_path / "old.jsonl")
    asyncio.run(sink.write(batch(2, "b")))
    assert lines(path) == [("r1", 2, ["b"])]


def test_a_full_disk_takes_a_batch_not_at_all_and_later_once(tmp_path: Path) -> None:
    """Half a line written before the error is gone when it is tried again."""
    path = tmp_path / "usage.jsonl"
    sink = FileUsage(path, "r1")
    asyncio.run(sink.write(batch(1, "a")))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            asyncio.run(sink.write(batch(2, "b")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    asyncio.run(sink.write(batch(2, "b")))
    assert lines(path) == [("r1", 1, ["a"]), ("r1", 2, ["b"])]
