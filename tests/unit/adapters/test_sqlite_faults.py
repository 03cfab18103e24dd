"""A disk that fails: publishers are told, nothing acknowledged is lost, and it mends."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import apsw
import pytest

from bus.adapters.stores.sqlite import SqliteStore, heads, inflow, wal
from bus.core.changes import Bounds, DropLetter, Retry, Settle, Wake
from bus.core.entries import SEQUENCE_MAX
from bus.core.errors import (
    ConfigurationError,
    StoreBrokenError,
    StoreUnavailableError,
)
from tests.fakes.recording import NOW_NS, SteppedClock
from tests.fakes.storekit import KEYS, LOWEST, Told, append, keep
from tests.fakes.stores import Disk, Files, copied, kept_store, open_raw, sqlite_store

EVERYTHING = Bounds(messages=0, bytes=0, before_ns=0, settled_only=False)


async def broken_store(folder: Path, clock: SteppedClock) -> tuple[SqliteStore, Disk]:
    """Return a store with three messages, and the disk it is on."""
    disk = Disk()
    store = await kept_store(folder, clock=clock, threaded=False, connect=disk.connect)
    return store, disk


async def sequences(store: SqliteStore) -> list[int]:
    """Return the sequences of all that is kept."""
    return [key & SEQUENCE_MAX for key, _ in await store.entries(*KEYS, 100)]


async def pending(store: SqliteStore) -> list[int]:
    """Return the numbers of what is to be delivered to the one consumer."""
    return [row.number for row in await store.deliveries(1, LOWEST, 100)]


async def keep_on(store: SqliteStore) -> None:
    """Keep one message after another."""
    for number in range(4, 9):
        await keep(store, append(1, number))


async def test_a_full_disk_refuses_what_is_new_and_keeps_what_lets_go(
    tmp_path: Path,
) -> None:
    """Acknowledgements wait, and are there before anything else once there is room."""
    clock = SteppedClock()
    store, disk = await broken_store(tmp_path, clock)
    disk.write = apsw.SQLITE_FULL
    told = Told()
    store.submit((Settle(1, 1),), told.of(1))
    store.submit((append(1, 4, (1, 4, 0)),), told.of(2))
    store.submit((Retry(1, 2, 1, NOW_NS), DropLetter(1)), told.of(3))
    with pytest.raises(StoreUnavailableError, match="disk full"):
        await store.trim(1, EVERYTHING)
    assert told.endings == [(2, "StoreUnavailableError")]
    healthy, words = store.health()
    assert not healthy
    assert "disk full" in words
    with pytest.raises(StoreUnavailableError, match="disk full"):
        await keep(store, append(1, 5))
    clock.step(0.25)
    await asyncio.sleep(0)
    assert told.endings == [(2, "StoreUnavailableError")]
    disk.heal()
    clock.step(0.5)
    await keep(store, append(1, 6, (1, 6, 0)))
    assert told.endings[1:] == [(1, "ok"), (3, "ok")]
    assert store.health() == (True, "open")
    assert await sequences(store) == [1, 2, 3, 6]
    assert await pending(store) == [2, 3, 6]
    assert [row.attempt for row in await store.deliveries(1, 0, 9)] == [1, 0, 0]
    await store.close()


async def test_a_full_disk_mends_though_nothing_waits(tmp_path: Path) -> None:
    """It is tried with an empty transaction, less and less often."""
    clock = SteppedClock()
    store, disk = await broken_store(tmp_path, clock)
    disk.write = apsw.SQLITE_FULL
    with pytest.raises(StoreUnavailableError):
        await keep(store, append(1, 4))
    for wait_s in (0.25, 0.5, 1, 2, 4, 5, 5):
        writes = len(disk.calls)
        clock.step(wait_s / 2)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(disk.calls) == writes
        clock.step(wait_s / 2)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(disk.calls) > writes
        assert not store.health()[0]
    disk.heal()
    clock.step(5)
    await keep(store)
    assert store.health() == (True, "open")
    await store.close()


async def test_a_store_of_a_full_disk_is_closed_and_says_what_was_not_kept(
    tmp_path: Path,
) -> None:
    """The next opening finds what was kept."""
    store, disk = await broken_store(tmp_path, SteppedClock())
    disk.write = apsw.SQLITE_FULL
    settled = keep(store, Settle(1, 1))
    with pytest.raises(StoreUnavailableError, match=r"1 submissions not kept: .*full"):
        await store.close()
    with pytest.raises(StoreUnavailableError, match="disk full"):
        await settled
    disk.heal()
    again = sqlite_store(tmp_path)
    assert (await again.open()).clean is False
    assert await pending(again) == [1, 2, 3]
    await again.close()


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize(
    "code", [apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_WRITE], ids=["sync", "write"]
)
async def test_after_an_error_of_the_disk_nothing_is_tried_until_it_is_opened_anew(
    tmp_path: Path, code: int, after: int
) -> None:
    """What was refused is not found then; what lets go is carried out."""
    store, disk = await broken_store(tmp_path, SteppedClock())
    if code == apsw.SQLITE_IOERR_FSYNC:
        disk.sync, disk.after = code, 0
    else:
        disk.write, disk.after = code, after
    told = Told()
    store.submit((append(1, 4, (1, 4, 0)),), told.of(1))
    store.submit((Settle(1, 1),), told.of(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert told.endings == [(1, "StoreUnavailableError")]
    calls = len(disk.calls)
    disk.heal()
    with pytest.raises(StoreUnavailableError, match="IOERR"):
        await keep(store, append(1, 5))
    assert len(disk.calls) == calls
    assert "IOERR" in store.health()[1]
    await store.reopen()
    await keep(store, append(1, 6, (1, 6, 0)))
    assert told.endings == [(1, "StoreUnavailableError"), (2, "ok")]
    assert await sequences(store) == [1, 2, 3, 6]
    assert await pending(store) == [2, 3, 6]
    assert store.stats().reopened == 1
    await store.close()
    assert "4 messages" in await sqlite_store(tmp_path).verify()


async def test_a_disk_that_stays_broken_cannot_be_reopened(tmp_path: Path) -> None:
    """Each attempt says why; when it mends, nothing is lost and nothing refused is there."""
    store, disk = await broken_store(tmp_path, SteppedClock())
    disk.sync = apsw.SQLITE_IOERR_FSYNC
    with pytest.raises(StoreUnavailableError):
        await keep(store, append(1, 4, (1, 4, 0)))
    settled = keep(store, Settle(1, 2))
    for _ in range(3):
        with pytest.raises(ConfigurationError, match="IOERR_FSYNC"):
            await store.reopen()
        assert not store.health()[0]
    assert not settled.done()
    disk.heal()
    await store.reopen()
    await settled
    assert await sequences(store) == [1, 2, 3]
    assert await pending(store) == [1, 3]
    await store.close()


async def test_what_was_refused_is_not_found_by_the_next_process_either(
    tmp_path: Path,
) -> None:
    """The log has it, as the kernel shows it; the head says that it was refused."""
    store, disk = await broken_store(tmp_path, SteppedClock())
    disk.sync = apsw.SQLITE_IOERR_FSYNC
    with pytest.raises(StoreUnavailableError):
        await keep(store, append(1, 4, (1, 4, 0)))
    crashed = copied(store.path, tmp_path / "copy")
    with pytest.raises(StoreUnavailableError):
        await store.close()
    crashed_sqlite = open_raw(
        copied(crashed.path, tmp_path / "raw").path, "SELECT count(*) FROM messages"
    )
    assert crashed_sqlite == [(4,)]
    again = sqlite_store(crashed.path.parent)
    await again.open()
    assert await sequences(again) == [1, 2, 3]
    await keep(again, append(1, 5))
    await again.close()
    assert "4 messages" in await sqlite_store(crashed.path.parent).verify()


async def test_a_checkpoint_that_fails_stops_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the log stays there, and is carried over when it is opened anew."""
    store, disk = await broken_store(tmp_path, SteppedClock())
    monkeypatch.setattr(inflow, "STORE_CHECKPOINT_BYTES", 1)
    await keep(store, append(1, 4))
    disk.failing, disk.sync = "store.db", apsw.SQLITE_IOERR_FSYNC
    with pytest.raises(StoreUnavailableError, match="IOERR_FSYNC"):
        await keep(store, append(1, 5))
    assert not store.health()[0]
    disk.heal()
    await store.reopen()
    await keep(store, append(1, 6))
    assert await sequences(store) == [1, 2, 3, 4, 6]
    await store.close()


