"""The bus with the real clock and real files: record, usage and policy on disk."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bus import Accepted, Bus, Denied
from bus.adapters.audit import tail, verify
from bus.config import Settings
from bus.config.governing import PolicySettings
from bus.config.settings import AuditSettings, MeteringSettings
from bus.core.errors import AuditBrokenError, ConfigurationError, PolicyLoadError
from tests.fakes.buses import Inbox, data, lower_bound


def make(folder: Path, **sections: Any) -> Bus:
    """Return a bus whose policy data, record and usage are in `folder`."""
    (folder / "data.json").write_text(json.dumps(data()))
    return Bus(
        str(folder / "data.json"),
        settings=Settings(
            audit=AuditSettings(file=folder / "audit.log"),
            metering=MeteringSettings(file=folder / "usage.log"),
            **sections,
        ),
    )


def drive(bus: Bus) -> list[Any]:
    """Publish, request and be refused; return what was handled."""
    inbox = Inbox()

    async def answer(body: int) -> int:
        return body + 1

    async def run() -> None:
        async with bus:
            bus.agent("worker").subscribe("a", inbox)
            bus.agent("worker").subscribe("ask", answer)
            planner = bus.agent("planner")
            for n in range(300):
                assert isinstance(await planner.publish("a", n), Accepted)
            assert await planner.request("ask", 1, timeout=5) == 2
            assert isinstance(await bus.agent("intern").publish("x", 1), Denied)

    asyncio.run(run())
    return inbox.done


def test_the_record_on_disk_holds_every_ending_and_verifies(tmp_path: Path) -> None:
    """300 events, a request, its reply and a refusal; sealed, with its head."""
    assert drive(make(tmp_path)) == list(range(300))
    summary = verify(tmp_path / "audit.log")
    assert summary.head_checked
    entries = tail(tmp_path / "audit.log", 1_000)
    found = [entry.event for entry in entries]
    assert (found[0], found[-1]) == ("started", "stopped")
    assert found.count("accepted") == found.count("delivered") == 302
    assert found.count("denied") == 1
    assert summary.records == len(entries) == 2 + 302 * 2 + 1


def test_a_record_that_was_edited_does_not_verify(tmp_path: Path) -> None:
    """One changed byte of one record is enough."""
    drive(make(tmp_path))
    path = tmp_path / "audit.log"
    text = path.read_bytes()
    place = text.index(b'"planner"')
    path.write_bytes(text[:place] + b'"plannex"' + text[place + 9 :])
    with pytest.raises(AuditBrokenError):
        verify(path)


def test_usage_on_disk_reconciles_with_what_was_sent(tmp_path: Path) -> None:
    """The sum of the file is the count of the meter."""
    bus = make(tmp_path)
    drive(bus)
    meter = bus.stats().meter
    assert meter.sent == meter.metered == 302
    events = 0
    for line in (tmp_path / "usage.log").read_text().splitlines():
        events += sum(record["events"] for record in json.loads(line)["records"])
    assert events == 302


def test_a_changed_file_is_put_in_force_and_a_bad_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the bus runs: watched, read, swapped; a fault leaves the old one."""
    lower_bound(monkeypatch, "POLICY_WATCH_S", 0.01)
    bus = make(tmp_path)
    path = tmp_path / "data.json"

    async def until_revision_is_not(revision: str) -> None:
        async with asyncio.timeout(5):
            while bus.revision == revision:  # noqa: ASYNC110 - a file is watched, by time
                await asyncio.sleep(0.01)

    async def run() -> None:
        policy = data()
        async with bus:
            bus.agent("worker").subscribe("a", Inbox())
            planner, first = bus.agent("planner"), bus.revision
            assert isinstance(await planner.publish("a", 1), Accepted)
            await asyncio.to_thread(path.write_text, "{ not json")
            await asyncio.sleep(0.1)
            assert bus.revision == first
            with pytest.raises(PolicyLoadError, match=r"data\.json"):
                await bus.reload_policy()
            assert isinstance(await planner.publish("a", 1), Accepted)
            policy["agents"]["planner"]["roles"] = []
            await asyncio.to_thread(path.write_text, json.dumps(policy))
            await until_revision_is_not(first)
            assert isinstance(await planner.publish("a", 1), Denied)

    asyncio.run(run())
    found = [entry.event for entry in tail(tmp_path / "audit.log", 1_000)]
    assert "reloaded" in found
    assert "reload_refused" in found


def test_an_unwatched_file_is_put_in_force_when_asked_for(tmp_path: Path) -> None:
    """`reload_policy` does it at once."""
    bus = make(tmp_path, policy=PolicySettings(watch=False))

    async def run() -> None:
        async with bus:
            first, policy = bus.revision, data()
            policy["agents"]["planner"]["roles"] = []
            text = json.dumps(policy)
            await asyncio.to_thread((tmp_path / "data.json").write_text, text)
            assert bus.revision == first
            assert await bus.reload_policy() == bus.revision != first
            assert isinstance(await bus.agent("planner").publish("a", 1), Denied)

    asyncio.run(run())


def test_a_bus_without_policy_data_does_not_start() -> None:
    """Nobody is known, so there is nothing to run."""
    with pytest.raises(ConfigurationError, match="policy data"):
        Bus()


def test_a_record_that_cannot_be_kept_stops_the_start(tmp_path: Path) -> None:
    """No message moves without a record."""
    bus = Bus(data(), settings=Settings(audit=AuditSettings(file=tmp_path)))

    async def run() -> None:
        async with bus:
            raise AssertionError("it started")

    with pytest.raises(ConfigurationError):
        asyncio.run(run())
