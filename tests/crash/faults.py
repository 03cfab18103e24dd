"""What a disk can do to a store that is open: full, failed syncs and writes, no handles."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import apsw
import pytest

from bus.adapters.stores import sqlite
from bus.adapters.stores.sqlite import SqliteStore, heads, making, wal
from bus.core.entries import Sealer
from bus.ports import Clock
from tests.crash.claims import Trial
from tests.crash.outage import Outage, looked_after_often, new_bus
from tests.crash.workload import Bench
from tests.fakes.buses import lower_bound
from tests.fakes.crashdisk import Platter, put
from tests.fakes.vfs import Disk, Event, Faults, Notes

CHECKPOINT_BYTES: Final = 200_000
ROOM_BYTES: Final = 60_000


class Fault(NamedTuple):
    """How it begins, how it ends, and whether a sync fails by it.

    It does not end before so many `steps` of recovery were taken.
    """

    begin: Callable[[Faults], None]
    end: Callable[[Faults], None]
    sync: bool = False
    steps: int = 1


def _full(faults: Faults) -> None:
    faults.room_bytes = ROOM_BYTES


def _room(faults: Faults) -> None:
    faults.room_bytes = None


def _writes_fail(code: int, faults: Faults) -> None:
    faults.writes_fail = code


def _sync_fails(file: str, faults: Faults) -> None:
    faults.sync_fails = file


def _sync_fails_and_no_handle(faults: Faults) -> None:
    faults.sync_fails, faults.opens_fail = "-wal", True


def _handles(faults: Faults) -> None:
    faults.opens_fail = False


def _nothing(faults: Faults) -> None:
    del faults


_writes = partial(_writes_fail, 0)
FAULTS: Final = {
    "disk full": Fault(_full, _room),
    "fsync of the log fails": Fault(partial(_sync_fails, "-wal"), _nothing, sync=True),
    "fsync of the database fails": Fault(
        partial(_sync_fails, "db"), _nothing, sync=True
    ),
    "writes fail": Fault(partial(_writes_fail, apsw.SQLITE_IOERR_WRITE), _writes),
    "read-only": Fault(partial(_writes_fail, apsw.SQLITE_READONLY), _writes),
    "fsync fails, and no file handle is left": Fault(
        _sync_fails_and_no_handle, _handles, sync=True, steps=3
    ),
}


def outage(name: str, trial: Trial) -> list[str]:
    """Run a bus through one fault.

    Returns what was synced through a connection after a sync had failed on it.
    """
    fault = FAULTS[name]
    with (
        tempfile.TemporaryDirectory() as folder,
        Disk() as disk,
        pytest.MonkeyPatch.context() as patch,
        Bench() as bench,
    ):
        looked_after_often(patch)
        lower_bound(patch, "STORE_CHECKPOINT_BYTES", CHECKPOINT_BYTES)
        notes = Notes(disk.events)
        for module in (heads, making, wal):
            patch.setattr(module, "os", notes.os)
        patch.setattr(sqlite, "SqliteStore", partial(_store, notes, disk))
        path = Path(folder, "store.db")
        case = Outage(path, name, trial, fault.steps)
        faults, ended = disk.faults, list[int]()
        case.before_close = lambda: ended.append(len(disk.events))
        try:
            bench.run(
                case.run(partial(fault.begin, faults), partial(fault.end, faults))
            )
            bench.run(case.restart(new_bus(path)))
            _power_goes(bench, case, disk.events[: ended[-1]], path)
            trial.count("power cuts after an outage")
        except TimeoutError:
            trial.broken.append(f"{name}: it took too long")
        trial.claim(bool(disk.failed_syncs) == fault.sync, f"{name}: no sync failed")
    trial.notes[:] = [note.replace(f"{folder}/", "") for note in trial.notes]
    trial.count("failed syncs", len(disk.failed_syncs))
    return disk.after_failed_sync


def _store(
    notes: Notes, disk: Disk, path: Path, sealer: Sealer, clock: Clock
) -> SqliteStore:
    return SqliteStore(notes.path(path), sealer, clock, connect=disk.connect)


def _power_goes(bench: Bench, case: Outage, events: list[Event], path: Path) -> None:
    """See that a bus finds the same after a power loss: what failed syncs had is lost."""
    platter = Platter()
    for event in events:
        platter.take(event)
    keys = path.with_name(f"{path.name}-keys").read_bytes()
    dice = Random(1)  # noqa: S311 - repeatable, not secret
    for number, (_, files) in enumerate(platter.images(dice, 3)):
        image = path.with_name(f"image-{number}.db")
        put({**files, "-keys": keys}, image)
        bench.run(case.restart(new_bus(image)))


def outages() -> Trial:
    """Run a bus through each fault."""
    trial = Trial("Outages of the disk")
    for name in FAULTS:
        again = outage(name, trial)
        trial.count("syncs after a failed one", len(again))
        trial.claim(not again, f"{name}: synced again after a failed sync: {again}")
    return trial
