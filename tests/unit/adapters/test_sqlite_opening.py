"""A store file is opened only by its owner, only if it is whole, and only if it is ours."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from bus.adapters.clock import SystemClock
from bus.adapters.stores.sqlite import SqliteStore, layout
from bus.adapters.stores.sqlite.state import KIND_META, figures
from bus.core.changes import PutStream, Settle
from bus.core.entries import SEQUENCE_MAX, key_of
from bus.core.errors import (
    ConfigurationError,
    StoreBrokenError,
    StoreUnavailableError,
)
from tests.fakes.storekit import SEALER, append, consumer, keep, stream
from tests.fakes.stores import Files, copied, kept_store, open_raw, run, sqlite_store

BESIDE = ("-head", "-lock", "-shm", "-wal")


async def refused(store: SqliteStore, error: type[Exception], words: str) -> None:
    """Check that a store does not open, and says why, with the file's name."""
    with pytest.raises(error, match=words) as found:
        await store.open()
    assert store.path.name in str(found.value)
    assert store.health() == (False, "not open")


async def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    """Whatever the umask says."""
    before = os.umask(0)
    try:
        store = sqlite_store(tmp_path)
        await store.open()
    finally:
        os.umask(before)
    await keep(store, stream(1), append(1, 1))
    assert {Files(store.path).mode(name) for name in ("", *BESIDE)} == {0o600}
    await store.close()


async def test_a_closed_store_is_one_file_and_its_head_and_lock(tmp_path: Path) -> None:
    """What was in the log is in the file."""
    store = await kept_store(tmp_path)
    await store.close()
    assert Files(store.path).there() == ["store.db", "store.db-head", "store.db-lock"]


async def test_the_second_owner_is_refused_by_the_pid_of_the_first(
    tmp_path: Path,
) -> None:
    """One file, one process; when that lets go, the next can have it."""
    first, second = sqlite_store(tmp_path), sqlite_store(tmp_path)
    await first.open()
    await refused(second, ConfigurationError, f"process {os.getpid()} has it open")
    await first.close()
    await second.open()
    await second.close()


async def test_another_process_is_refused_too(tmp_path: Path) -> None:
    """The lock is the kernel's."""
    store = sqlite_store(tmp_path)
    await store.open()
    code = (
        "import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    lock = Files(store.path).at("-lock")
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, lock, stderr=asyncio.subprocess.PIPE
    )
    _, words = await other.communicate()
    assert b"BlockingIOError" in words
    await store.close()


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """Not a byte of it changes."""
    files = Files(tmp_path / "store.db")
    open_raw(files.path, "CREATE TABLE theirs(a)")
    before = files.read()
    await refused(sqlite_store(tmp_path), ConfigurationError, "another program")
    assert files.read() == before


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    """Whatever it is."""
    files = Files(tmp_path / "store.db")
    diary = b"Dear diary,\n" * 1000
    files.write(diary)
    await refused(sqlite_store(tmp_path), ConfigurationError, "not a file of SQLite")
    assert files.read() == diary


async def test_a_folder_is_no_store(tmp_path: Path) -> None:
    """It is told as a mistake of the settings."""
    run((tmp_path / "store.db").mkdir)
    await refused(sqlite_store(tmp_path), ConfigurationError, "not a regular file")


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """It is not made."""
    store = sqlite_store(tmp_path / "none")
    await refused(store, ConfigurationError, "No such file or directory")


async def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    """Its head says that it is meant."""
    store = await kept_store(tmp_path)
    await store.close()
    open_raw(store.path, f"PRAGMA user_version={layout.VERSION + 1}")
    Files(store.path).drop("-head")
    await refused(sqlite_store(tmp_path), ConfigurationError, "newer release")


async def test_a_version_that_the_head_does_not_know_is_damage(tmp_path: Path) -> None:
    """A bit of it flipped."""
    store = await kept_store(tmp_path)
    await store.close()
    open_raw(store.path, f"PRAGMA user_version={layout.VERSION + 1}")
    await refused(
        sqlite_store(tmp_path), StoreBrokenError, f"the head says {layout.VERSION}"
    )


async def test_without_its_head_a_store_is_not_trusted(tmp_path: Path) -> None:
    """The text says what to do; who accepts the file as it is, can."""
    store = await kept_store(tmp_path)
    await store.close()
    again = sqlite_store(tmp_path)
    with pytest.raises(ConfigurationError, match="its head is there"):
        await again.renew_head()
    Files(store.path).drop("-head")
    await refused(again, StoreBrokenError, "put back the one that belongs to it")
    assert "3 messages" in await again.renew_head()
    await again.open()
    assert len(await again.entries(0, key_of(9, 0), 10)) == 3
    await again.close()


async def test_a_head_that_does_not_hold_is_told(tmp_path: Path) -> None:
    """Both of its slots were changed."""
    store = await kept_store(tmp_path)
    await store.close()
    Files(store.path).write(bytes(8192), "-head")
    again = sqlite_store(tmp_path)
    await refused(again, StoreBrokenError, "neither slot")
    assert "3 messages" in await again.renew_head()
    await again.open()
    await again.close()


async def test_half_a_write_of_the_head_leaves_the_other_slot(tmp_path: Path) -> None:
    """It is one transaction behind, which is no fault."""
    store = await kept_store(tmp_path)
    await store.close()
    files = Files(store.path)
    data = files.read("-head")
    for place in (0, 4096):
        files.write(data[: place + 20] + bytes(20) + data[place + 40 :], "-head")
        again = sqlite_store(tmp_path)
        await again.open()
        await again.close()