async def test_another_file_in_its_place_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that was put back under a running store."""
    monkeypatch.setattr(inflow, "STORE_CHECKPOINT_BYTES", 1)
    store = await kept_store(tmp_path)
    files = Files(store.path)
    files.write(files.read(), "-new")
    files.replace("-new")
    with pytest.raises(StoreUnavailableError, match="another file stands in its place"):
        await keep_on(store)
    with pytest.raises(StoreUnavailableError):
        await store.close()


async def test_a_head_that_cannot_be_written_stops_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was on disk by then is kept; the next is not begun."""
    store = await kept_store(tmp_path, threaded=False)

    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(heads.HeadFile, "write", fail)
    await keep(store, append(1, 4))
    with pytest.raises(StoreUnavailableError, match="-head"):
        await keep(store, append(1, 5))
    monkeypatch.undo()
    await store.reopen()
    assert await sequences(store) == [1, 2, 3, 4]
    await store.close()


async def test_another_program_that_locks_the_file_is_waited_for(
    tmp_path: Path,
) -> None:
    """Then it is told; it is tried again."""
    clock = SteppedClock()
    store, disk = await broken_store(tmp_path, clock)
    disk.write = apsw.SQLITE_BUSY
    with pytest.raises(StoreUnavailableError, match="another program"):
        await keep(store, append(1, 4))
    disk.heal()
    clock.step(0.25)
    await keep(store, append(1, 5))
    await store.close()


