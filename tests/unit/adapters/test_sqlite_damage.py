"""Whatever is changed in a store's files is found, or changes nothing of what is read.

Never is less read than was kept, and never something else.
"""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bus.adapters.stores.sqlite import layout, opening, places, reading, streams
from bus.adapters.stores.sqlite.file import StoreFile
from bus.adapters.stores.sqlite.planning import Planner
from bus.core.changes import Bury, Change, Retry, Settle
from bus.core.entries import key_of
from bus.core.errors import StoreBrokenError
from bus.core.storelimits import STORE_CHECK_BYTES_MAX
from tests.fakes.recording import NOW_NS
from tests.fakes.storekit import (
    ALL,
    KEYS,
    LOWEST,
    NEVER_NS,
    SEALER,
    append,
    consumer,
    letter,
    stream,
)
from tests.fakes.stores import Files, copied, open_raw

PAGE = layout.PAGE_BYTES
MESSAGES = 60
BODY = b'{"text":"' + b"x" * 300 + b'"}'
Picture = list[Any]


def keep(file: StoreFile, *changes: Change) -> None:
    """Keep something, with no loop."""
    planner = Planner(file.state)
    planner.add([(changes, lambda _: None, 0)])
    file.carry_out(planner.plan())


def filled(path: Path, rounds: int = MESSAGES) -> StoreFile:
    """Return an open store with something in each table."""
    file = StoreFile(path, SEALER, layout.connect)
    file.open(NOW_NS)
    keep(file, stream(1), stream(2), consumer(1), consumer(2))
    for number in range(1, rounds + 1):
        later = NOW_NS + number if number % 5 == 0 else 0
        takers = ((1, number, 0), (2, number, later))
        dedup = (f"id-{number}", NEVER_NS)
        kept = append(1 + number % 2, number, *takers, body=BODY, dedup=dedup)
        keep(file, kept)
        if number % 7 == 0:
            keep(file, Settle(1, number - 1), Retry(1, number, 2, NOW_NS))
        if number % 11 == 0:
            keep(file, Bury(1, number - 3, letter(number, kept)))
    return file


def seen(file: StoreFile) -> Picture:
    """Return all there is to read, through the checks of the reader."""
    with (
        places.told(file.path),
        closing(places.reader(file.path, layout.connect)) as connection,
    ):
        entries = streams.entries(connection, *KEYS, ALL)
        pending = [reading.deliveries(connection, who, LOWEST, ALL) for who in (1, 2)]
        due = reading.due(connection, NEVER_NS, ALL)
        letters = reading.letters(connection, LOWEST, ALL)
        return [
            [SEALER.open(key, entry) for key, entry in entries],
            [
                (row, SEALER.open(row.key, row.entry))
                for rows in pending
                for row in rows
            ],
            [(row, SEALER.open(row.key, row.entry)) for row in due],
            [(row, SEALER.open(row.key, row.entry)) for row in letters],
            reading.next_due_ns(connection),
            [file.state.streams[number].row() for number in (1, 2)],
            [file.state.consumers[number].told() for number in (1, 2)],
        ]


