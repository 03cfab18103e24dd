"""What a file does when the disk does what disks do."""

import errno
import os
from pathlib import Path

import pytest

from bus.adapters.audit import heads, verify
from bus.adapters.audit.files import FileRecord
from bus.core.auditchain import Head, seal
from bus.core.auditrecord import encode
from tests.fakes.recording import record


def block(head: Head, number: int) -> tuple[list[bytes], Head]:
    """Return a sealed block of one record and the head after it."""
    lines = encode([record(number)])
    line, mark = seal(head.at, lines, 1)
    return [lines, line], Head(at=mark, before=head.at)


def test_a_failed_fsync_is_not_believed_when_it_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may have dropped what it could not write; only opening anew checks."""
    path = tmp_path / "audit.jsonl"
    kept = FileRecord(path)
    start, _ = kept.open()
    blocks, head = block(start, 1)
    kept.write(blocks)

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(OSError, match="Input/output"):
            kept.sync(head)
    for _ in range(2):
        with pytest.raises(OSError, match="open the record anew"):
            kept.sync(head)
        with pytest.raises(OSError, match="open the record anew"):
            kept.write(blocks)
    kept.close()
    again = FileRecord(path)
    assert again.open() == (head, "")
    again.close()


def test_a_short_write_is_finished_or_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that takes a part goes on; one that then fails leaves nothing."""
    path = tmp_path / "audit.jsonl"
    kept = FileRecord(path)
    head, _ = kept.open()
    real, calls = os.pwrite, [0]

    def short(fd: int, data: bytes, at: int) -> int:
        calls[0] += 1
        if calls[0] == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[:50], at)

    def short_list(fd: int, data: list[bytes], at: int) -> int:
        return real(fd, b"".join(data)[:50], at)

    blocks, head = block(head, 1)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", short)
        patched.setattr(os, "pwritev", short_list)
        with pytest.raises(OSError, match="No space"):
            kept.write(blocks)
        assert path.stat().st_size > 0
        kept.write(blocks)
    kept.sync(head)
    kept.close()
    assert verify(path).records == 1


def test_a_head_that_does_not_fit_is_not_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a head never takes the place of a whole one."""
    path = tmp_path / "audit.jsonl"
    kept = FileRecord(path)
    start, _ = kept.open()
    blocks, head = block(start, 1)
    kept.write(blocks)
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda _fd, data: len(data) - 1)
        with pytest.raises(OSError, match="does not fit"):
            kept.sync(head)
    assert heads.read(heads.beside(path)) == start
    kept.sync(head)
    assert heads.read(heads.beside(path)) == head
    kept.close()


def test_another_file_in_its_place_is_noticed(tmp_path: Path) -> None:
    """Rotating the record away under its writer is an error until it is back."""
    path = tmp_path / "audit.jsonl"
    kept = FileRecord(path)
    head, _ = kept.open()
    path.rename(tmp_path / "away")
    path.touch()
    with pytest.raises(OSError, match="another file stands in its place"):
        kept.sync(head)
    (tmp_path / "away").replace(path)
    kept.sync(head)
    kept.close()


def test_a_closed_record_takes_nothing(tmp_path: Path) -> None:
    """Writing after the end is an error, not a loss."""
    kept = FileRecord(tmp_path / "audit.jsonl")
    head, _ = kept.open()
    kept.close()
    kept.close()
    with pytest.raises(OSError, match="not open"):
        kept.write([b"x"])
    with pytest.raises(OSError, match="not open"):
        kept.sync(head)