async def test_a_file_that_cannot_be_opened_is_told_at_the_start(
    tmp_path: Path,
) -> None:
    """There are no file handles left, or it may not be written."""
    disk = Disk()
    disk.opening = apsw.SQLITE_CANTOPEN
    store = sqlite_store(tmp_path, connect=disk.connect)
    with pytest.raises(ConfigurationError, match="could not be opened"):
        await store.open()
    disk.heal()
    await store.open()
    await store.close()


async def test_a_read_that_fails_is_told_and_the_next_one_tries_anew(
    tmp_path: Path,
) -> None:
    """The connection that failed is not used again."""
    disk = Disk()
    store = await kept_store(tmp_path, threaded=False, connect=disk.connect)
    disk.opening = apsw.SQLITE_CANTOPEN
    with pytest.raises(StoreUnavailableError, match="could not be opened"):
        await store.next_due_ns()
    disk.heal()
    assert await store.next_due_ns() == 0
    await store.close()


async def test_a_read_that_finds_damage_shows_in_health(tmp_path: Path) -> None:
    """Until it is opened anew, which checks the rest."""
    store = await kept_store(tmp_path)
    open_raw(store.path, "DELETE FROM messages WHERE key&255=2")
    with pytest.raises(StoreBrokenError, match=r"store\.db: table"):
        await store.entries(*KEYS, 9)
    assert "a row is missing" in store.health()[1]
    with pytest.raises(StoreBrokenError):
        await store.reopen()
    with pytest.raises(StoreUnavailableError):
        await store.close()


