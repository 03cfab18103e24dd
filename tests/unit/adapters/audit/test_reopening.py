"""A record goes on where it ended: after a crash with a word about it, else untouched."""

import asyncio
import json
from pathlib import Path

import pytest

from bus.adapters.audit import FileAudit, Summary, tail, verify
from bus.adapters.clock import SystemClock
from bus.core.errors import ConfigurationError
from tests.fakes.recording import keep, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a record of two blocks: header, 2 records, seal, 3 records, seal."""
    path = tmp_path / "audit.jsonl"
    keep(path, [2, 3])
    return path


def refusal(path: Path) -> str:
    """Return why the record cannot be opened."""
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ConfigurationError) as caught:
        keep(path, [])
    assert (path.read_bytes() if path.is_file() else b"") == before
    return str(caught.value)


def head_of(path: Path) -> Path:
    """Return where the head is kept."""
    return path.with_name(path.name + ".head")


def test_a_record_goes_on_with_its_chain(path: Path) -> None:
    """Blocks of another run follow those of the first, with no word about it."""
    keep(path, [4])
    keep(path, [])
    keep(path, [1])
    summary = verify(path)
    assert (summary.records, summary.blocks, summary.head_checked) == (10, 4, True)


def test_only_its_owner_may_read_a_record(path: Path) -> None:
    """Mode 0600, of the head too, and a wider mode is narrowed."""
    assert path.stat().st_mode & 0o777 == 0o600
    assert head_of(path).stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    keep(path, [])
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("torn", [b"[", b'["accepted",17', b"\x00" * 4096, b"[]\n[]\n"])
def test_a_torn_tail_is_cut_and_said(path: Path, torn: bytes) -> None:
    """What a crash left after the last seal goes, and a record tells how much."""
    with path.open("ab") as file:
        file.write(torn)
    keep(path, [1])
    summary = verify(path)
    assert (summary.records, summary.blocks) == (7, 3)
    recovered = tail(path, 2)[0]
    assert recovered.event == "recovered"
    assert f"cut {len(torn)} bytes" in recovered.detail
    assert recovered.agent == "$bus"


def test_a_torn_block_with_its_seal_half_written_is_cut(path: Path) -> None:
    """The head is older than the crash: only what it does not name may be torn."""
    head = head_of(path).read_bytes()
    keep(path, [50])
    whole = path.read_bytes()
    head_of(path).write_bytes(head)
    path.write_bytes(whole[:-1])
    keep(path, [])
    assert verify(path).records == 6
    assert tail(path, 1)[0].event == "recovered"


def test_blocks_after_an_older_head_are_kept(path: Path) -> None:
    """A crash between the write and the head loses no sealed block."""
    head = head_of(path).read_bytes()
    keep(path, [50, 3])
    head_of(path).write_bytes(head)
    keep(path, [])
    assert verify(path).records == 58
    assert tail(path, 1)[0].event == "accepted"


def test_a_record_cut_below_its_head_is_not_continued(path: Path) -> None:
    """Going on would bury the cut."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    assert "its head names block 2" in refusal(path)
    path.write_bytes(b"".join(lines[:6]))
    assert "its head names block 2" in refusal(path)
    path.unlink()
    with pytest.raises(ConfigurationError, match="the file has 0 bytes"):
        keep(path, [])


def test_a_changed_last_block_is_not_continued(path: Path) -> None:
    """The block the head names is checked before anything is added."""
    path.write_bytes(path.read_bytes().replace(b"number 4", b"number 9"))
    assert "line 5" in refusal(path)


def test_a_changed_block_after_the_head_is_not_continued(path: Path) -> None:
    """A seal that does not hold is no crash."""
    head = head_of(path).read_bytes()
    keep(path, [3])
    head_of(path).write_bytes(head)
    path.write_bytes(path.read_bytes().replace(b"number 0", b"number 8"))
    refusal(path)


