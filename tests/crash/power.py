"""The power goes at each write of a recorded workload; the store is opened from the rest.

What a store is asked to keep is recorded with each write and each sync that follows from
it. At each of them the disk is cut off: what is found then must be a state that the store
was in, no older than what it had told as kept, and no newer than what it was asked.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import pytest

from bus.adapters.stores.sqlite import SqliteStore, heads, making
from bus.core.errors import BusError
from tests.crash.claims import Trial
from tests.crash.workload import Bench, State, Workload, new_store
from tests.fakes.buses import lower_bound
from tests.fakes.crashdisk import Files, Platter, scratch, taken
from tests.fakes.vfs import Disk, Event, Notes

REOPENED_EACH: Final = 23
CHECKPOINT_BYTES: Final = 128 << 10  # so that a short workload has several


class Mark(NamedTuple):
    """How far a store had got by an event: what it was asked, and what it told as kept."""

    event: int
    asked: int
    kept: int


class Recording(NamedTuple):
    """A workload: what reached the disk, and each state that the store went through."""

    events: Sequence[Event]
    marks: Sequence[Mark]
    states: Sequence[State]


class Depth(NamedTuple):
    """How much is done: submissions; a cut at each so many events; torn images of each."""

    submissions: int
    each: int = 1
    torn: int = 2


class Recorder:
    """Runs a workload on a disk that notes everything."""

    def __init__(self, bench: Bench, folder: Path, disk: Disk) -> None:
        self._bench = bench
        self._folder = folder
        self._disk = disk
        self._notes = Notes(disk.events)
        self._path = self._notes.path(folder / "store.db")
        self._marks = [Mark(0, 0, 0)]
        self._states = [bench.state({}, folder / "state-0")]

    def record(self, seed: int, submissions: int) -> Recording:
        """Do it, and return what was noted."""
        work = Workload(Random(seed))  # noqa: S311 - repeatable, not secret
        with pytest.MonkeyPatch.context() as patch:
            lower_bound(patch, "STORE_CHECKPOINT_BYTES", CHECKPOINT_BYTES)
            store = self._open()
            for number in range(submissions):
                self._mark(asked=number + 1, kept=number)
                with self._noted():
                    self._bench.do(store, number, work)
                files = taken(self._path)
                place = self._folder / f"state-{number + 1}"
                self._states.append(self._bench.state(files, place))
                self._mark(asked=number + 1, kept=number + 1)
                if number % REOPENED_EACH == REOPENED_EACH - 1:
                    self._close(store)
                    store = self._open()
            self._close(store)
        return Recording(tuple(self._disk.events), self._marks, self._states)

    def _open(self) -> SqliteStore:
        store = new_store(self._path, self._disk.connect)
        with self._noted():
            self._bench.run(store.open())
        return store

    def _close(self, store: SqliteStore) -> None:
        with self._noted():
            self._bench.run(store.close())

    def _mark(self, asked: int, kept: int) -> None:
        self._marks.append(Mark(len(self._disk.events), asked, kept))

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Note what is done to files past SQLite too."""
        with pytest.MonkeyPatch.context() as patch:
            for module in (heads, making):
                patch.setattr(module, "os", self._notes.os)
            yield


class Cutter:
    """Opens what is left of a recorded workload when the power goes."""

    def __init__(self, bench: Bench, recording: Recording) -> None:
        self._bench = bench
        self._recording = recording
        self.later: Final = Trial("Power loss")
        self.first: Final = Trial("Power loss in the very first start")
        self._seen: set[tuple[bytes, Mark]] = set()

    def cut(self, seed: int, depth: Depth) -> None:
        """Cut it at its events."""
        dice = Random(seed)  # noqa: S311 - repeatable, not secret
        platter = Platter()
        marks = iter([*self._recording.marks, Mark(1 << 60, 0, 0)])
        mark = upcoming = next(marks)
        for number, event in enumerate([*self._recording.events, None]):
            while upcoming.event <= number:
                mark, upcoming = upcoming, next(marks)
            if number % depth.each == 0 or not mark.asked:  # all of the first start
                self._trial(mark).count("cuts")
                for how, files in platter.images(dice, depth.torn):
                    where = f"event {number} of seed {seed}, {how}"
                    self._look(files, mark, where)
            if event is not None:
                platter.take(event)

    def _trial(self, mark: Mark) -> Trial:
        """Return what an image counts for: before the first request nothing was kept."""
        return self.later if mark.asked else self.first

    def _look(self, files: Files, mark: Mark, where: str) -> None:
        """Open an image that was not seen before, and judge what it holds."""
        image = (_digest(files), mark._replace(event=0))
        if image in self._seen:
            return
        self._seen.add(image)
        trial = self._trial(mark)
        trial.count("images opened")
        with scratch() as folder:
            try:
                found = self._bench.state(files, Path(folder, "image"))
            except BusError as error:
                told = f"{where}: not opened: {type(error).__name__}: {error}"
                trial.broken.append(told)
                return
        states = self._recording.states
        fitting = [number for number, state in enumerate(states) if state == found]
        trial.claim(bool(fitting), f"{where}: a state that the store never was in")
        trial.claim(
            not fitting or any(mark.kept <= number <= mark.asked for number in fitting),
            f"{where}: state {fitting}, kept were {mark.kept}, asked {mark.asked}",
        )
        if fitting and fitting[-1] > mark.kept:
            trial.count("images with what was not told yet")


def recorded(bench: Bench, seed: int, submissions: int) -> Recording:
    """Return a workload as it reached the disk."""
    with scratch() as folder, Disk() as disk:
        return Recorder(bench, Path(folder), disk).record(seed, submissions)


def power_loss(seed: int, depth: Depth) -> tuple[Trial, Trial]:
    """Record a workload and cut it everywhere: what holds later, and in the first start."""
    with Bench() as bench:
        recording = recorded(bench, seed, depth.submissions)
        cutter = Cutter(bench, recording)
        cutter.cut(seed, depth)
    trial = cutter.later
    trial.count("workloads")
    trial.count("submissions", depth.submissions)
    trial.count("writes and syncs", len(recording.events))
    trial.require("cuts", "images opened", "images with what was not told yet")
    cutter.first.require("cuts", "images opened")
    return trial, cutter.first


def _digest(files: Files) -> bytes:
    total = hashlib.blake2b(digest_size=16)
    for name in sorted(files):
        total.update(f"{name} {len(files[name])} ".encode())
        total.update(files[name])
    return total.digest()
