"""Memory, handles and room on the disk are really taken, and really given back."""

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.chaos.ballast import Disk, Handles, Memory, _Stepwise
from bus.core.operatinglimits import CHAOS_HANDLES_SPARE

MIB = 1 << 20


def resident_bytes() -> int:
    """Return what memory this process really has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def open_handles() -> int:
    """Return how many files this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir()) - 1


@pytest.fixture
def few_handles() -> Iterator[int]:
    """Let this process have some handles more than it has, and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = open_handles() + CHAOS_HANDLES_SPARE + 300
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_memory_is_really_there_and_gone() -> None:
    """Pages that are only promised would exhaust nothing."""
    memory = Memory()
    assert memory.free() > 64 * MIB
    before = resident_bytes()
    assert memory.take(64 * MIB) == 64 * MIB
    assert resident_bytes() - before > 60 * MIB
    memory.give_back()
    assert resident_bytes() - before < 32 * MIB


def test_handles_are_taken_but_for_a_few(few_handles: int) -> None:
    """Enough are left for who stops it."""
    handles = Handles()
    before = open_handles()
    assert handles.free() == few_handles - before - CHAOS_HANDLES_SPARE == 300
    assert handles.take(10_000) == 300
    assert open_handles() == before + 300
    assert handles.free() == 0
    handles.give_back()
    assert open_handles() == before


def test_without_a_handle_for_looking_none_is_free(few_handles: int) -> None:
    """Others may have taken the last one."""
    taken: list[int] = []
    found = -1
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        found = Handles().free()
    finally:
        for handle in taken:
            os.close(handle)
    assert found == 0
    assert len(taken) < few_handles


def test_room_on_the_disk_is_taken_by_files_without_a_name(tmp_path: Path) -> None:
    """It is free again when they are closed, also by the end of the process."""
    disk = Disk(tmp_path)
    assert disk.free() > 80 * MIB
    before = open_handles()
    assert disk.take(80 * MIB) == 80 * MIB
    held = [Path(f"/dev/fd/{handle}").stat() for handle in disk._held]  # noqa: SLF001 - what is taken
    assert sum(one.st_blocks * 512 for one in held) >= 80 * MIB
    assert list(tmp_path.iterdir()) == []
    disk.give_back()
    assert open_handles() == before
    disk.give_back()  # twice does no harm


def test_a_place_that_is_gone_gives_nothing(tmp_path: Path) -> None:
    """Nothing is taken, and nothing is left open."""
    disk = Disk(tmp_path / "gone")
    before = open_handles()
    assert disk.take(MIB) == 0
    assert open_handles() == before


def test_what_fails_half_way_leaves_no_handle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full takes the file back."""

    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    disk = Disk(tmp_path)
    before = open_handles()
    assert disk.take(MIB) == 0
    assert (open_handles(), list(tmp_path.iterdir())) == (before, [])


class Cups(_Stepwise):
    """A hundred cups. `gate` is passed before each step after the first."""

    def __init__(self) -> None:
        super().__init__(16)
        self.left = 100
        self.held: list[int] = []
        self.begun, self.gate = threading.Event(), threading.Event()

    def _get(self, size: int) -> None:
        if size > self.left:
            raise MemoryError
        self.left -= size
        self.held.append(size)
        self.begun.set()
        assert self.gate.wait(10)

    def _drop(self) -> None:
        while self.held:
            self.left += self.held.pop()


def test_the_last_bit_is_taken_in_smaller_steps() -> None:
    """Exhausted means exhausted."""
    cups = Cups()
    cups.gate.set()
    assert cups.take(1_000) == 100
    assert cups.left == 0


def test_what_is_given_back_while_it_is_taken_is_all_given_back() -> None:
    """The thread that takes sees that it is over, and lets go of its last step."""
    cups = Cups()
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(cups.take(64)))
    thread.start()
    assert cups.begun.wait(10)
    cups.give_back()
    cups.gate.set()
    thread.join(10)
    assert (got, cups.left, cups.held) == ([0], 100, [])