def test_without_a_head_the_whole_is_checked_and_that_is_said(path: Path) -> None:
    """A lost head is replaced after a full check, and recorded."""
    head_of(path).unlink()
    keep(path, [])
    assert tail(path, 1)[0].detail == "there was no head"
    assert verify(path).head_checked
    head_of(path).unlink()
    path.write_bytes(path.read_bytes().replace(b"number 0", b"number 8"))
    assert "line 2" in refusal(path)


def test_half_a_header_is_a_crashed_start(tmp_path: Path) -> None:
    """Nothing was recorded yet, so the start is made anew, and said."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"format":"assent-au')
    keep(path, [1])
    assert verify(path).records == 2
    assert "half a header" in tail(path, 2)[0].detail


@pytest.mark.parametrize("text", [b"hello", b"hello\n", b"\x00" * 5000, b'{"a":1}\n'])
def test_a_file_that_is_no_record_is_left_alone(tmp_path: Path, text: bytes) -> None:
    """Somebody else's file is not overwritten."""
    path = tmp_path / "notes.txt"
    path.write_bytes(text)
    assert "not a header" in refusal(path)


def test_a_record_of_a_later_version_is_left_alone(path: Path) -> None:
    """What this code does not know it does not continue."""
    head_of(path).unlink()
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2', 1))
    assert "version 2 is not known" in refusal(path)


@pytest.mark.parametrize("text", [b"", b"{}", b"garbage", b"\xff" * 9000])
def test_a_head_that_is_none_is_refused(path: Path, text: bytes) -> None:
    """A damaged head is not taken for a missing one."""
    head_of(path).write_bytes(text)
    assert "audit head" in refusal(path)


def test_the_head_of_another_record_is_refused(path: Path, tmp_path: Path) -> None:
    """A head names one chain."""
    other = tmp_path / "other.jsonl"
    keep(other, [2, 3])
    head_of(path).write_bytes(head_of(other).read_bytes())
    refusal(path)


def test_one_writer_a_file(path: Path) -> None:
    """A second log on the same file is refused, and the first is not disturbed."""

    async def run() -> None:
        first = FileAudit(path, SystemClock())
        await first.open()
        with pytest.raises(ConfigurationError, match="another process writes it"):
            await FileAudit(path, SystemClock()).open()
        first.append(record(1))
        await first.flush()
        live = await asyncio.to_thread(verify, path)
        assert live.records == 6
        await first.close()

    asyncio.run(run())
    keep(path, [])


def test_a_running_writer_is_not_called_broken(path: Path) -> None:
    """A block in the middle of its write is counted apart while the writer lives."""

    async def run() -> None:
        audit = FileAudit(path, SystemClock())
        await audit.open()
        live = await asyncio.to_thread(_verify_mid_block, path)
        assert (live.records, live.unsealed) == (5, 1)
        await audit.close()

    asyncio.run(run())
    assert verify(path).unsealed == 0


def _verify_mid_block(path: Path) -> Summary:
    whole = path.stat().st_size
    with path.open("ab") as file:
        file.write(b'["accepted",1')
    found = verify(path)
    with path.open("r+b") as file:
        file.truncate(whole)
    return found


def test_a_directory_or_a_device_is_no_record(tmp_path: Path) -> None:
    """Only a regular file keeps what is written."""
    with pytest.raises(ConfigurationError):
        keep(tmp_path, [])
    with pytest.raises(ConfigurationError, match="not a regular file"):
        keep(Path("/dev/full"), [], head=tmp_path / "head")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The record is not kept somewhere else instead."""
    with pytest.raises(ConfigurationError, match="No such file"):
        keep(tmp_path / "none" / "audit.jsonl", [])


def test_the_head_is_readable(path: Path) -> None:
    """It names the last block, as documented."""
    head = json.loads(head_of(path).read_text())
    assert head["at"]["block"] == 2
    assert head["at"]["records"] == 5
    assert head["at"]["hash"] == verify(path).head
    assert head["at"]["bytes"] == path.stat().st_size
    assert head["before"]["block"] == 1
