"""The file and the spool: every line once and whole, whatever happens to the disk."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bus.core.policylimits import DECISION_CHUNK_BYTES
from policy.decisionlog.appending import LineFile, fitting
from policy.decisionlog.file import RotatedFile
from policy.decisionlog.spool import ASIDE, Spool, SpoolFullError

BIG = 64 << 20


def lines(*numbers: int, size: int = 10) -> list[bytes]:
    """Return lines that can be told apart, each of `size` bytes."""
    return [b"%0*d\n" % (size - 1, number) for number in numbers]


def write(sink: RotatedFile | Spool, given: list[bytes]) -> None:
    """Write all of it, as the log's thread does."""
    while given:
        given = given[sink.write(given) :]


@contextmanager
def no_file_past(size: int) -> Iterator[None]:
    """Let the kernel refuse to make files larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def rotated(path: Path, rotate_bytes: int = 35, keep: int = 3) -> RotatedFile:
    """Return an open file of three lines each."""
    file = RotatedFile(path, rotate_bytes, keep)
    file.open()
    return file


def spool(folder: Path, bytes_max: int = BIG) -> Spool:
    """Return an open spool."""
    made = Spool(folder, bytes_max)
    made.open()
    return made


def contents(made: Spool) -> bytes:
    """Return everything that is there to be sent, and send it."""
    found = b""
    while (segment := made.oldest(seal=True)) is not None:
        found += made.read(segment)
        made.done(segment)
    return found


def test_lines_that_fit_are_counted() -> None:
    """Up to the last byte."""
    given = lines(1, 2, 3)
    assert [fitting(given, room) for room in (-1, 0, 9, 10, 29, 30, 99)] == [
        *(0, 0, 0, 1, 2, 3, 3),
    ]


def test_a_file_is_turned_over_and_nothing_is_lost(tmp_path: Path) -> None:
    """Each line is in one of the files; the oldest file goes, counted."""
    path = tmp_path / "d.jsonl"
    file = rotated(path)
    write(file, lines(*range(8)))
    assert path.read_bytes() == b"".join(lines(6, 7))
    assert (tmp_path / "d.jsonl.1").read_bytes() == b"".join(lines(3, 4, 5))
    assert (tmp_path / "d.jsonl.2").read_bytes() == b"".join(lines(0, 1, 2))
    assert file.deleted == 0
    write(file, lines(*range(8, 14)))
    assert file.deleted == 1
    file.close()
    names = ["d.jsonl.3", "d.jsonl.2", "d.jsonl.1", "d.jsonl"]
    found = b"".join((tmp_path / name).read_bytes() for name in names)
    assert found == b"".join(lines(*range(3, 14)))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_line_longer_than_a_file_gets_one_of_its_own(tmp_path: Path) -> None:
    """It is not cut, and does not stop what follows."""
    file = rotated(tmp_path / "d", rotate_bytes=25)
    write(file, [*lines(1), *lines(2, size=100), *lines(3)])
    assert (tmp_path / "d.1").read_bytes() == lines(2, size=100)[0]
    file.close()


def test_a_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Half a line, from a crash, is cut off and said."""
    path = tmp_path / "d"
    path.write_bytes(b"".join(lines(1)) + b"half")
    file = RotatedFile(path, BIG, 1)
    assert file.open() == "cut 4 bytes of half a line"
    write(file, lines(2))
    file.sync()
    file.close()
    assert path.read_bytes() == b"".join(lines(1, 2))


@pytest.mark.parametrize("size", [0, 3, 64 << 10, (64 << 10) + 3, 200_000])
def test_half_a_line_is_found_however_long(tmp_path: Path, size: int) -> None:
    """The file is read from its end, in steps."""
    path = tmp_path / "d"
    for begin in (b"", b"whole\n"):
        path.write_bytes(begin + b"x" * size)
        file = LineFile(path)
        assert (file.end, file.cut) == (len(begin), size)
        file.close()
        assert path.read_bytes() == begin


def test_a_rotation_that_fails_is_finished_later(tmp_path: Path) -> None:
    """Nothing is turned over twice, and nothing deleted for it."""
    path = tmp_path / "d"
    file = rotated(path, keep=2)
    write(file, lines(*range(6)))
    (tmp_path / "d.2").mkdir()  # nothing can be renamed to it
    with pytest.raises(OSError, match=r"d\.2"):
        file.write(lines(6))
    (tmp_path / "d.2").rmdir()
    write(file, lines(6))
    file.close()
    found = [(tmp_path / name).read_bytes() for name in ("d.2", "d.1", "d")]
    assert b"".join(found) == b"".join(lines(*range(7)))
    assert file.deleted == 0


def test_a_file_that_is_written_elsewhere_is_refused(tmp_path: Path) -> None:
    """Two writers would overwrite each other."""
    file = rotated(tmp_path / "d")
    with pytest.raises(OSError, match="another process writes"):
        RotatedFile(tmp_path / "d", 35, 1).open()
    file.close()
    rotated(tmp_path / "d").close()


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    """Nobody's other file is written to."""
    path = tmp_path / "d"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(path)
    with pytest.raises(OSError, match="d"):
        LineFile(path)


def test_a_file_moved_away_is_noticed(tmp_path: Path) -> None:
    """What nobody can find is not written."""
    file = rotated(tmp_path / "d", BIG)
    write(file, lines(1))
    (tmp_path / "d").rename(tmp_path / "away")
    with pytest.raises(OSError, match="d"):
        file.sync()
    (tmp_path / "away").rename(tmp_path / "d")
    file.sync()
    file.close()


