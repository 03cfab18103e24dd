"""What a bus supervises, and what it tells of bringing its parts back."""

import asyncio
import sys
from pathlib import Path

import msgspec
import pytest

from bus import Bus, Delivery
from bus.adapters.audit import MemoryAudit
from bus.config import Settings
from bus.config.keeping import StoreSettings
from bus.config.operating import ProcessSettings, RecoverySettings
from bus.core.errors import (
    ConfigurationError,
    DeniedError,
    StoreUnavailableError,
)
from bus.core.recovering import State
from bus.recovery import UnwellError
from bus.testing import TestBus
from tests.fakes.buses import data, new_bus

SUBJECT = "$SYS.recovery.>"


def told(**sections: object) -> TestBus:
    """Return a bus with a store whose worker may hear of recovery."""
    policy = data()
    policy["roles"]["all"]["subscribe"].append(SUBJECT)
    return new_bus(policy, store=StoreSettings(kind="memory"), **sections)


def states(bus: Bus) -> dict[str, State]:
    """Return where every component stands."""
    found = bus.supervision.orchestrator.status()
    return {one.component: one.state for one in found}


async def test_every_part_that_can_fail_is_supervised() -> None:
    """Those of a store only where there is one."""
    async with told() as bus:
        assert set(states(bus)) == {"policy", "audit", "store", "consumers"}
    async with new_bus() as plain:
        assert set(states(plain)) == {"policy", "audit"}


async def test_each_step_is_recorded_and_published() -> None:
    """From the failure to the rest after it, in order, with the reason."""
    steps = []

    async def hear(step: dict[str, object], delivery: Delivery) -> None:
        steps.append((delivery.message.subject, step["before"], step["after"]))

    async with told() as bus:
        bus.agent("worker").subscribe(SUBJECT, hear)
        bus.supervision.orchestrator.report("store", UnwellError("pulled out"))
        await bus.advance(60)
        assert states(bus)["store"] is State.IDLE
        assert isinstance(bus.audit, MemoryAudit)
        records = [
            record.detail
            for record in bus.audit.tail(100)
            if record.event == "recovery"
        ]
    assert [step[0] for step in steps] == ["$SYS.recovery.store"] * len(steps)
    assert [step[2] for step in steps] == [
        "scheduled",
        "in_progress",
        "succeeded",
        "idle",
    ]
    assert len(records) == len(steps)
    assert "pulled out" in records[0]


async def test_a_store_that_refuses_is_reported_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not at the next check; a refusal of a store that is well is no report."""
    async with told() as bus:
        ledger = bus._host.require_ledger()  # noqa: SLF001 - the store behind the bus
        kept = ledger.keeping
        kept.refused(StoreUnavailableError("a message of its own fault"))
        assert states(bus)["store"] is State.IDLE
        monkeypatch.setattr(ledger.store, "health", lambda: (False, "pulled out"))
        bus.supervision._store_health = ledger.store.health  # noqa: SLF001 - as it is made
        kept.refused(StoreUnavailableError("pulled out"))
        assert states(bus)["store"] is State.SCHEDULED


async def test_nobody_hears_of_recovery_whom_policy_does_not_let() -> None:
    """It is a grant like any other."""
    async with told() as bus:
        with pytest.raises(DeniedError):
            bus.agent("intern").subscribe(SUBJECT, _unused)


async def test_a_manual_recovery_waits_for_its_order() -> None:
    """However long that takes; then it is carried out."""
    manual = RecoverySettings(component="store", strategy="manual")
    async with told(recovery=(manual,)) as bus:
        care = bus.supervision.orchestrator
        care.report("store", UnwellError("pulled out"))
        await bus.advance(100)
        assert states(bus)["store"] is State.AWAITING_MANUAL
        care.approve("store", by="somebody")
        await bus.advance(60)
        assert states(bus)["store"] is State.IDLE
        assert any(step.by == "somebody" for step in care.history("store"))


async def test_settings_for_a_part_that_is_not_there_stop_the_start() -> None:
    """With the names there are, where one is near."""
    wrong = RecoverySettings(component="stores")
    with pytest.raises(ConfigurationError, match="did you mean 'store'"):
        told(recovery=(wrong,))


def test_an_agent_process_is_kept_running(tmp_path: Path) -> None:
    """Started with the bus, started again when it ends, ended with the bus."""
    mark = tmp_path / "started"
    script = (
        "import os, pathlib, time\n"
        f"with open({str(mark)!r}, 'a') as f: f.write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(0.2 if len(pathlib.Path("
        f"{str(mark)!r}).read_text().split()) == 1 else 60)\n"
    )
    process = ProcessSettings(name="helper", command=(sys.executable, "-c", script))
    fast = RecoverySettings(component="helper", strategy="immediate")
    bus = Bus(data(), settings=Settings(processes=(process,), recovery=(fast,)))

    def started() -> list[int]:
        return [int(pid) for pid in mark.read_text().split()] if mark.exists() else []

    async def run() -> list[int]:
        loop = asyncio.get_running_loop()
        async with bus:
            while len(pids := await loop.run_in_executor(None, started)) < 2:
                await bus._host.pause()  # noqa: SLF001 - turns of the loop
            return pids

    first, second = asyncio.run(run())
    assert first != second
    for pid in (first, second):
        assert not Path(f"/proc/{pid}").exists()


async def _unused(body: msgspec.Raw) -> None:
    raise AssertionError(body)