def looked_at(path: Path) -> Picture:
    """Open a store, read everything and let it go; raises `StoreBrokenError`."""
    file = StoreFile(path, SEALER, layout.connect)
    try:
        contents = file.open(NOW_NS)
        return [*seen(file), contents.dedup]
    finally:
        file.abandon()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A store that was closed."""
    path = tmp_path_factory.mktemp("whole") / "store.db"
    filled(path).close()
    return Files(path)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A store that a process left open: part of it is in the file, part in the log."""
    folder = tmp_path_factory.mktemp("crashed")
    filled(folder / "store.db", MESSAGES // 2).close()
    file = StoreFile(folder / "store.db", SEALER, layout.connect)
    file.open(NOW_NS)
    for number in range(MESSAGES, MESSAGES + 15):
        keep(file, append(1, number, (1, number, 0), body=BODY))
    copy = copied(file.path, folder / "copy")
    file.close()
    return copy


def damaged(files: Files, folder: Path) -> Iterator[Files]:
    """Yield fresh copies, each in the place of the last."""
    while True:
        copy = copied(files.path, folder)
        yield copy
        for name in ("", "-wal", "-shm", "-head"):
            copy.at(name).unlink(missing_ok=True)


def same_or_told(copy: Files, picture: Picture, what: str) -> bool:
    """Tell whether damage was found; fail if it was not and something else is read."""
    found = looked_at_or_broken(copy.path)
    assert found is None or found == picture, what
    return found is None


@pytest.fixture(params=["all", "samples"])
def checks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Once as a small file is opened, and once as a large one."""
    bound = STORE_CHECK_BYTES_MAX if request.param == "all" else 1
    monkeypatch.setattr(opening, "STORE_CHECK_BYTES_MAX", bound)
    return str(request.param)


def test_what_is_not_damaged_opens(
    whole: Files, crashed: Files, tmp_path: Path
) -> None:
    """The tests below could not fail otherwise."""
    for number, files in enumerate((whole, crashed)):
        copy = copied(files.path, tmp_path / str(number))
        first = looked_at(copy.path)
        assert len(first[0]) > MESSAGES // 3
        assert looked_at(copy.path) == first


@pytest.mark.parametrize("name", ["", "-wal"])
def test_a_flipped_bit_in_any_page_is_found(
    whole: Files, crashed: Files, tmp_path: Path, checks: str, name: str
) -> None:
    """Or it was in a place that holds nothing."""
    files = crashed if name else whole
    picture = looked_at(copied(files.path, tmp_path / "first").path)
    dice = random.Random(7)  # noqa: S311 - which bits are tried
    size, found, tried = len(files.read(name)), 0, 0
    copies = damaged(files, tmp_path / "copy")
    for page in range(0, size, PAGE):
        for _ in range(2 if name else 4):
            copy = next(copies)
            place = min(page + dice.randrange(PAGE), size - 1)
            copy.flip(place, name, dice.randrange(8))
            found += same_or_told(copy, picture, f"{checks}: byte {place} of {name}")
            tried += 1
    assert found > tried // 3


@pytest.mark.parametrize("name", ["", "-wal"])
def test_a_cut_at_any_page_is_found(
    whole: Files, crashed: Files, tmp_path: Path, checks: str, name: str
) -> None:
    """And between pages: nothing shorter is taken for the whole."""
    files = crashed if name else whole
    data = files.read(name)
    copies = damaged(files, tmp_path / "copy")
    for place in range(0, len(data), PAGE):
        for cut in (place, place + 1, place + PAGE // 2):
            copy = next(copies)
            copy.write(data[:cut], name)
            assert same_or_told(copy, [], f"{checks}: {name} cut to {cut} bytes")


def test_a_log_that_is_gone_is_found(crashed: Files, tmp_path: Path) -> None:
    """The head says which transactions were in it."""
    copy = copied(crashed.path, tmp_path / "copy")
    copy.drop("-wal")
    with pytest.raises(StoreBrokenError, match=r"transactions \d+ to \d+ were kept"):
        looked_at(copy.path)


def test_a_refused_opening_leaves_the_files_as_they_are(
    crashed: Files, tmp_path: Path
) -> None:
    """What is left of a damaged log is evidence; it is not carried into the file."""
    copy = copied(crashed.path, tmp_path / "copy")
    copy.write(copy.read("-wal")[: 20 * PAGE], "-wal")
    before = [copy.read(name) for name in ("", "-wal", "-head")]
    with pytest.raises(StoreBrokenError):
        looked_at(copy.path)
    assert [copy.read(name) for name in ("", "-wal", "-head")] == before


ROWS = {
    "a message goes": "DELETE FROM messages WHERE key={key}",
    "a message is moved": "UPDATE messages SET key=key+1000 WHERE key={key}",
    "a message is younger": "UPDATE messages SET time_ns=time_ns+1 WHERE key={key}",
    "an entry is another's": "UPDATE messages SET entry=(SELECT entry FROM messages "
    "ORDER BY key LIMIT 1) WHERE key={key}",
    "the first message goes": "DELETE FROM messages WHERE key=(SELECT min(key) FROM messages)",
    "the last message goes": "DELETE FROM messages WHERE key=(SELECT max(key) FROM messages)",
    "a delivery goes": "DELETE FROM deliveries WHERE consumer=2 AND number=3",
    "all deliveries go": "DELETE FROM deliveries",
    "a delivery is another's": "UPDATE deliveries SET key=key+4 WHERE number=3",
    "a delivery is moved": "UPDATE deliveries SET number=999 WHERE number=3",
    "an attempt is forgotten": "UPDATE deliveries SET attempt=0 WHERE number=7",
    "an attempt is made up": "UPDATE deliveries SET attempt=1 WHERE number=3",
    "a delivery is later": "UPDATE later SET due_ns=due_ns+1 WHERE number=10",
    "none waits": "DELETE FROM later",
    "a letter goes": "DELETE FROM letters WHERE id=11",
    "a letter is changed": "UPDATE letters SET letter=zeroblob(9) WHERE id=11",
    "a letter is moved": "UPDATE letters SET id=1 WHERE id=11",
    "a consumer goes": "DELETE FROM consumers WHERE id=1",
    "a consumer goes as a whole": "DELETE FROM consumers WHERE id=2; "
    "DELETE FROM figures WHERE kind=2 AND id=2",
    "a consumer's pattern": "UPDATE consumers SET pattern='>' WHERE id=1",
    "a stream goes": "DELETE FROM streams WHERE id=1",
    "a stream goes as a whole": "DELETE FROM streams WHERE id=2; "
    "DELETE FROM figures WHERE kind=1 AND id=2",
    "a stream's tenant": "UPDATE streams SET tenant='other' WHERE id=1",
    "a stream's figures": "UPDATE figures SET a=a-1 WHERE kind=1 AND id=1",
    "a stream's figures go": "DELETE FROM figures WHERE kind=1 AND id=1",
    "a consumer's figures go": "DELETE FROM figures WHERE kind=2 AND id=1",
    "the store's figures": "UPDATE figures SET a=a+1 WHERE kind=0",
    "the store's figures go": "DELETE FROM figures WHERE kind=0",
    "a publisher's id": "UPDATE dedup SET key=key+1 WHERE id='id-3'",
    "a publisher's id goes": "DELETE FROM dedup WHERE id='id-3'",
    "an index goes": "DROP INDEX deliveries_by_key",
}


@pytest.mark.parametrize("what", ROWS)
def test_a_changed_row_is_found(
    whole: Files, tmp_path: Path, checks: str, what: str
) -> None:
    """Even one that SQLite itself has nothing against."""
    del checks
    copy = copied(whole.path, tmp_path / "copy")
    picture = looked_at(copied(whole.path, tmp_path / "first").path)
    open_raw(copy.path, *ROWS[what].format(key=key_of(1, 20)).split("; "))
    assert same_or_told(copy, picture, what)


def looked_at_or_broken(path: Path) -> Picture | None:
    """Return what is read, or None if that is refused."""
    try:
        return looked_at(path)
    except StoreBrokenError as error:
        if path.name in str(error):
            return None
        raise


def test_a_row_that_vanished_is_found_by_whoever_reads_beside_it(
    tmp_path: Path,
) -> None:
    """In a store that is open: nobody opens it anew to find out."""
    file = filled(tmp_path / "store.db")
    with closing(sqlite3.connect(file.path)) as raw, raw:
        raw.execute("DELETE FROM messages WHERE key=?", (key_of(1, 22),))
        raw.execute("DELETE FROM letters WHERE id=11")
        raw.execute("DELETE FROM deliveries WHERE consumer=2 AND number=3")
    with closing(places.reader(file.path, layout.connect)) as connection:
        around = (key_of(1, 10), key_of(1, 30))
        with pytest.raises(StoreBrokenError, match="a row is missing before"):
            streams.rows(connection, *around, 10)
        with pytest.raises(StoreBrokenError, match="a row is missing before"):
            streams.rows(connection, key_of(1, 23), key_of(1, 30), 2)
        with pytest.raises(StoreBrokenError, match="table letters: 4 rows found, 5"):
            reading.letters(connection, 22, 100)
        with pytest.raises(StoreBrokenError, match="table deliveries"):
            reading.deliveries(connection, 2, 50, 100)
        with pytest.raises(StoreBrokenError, match=r"its message .* is missing"):
            reading.deliveries(connection, 1, LOWEST, 100)
    file.abandon()