async def test_damage_found_while_writing_stops_the_store(tmp_path: Path) -> None:
    """A delivery that waits is not woken if its row was changed."""
    store = await kept_store(tmp_path)
    await keep(store, append(1, 4, (1, 4, NOW_NS)))
    open_raw(store.path, "UPDATE later SET key=key+1")
    with pytest.raises(StoreUnavailableError, match="table later"):
        await keep(store, Wake(1, 4, NOW_NS, 5), append(1, 5))
    assert "wrong checksum" in store.health()[1]
    with pytest.raises(StoreUnavailableError):
        await store.close()


async def test_what_nobody_thought_of_stops_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says what it was."""
    store = await kept_store(tmp_path, threaded=False)

    def odd(*_: Any) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr("bus.adapters.stores.sqlite.carrying.note", odd)
    with pytest.raises(StoreUnavailableError, match="RuntimeError: odd"):
        await keep(store, append(1, 4))
    monkeypatch.undo()
    await store.reopen()
    await keep(store, append(1, 5))
    assert await sequences(store) == [1, 2, 3, 5]
    await store.close()


async def test_one_that_cannot_be_kept_is_found_among_many(tmp_path: Path) -> None:
    """All others of its batch are kept, in order."""
    store = await kept_store(tmp_path)
    told = Told()
    for number in range(4, 104):
        taker = 3 if number in {50, 51, 80} else number
        store.submit((append(1, number, (1, taker, 0)),), told.of(number))
    await keep(store)
    assert [number for number, word in told.endings if word != "ok"] == [50, 51, 80]
    assert [number for number, _ in told.endings] == list(range(4, 104))
    assert store.stats().failed == 3
    assert len(await pending(store)) == 100
    await store.close()


async def test_what_a_listener_raises_is_the_loops_to_tell(tmp_path: Path) -> None:
    """The others of its batch are told all the same."""
    store = await kept_store(tmp_path)
    heard: list[Exception] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))

    def bad(_: Exception | None) -> None:
        raise ValueError("mine")

    store.submit((append(1, 4),), bad)
    await keep(store, append(1, 5))
    assert [str(error) for error in heard] == ["mine"]
    await store.close()


async def test_room_is_waited_for_and_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store is stopped acknowledgements pile up, and publishing waits."""
    monkeypatch.setattr("bus.adapters.stores.sqlite.store.STORE_PENDING_CHANGES_MAX", 3)
    clock = SteppedClock()
    store, disk = await broken_store(tmp_path, clock)
    disk.sync = apsw.SQLITE_IOERR_FSYNC
    settled = [keep(store, Settle(1, number)) for number in (1, 2, 3)]
    assert [store.full] == [True]
    waiting = asyncio.ensure_future(store.room())  # noqa: TID251 - it is awaited below
    await asyncio.sleep(0)
    clock.step(10)
    with pytest.raises(StoreUnavailableError, match=r"no room in 10 s: .*IOERR_FSYNC"):
        await waiting
    disk.heal()
    waiting = asyncio.ensure_future(store.room())  # noqa: TID251 - it is awaited below
    await store.reopen()
    await waiting
    assert [store.full] == [False]
    await asyncio.wait(settled)
    assert [each.exception() for each in settled] == [None] * 3
    await store.close()


def test_a_log_that_is_none_has_no_last_transaction(tmp_path: Path) -> None:
    """An empty one, and one that is something else."""
    path = tmp_path / "log"
    for data in (b"", b"x" * 31, b"x" * 5000):
        path.write_bytes(data)
        wal.rewrite(path)
        assert not wal.drop_last(path)
        assert path.read_bytes() == data


def test_the_errors_of_both_libraries_carry_the_number(tmp_path: Path) -> None:
    """The store knows errors by it."""
    with pytest.raises(sqlite3.Error) as error:
        Disk().connect(tmp_path / "none", True)
    assert error.value.sqlite_errorname == "SQLITE_CANTOPEN"