@pytest.mark.parametrize("how", ["gone", "empty"])
async def test_a_file_that_is_gone_is_not_begun_anew(tmp_path: Path, how: str) -> None:
    """Its head says that there was something."""
    store = await kept_store(tmp_path)
    await store.close()
    if how == "gone":
        Files(store.path).drop()
    else:
        Files(store.path).write(b"")
    again = sqlite_store(tmp_path)
    await refused(again, StoreBrokenError, f"the file is {how}, its head is there")
    Files(store.path).drop("-head")
    assert not (await again.open()).streams
    await again.close()


async def test_a_log_without_its_file_is_not_begun_anew(tmp_path: Path) -> None:
    """What is in it may be all there is."""
    store = await kept_store(tmp_path)
    copy = copied(store.path, tmp_path / "copy")
    await store.close()
    copy.drop()
    copy.drop("-head")
    await refused(sqlite_store(copy.path.parent), StoreBrokenError, "its log is there")


async def test_an_older_copy_of_the_file_is_told(tmp_path: Path) -> None:
    """Its head has got further."""
    store = await kept_store(tmp_path)
    await store.close()
    older = Files(store.path).read()
    again = sqlite_store(tmp_path)
    await again.open()
    await keep(again, append(1, 9))
    await again.close()
    Files(store.path).write(older)
    await refused(
        sqlite_store(tmp_path), StoreBrokenError, r"were kept and are missing"
    )


async def test_a_start_that_died_half_way_is_begun_again(tmp_path: Path) -> None:
    """The tables were there, the head was not: nothing was ever accepted."""
    store = sqlite_store(tmp_path)
    await store.open()
    await store.close()
    values = ",".join(map(str, figures(KIND_META, 0, (0, 0, 1, 1, 1))))
    open_raw(store.path, f"REPLACE INTO figures VALUES ({values})")  # noqa: S608 - only numbers
    Files(store.path).drop("-head")
    again = sqlite_store(tmp_path)
    assert (await again.open()).epoch == 1
    await again.close()


async def test_a_bare_file_is_a_start_that_died(tmp_path: Path) -> None:
    """It was switched to a log, and nothing else."""
    open_raw(tmp_path / "store.db", "PRAGMA journal_mode=WAL", "PRAGMA user_version=0")
    store = sqlite_store(tmp_path)
    assert (await store.open()).epoch == 1
    await store.close()


async def test_each_opening_has_an_epoch_and_tells_whether_the_last_ended(
    tmp_path: Path,
) -> None:
    """A copy made while it was open is what a crash leaves."""
    store = await kept_store(tmp_path)
    copy = copied(store.path, tmp_path / "copy")
    await store.close()
    crashed = sqlite_store(copy.path.parent)
    contents = await crashed.open()
    assert (contents.epoch, contents.clean) == (2, False)
    assert contents.streams[0].messages == 3
    await crashed.close()
    again = sqlite_store(copy.path.parent)
    contents = await again.open()
    assert (contents.epoch, contents.clean) == (3, True)
    await again.close()


async def test_other_tables_are_damage(tmp_path: Path) -> None:
    """A trigger, too, could change what is kept."""
    store = await kept_store(tmp_path)
    await store.close()
    open_raw(store.path, "CREATE TABLE another(a)")
    again = sqlite_store(tmp_path)
    await refused(again, StoreBrokenError, "schema was changed: CREATE TABLE another")


async def test_a_file_that_is_open_can_be_opened_again_by_itself(
    tmp_path: Path,
) -> None:
    """Health does not ask for it; it is no fault."""
    store = await kept_store(tmp_path)
    await store.reopen()
    await keep(store, Settle(1, 1))
    assert store.stats().reopened == 1
    assert len(await store.deliveries(1, 0, 10)) == 2
    await store.close()


async def test_what_is_closed_cannot_be_reopened(tmp_path: Path) -> None:
    """It is opened."""
    store = sqlite_store(tmp_path)
    with pytest.raises(StoreUnavailableError, match="not open"):
        await store.reopen()


async def test_a_check_of_a_file_that_is_in_use_is_refused(tmp_path: Path) -> None:
    """Its owner checks what it reads."""
    store = await kept_store(tmp_path)
    with pytest.raises(ConfigurationError, match="has it open"):
        await sqlite_store(tmp_path).verify()
    await store.close()
    told = await sqlite_store(tmp_path).verify()
    assert "3 messages in 1 streams, 3 deliveries to 1 consumers" in told
    with pytest.raises(ConfigurationError, match="no such file"):
        await sqlite_store(tmp_path / "other").verify()


async def test_a_check_changes_nothing(tmp_path: Path) -> None:
    """Neither the file nor its log."""
    store = await kept_store(tmp_path)
    copy = copied(store.path, tmp_path / "copy")
    await store.close()
    before = [copy.read(name) for name in ("", "-wal", "-head")]
    await sqlite_store(copy.path.parent).verify()
    assert [copy.read(name) for name in ("", "-wal", "-head")] == before


async def test_the_highest_keys_there_are_can_be_kept(tmp_path: Path) -> None:
    """The last stream's last message."""
    store = SqliteStore(tmp_path / "store.db", SEALER, SystemClock())
    await store.open()
    last = (1 << 23) - 1
    await keep(store, PutStream(last, "acme", "last"), consumer(1))
    await keep(store, append(last, SEQUENCE_MAX, (1, 1, 0)))
    rows = await store.deliveries(1, 0, 10)
    assert [row.key for row in rows] == [(1 << 63) - 1]
    await store.close()