def test_a_disk_that_is_full_leaves_nothing_half_written(tmp_path: Path) -> None:
    """The next attempt begins where the last whole line ends."""
    file = rotated(tmp_path / "d", BIG)
    write(file, lines(1, 2))
    with no_file_past(25), pytest.raises(OSError, match="too large") as caught:
        file.write(lines(3, 4))
    assert caught.value.errno == errno.EFBIG
    write(file, lines(3, 4))
    file.close()
    assert (tmp_path / "d").read_bytes() == b"".join(lines(1, 2, 3, 4))


def test_a_spool_gives_back_what_it_took_in_order(tmp_path: Path) -> None:
    """And then it is empty."""
    made = spool(tmp_path / "s")
    for number in range(5):
        write(made, lines(number))
    assert made.oldest(seal=False) is None
    assert (made.used, made.waiting) == (50, 1)
    assert contents(made) == b"".join(lines(*range(5)))
    assert (made.used, made.waiting) == (0, 0)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700


def test_a_segment_is_no_larger_than_a_chunk(tmp_path: Path) -> None:
    """Unless a line is; a full one is ready without being asked for."""
    made = spool(tmp_path / "s")
    third = DECISION_CHUNK_BYTES // 3
    large = lines(9, size=2 * DECISION_CHUNK_BYTES)
    write(made, [*lines(0, 1, 2, 3, size=third), *large, *lines(4)])
    sizes = []
    while (segment := made.oldest(seal=True)) is not None:
        sizes.append(segment.bytes)
        made.done(segment)
    assert sizes == [3 * third, third, len(large[0]), 10]


def test_a_full_spool_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """Until the collector has taken something."""
    made = spool(tmp_path / "s", 25)
    assert made.write(lines(1, 2, 3)) == 2
    with pytest.raises(SpoolFullError, match="20 bytes of 25"):
        made.write(lines(3))
    segment = made.oldest(seal=True)
    assert segment is not None
    made.done(segment)
    assert made.write(lines(3)) == 1
    assert contents(made) == b"".join(lines(3))


def test_an_event_larger_than_the_spool_is_taken_alone(tmp_path: Path) -> None:
    """It would wait for ever else."""
    made = spool(tmp_path / "s", 25)
    write(made, lines(1, size=100))
    with pytest.raises(SpoolFullError):
        made.write(lines(2))
    assert contents(made) == lines(1, size=100)[0]


def test_a_spool_goes_on_after_a_crash(tmp_path: Path) -> None:
    """The same segments, less what was half written; then new ones."""
    folder = tmp_path / "s"
    first = spool(folder)
    write(first, lines(1, 2))
    first.oldest(seal=True)
    write(first, lines(3))
    first.release()  # as the kernel does it for a dead process
    newest = max(folder.glob("*.jsonl"))
    newest.write_bytes(newest.read_bytes() + b"hal")
    second = Spool(folder, BIG)
    assert second.open() == "cut 3 bytes of half an event"
    assert (second.used, second.waiting) == (30, 2)
    write(second, lines(4))
    assert contents(second) == b"".join(lines(1, 2, 3, 4))


def test_a_spool_is_used_by_one_process(tmp_path: Path) -> None:
    """Two would send everything twice."""
    first = spool(tmp_path / "s")
    with pytest.raises(OSError, match="another process"):
        Spool(tmp_path / "s", BIG).open()
    first.release()
    spool(tmp_path / "s").release()


def test_what_is_refused_is_set_aside_and_takes_room(tmp_path: Path) -> None:
    """Also after a restart, and moved back it is sent again."""
    folder = tmp_path / "s"
    made = spool(folder, 25)
    write(made, lines(1, 2))
    segment = made.oldest(seal=True)
    assert segment is not None
    made.set_aside(segment, 413)
    (aside,) = (folder / ASIDE).iterdir()
    assert aside.name == "0000000000000001.413.jsonl"
    with pytest.raises(SpoolFullError, match="1 segments of it refused"):
        made.write(lines(3))
    made.release()
    again = spool(folder, 25)
    assert (again.used, again.refused, again.waiting) == (20, 1, 0)
    again.release()
    aside.rename(folder / "0000000000000001.jsonl")
    last = spool(folder)
    write(last, lines(3))
    assert contents(last) == b"".join(lines(1, 2, 3))


def test_a_spool_on_a_full_disk_keeps_what_it_took(tmp_path: Path) -> None:
    """Nothing half written is ever sent, nor sent after a restart."""
    folder = tmp_path / "s"
    made = spool(folder)
    write(made, lines(1))
    with no_file_past(25), pytest.raises(OSError, match="too large"):
        made.write(lines(2, 3))
    assert made.used == 10
    segment = made.oldest(seal=True)
    assert segment is not None
    assert made.read(segment) == b"".join(lines(1))
    write(made, lines(2, 3))
    assert contents(made) == b"".join(lines(1, 2, 3))


def test_what_could_not_be_synced_is_written_once(tmp_path: Path) -> None:
    """A folder that is gone for a while doubles nothing."""
    folder = tmp_path / "s"
    made = spool(folder)
    write(made, lines(1))
    folder.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        made.write(lines(2))
    (tmp_path / "away").rename(folder)
    write(made, lines(2))
    assert contents(made) == b"".join(lines(1, 2))
