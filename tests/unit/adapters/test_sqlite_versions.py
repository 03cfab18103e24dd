"""A store that any release wrote is opened, and brought up to date in one step or not.

What a release wrote is frozen here: its tables to the letter, its rows, its head. Each
release adds its own; none is taken out.
"""

import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from bus.adapters.stores.sqlite import layout, places, reading, streams
from bus.adapters.stores.sqlite.file import StoreFile
from bus.adapters.stores.sqlite.layout import Connection
from bus.core.changes import Append, ConsumerRow, Contents, Letter, StreamRow
from bus.core.entries import key_of
from bus.core.errors import ConfigurationError, StoreBrokenError
from tests.fakes.messages import full
from tests.fakes.recording import NOW_NS
from tests.fakes.storekit import KEYS, LOWEST, NEVER_NS, SEALER, letter

VERSION_1 = """
CREATE TABLE messages(
  key INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, gap INTEGER NOT NULL,
  sum INTEGER NOT NULL, entry BLOB NOT NULL) STRICT;
CREATE TABLE deliveries(
  consumer INTEGER NOT NULL, number INTEGER NOT NULL, key INTEGER NOT NULL,
  sum INTEGER NOT NULL, attempt INTEGER NOT NULL, due_ns INTEGER NOT NULL,
  again INTEGER NOT NULL, PRIMARY KEY(consumer, number)) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_by_key ON deliveries(key);
CREATE TABLE later(
  due_ns INTEGER NOT NULL, consumer INTEGER NOT NULL, number INTEGER NOT NULL,
  key INTEGER NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(due_ns, consumer, number)) STRICT, WITHOUT ROWID;
CREATE INDEX later_by_key ON later(key);
CREATE TABLE letters(
  id INTEGER PRIMARY KEY, letter BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE consumers(
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL,
  agent TEXT NOT NULL, pattern TEXT NOT NULL, queue TEXT NOT NULL,
  replay BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE streams(
  id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL,
  sum INTEGER NOT NULL) STRICT;
CREATE TABLE dedup(
  until_ns INTEGER NOT NULL, id TEXT NOT NULL, txn INTEGER NOT NULL,
  key INTEGER NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(until_ns, id, txn)) STRICT, WITHOUT ROWID;
CREATE TABLE figures(
  kind INTEGER NOT NULL, id INTEGER NOT NULL, a INTEGER NOT NULL,
  b INTEGER NOT NULL, c INTEGER NOT NULL, d INTEGER NOT NULL, e INTEGER NOT NULL,
  f INTEGER NOT NULL, g INTEGER NOT NULL, h INTEGER NOT NULL, i INTEGER NOT NULL,
  j INTEGER NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY(kind, id)) STRICT, WITHOUT ROWID;
PRAGMA application_id=1634954868
"""
HEAD_1 = (
    "41534e5448454144010000000000000006000000000000000400000000000000" + "4f720e99",
    "41534e5448454144010000000000000007000000000000000400000000000000" + "dee36637",
)
HEAD_2 = (
    "41534e5448454144020000000000000006000000000000000400000000000000" + "67db10c1",
    "41534e5448454144020000000000000007000000000000000400000000000000" + "f64a786f",
)
MESSAGE = full(created_ns=NOW_NS)
DECISION = msgspec.msgpack.encode(
    {"allow": True, "reasons": (), "revision": "r1", "digest": "d"}
)


class Written(NamedTuple):
    """What a release wrote of a message: one settled, one pending, one that waits."""

    first: Append
    second: Append
    waiting: Append

    @property
    def bytes(self) -> int:
        """The bytes of all entries."""
        return sum(len(kept.entry) for kept in self)

    @property
    def letter(self) -> Letter:
        """A dead letter of the first."""
        return letter(1, self.first)


def kept(sequence: int, entry: Callable[[int, bytes], bytes]) -> Append:
    """Return a message in stream 1 with the entry that a release made of it."""
    key = key_of(1, sequence)
    data = entry(key, msgspec.msgpack.encode(MESSAGE))
    return Append(key, NOW_NS, data + SEALER.sign(data))


def entry_1(key: int, frame: bytes) -> bytes:
    """Return one array of key, message, decision and plan."""
    return b"\x94" + msgspec.msgpack.encode(key) + frame + DECISION + b"\x90"


def entry_2(key: int, frame: bytes) -> bytes:
    """Return the message, and after it an array of key, decision and plan."""
    return frame + b"\x93" + msgspec.msgpack.encode(key) + DECISION + b"\x90"


def summed(kind: int, *values: Any) -> tuple[Any, ...]:
    """Return a row with its checksum at its end, as version 1 had it."""
    return (*values, zlib.crc32(msgspec.msgpack.encode((kind, *values))))


def write(path: Path, version: int, head: tuple[str, str], there: Written) -> Written:
    """Write a store as a release left it: three messages, one of each other thing."""
    again = zlib.crc32(msgspec.msgpack.encode((3, 1, 2, 3, NOW_NS + 1)))
    first, second, waiting = there
    rows = {
        "deliveries": [(*summed(2, 1, 2, second.key), 3, NOW_NS + 1, again)],
        "later": [summed(4, NOW_NS + 5, 1, 3, waiting.key)],
        "letters": [summed(5, 1, msgspec.msgpack.encode(there.letter))],
        "consumers": [summed(6, 1, "acme", "worker", "critic", "a.>", "q", b"\1\2")],
        "streams": [summed(7, 1, "acme", "default")],
        "dedup": [summed(8, NEVER_NS, "acme/planner/one", 2, first.key)],
        "figures": [
            summed(9, 0, 0, 7, 1, 1, 4, 2, 1, 1, 1, 1, 1),
            summed(9, 1, 1, 3, there.bytes, 1, 4, 0, 0, 0, 0, 0, 0),
            summed(9, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        ],
        "messages": [
            (*summed(1, one.key, one.time_ns, gap), one.entry)
            for one, gap in ((first, 1), (second, 1), (waiting, 2))
        ],
    }
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for sql in ("PRAGMA journal_mode=WAL", *VERSION_1.split(";\n")):
            raw.execute(sql).fetchall()
        raw.execute(f"PRAGMA user_version={version}")
        for table, values in rows.items():
            marks = ",".join("?" * len(values[0]))
            raw.executemany(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608 - names of ours
    slots = [bytes.fromhex(slot).ljust(4096, b"\0") for slot in head]
    path.with_name(path.name + "-head").write_bytes(b"".join(slots))
    return there


def version_1(path: Path) -> Written:
    """Write a store as version 1 left it."""
    there = Written(kept(1, entry_1), kept(2, entry_1), kept(4, entry_1))
    return write(path, 1, HEAD_1, there)


def version_2(path: Path) -> Written:
    """Write a store as version 2 left it: the same tables, and other entries."""
    there = Written(kept(1, entry_2), kept(2, entry_2), kept(4, entry_2))
    return write(path, 2, HEAD_2, there)


RELEASED: dict[int, Callable[[Path], Written]] = {1: version_1, 2: version_2}


def opened(path: Path) -> tuple[StoreFile, Contents]:
    """Return a store that is open, and what it holds."""
    file = StoreFile(path, SEALER, layout.connect)
    return file, file.open(NOW_NS)


def test_every_version_that_was_released_is_tried_here() -> None:
    """Whoever adds one adds what it wrote."""
    assert set(RELEASED) == set(layout.SCHEMAS) == set(range(1, layout.VERSION + 1))
    assert set(layout.MIGRATIONS) == set(range(2, layout.VERSION + 1))


@pytest.mark.parametrize("version", RELEASED)
def test_what_a_release_wrote_is_read(tmp_path: Path, version: int) -> None:
    """All of it, and once more after it was written to."""
    path = tmp_path / "store.db"
    there = RELEASED[version](path)
    file, contents = opened(path)
    assert contents == Contents(
        epoch=2,
        clean=True,
        next_number=4,
        next_letter=2,
        streams=(StreamRow(1, "acme", "default", 3, there.bytes, 1, 4),),
        consumers=(ConsumerRow(1, "acme", "worker", "critic", "a.>", "q", b"\1\2", 1),),
        dedup=(("acme/planner/one", there.first.key, NEVER_NS),),
        letters=1,
        next_due_ns=NOW_NS + 5,
    )
    with closing(places.reader(path, layout.connect)) as connection:
        entries = streams.entries(connection, *KEYS, 9)
        (row,) = reading.deliveries(connection, 1, LOWEST, 9)
        (due,) = reading.due(connection, NEVER_NS, 9)
        assert reading.letters(connection, 0, 9) == [there.letter]
    assert [key for key, _ in entries] == [key_of(1, n) for n in (1, 2, 4)]
    for key, data in entries:
        entry = SEALER.open(key, data)
        assert (entry.message, entry.decision.digest, entry.plan) == (MESSAGE, "d", ())
    assert (row.key, row.attempt, row.due_ns) == (there.second.key, 3, NOW_NS + 1)
    assert (due.number, due.entry) == (3, there.waiting.entry)
    file.close()
    file, contents = opened(path)
    assert (contents.epoch, contents.streams[0].messages) == (3, 3)
    file.close()


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A version after this one, whose step can be told to fail; what it did."""
    latest, extra = layout.VERSION, "CREATE TABLE extra(a INTEGER NOT NULL) STRICT"
    done: list[str] = []

    def step(connection: Connection) -> None:
        connection.execute(extra)
        if done:
            raise sqlite3.OperationalError("the step fails")
        done.append("extra")

    schema = (*layout.SCHEMAS[latest], extra)
    monkeypatch.setattr(layout, "VERSION", latest + 1)
    monkeypatch.setattr(layout, "SCHEMAS", {**layout.SCHEMAS, latest + 1: schema})
    monkeypatch.setattr(layout, "MIGRATIONS", {**layout.MIGRATIONS, latest + 1: step})
    return done


def test_a_step_to_the_next_version_is_taken_once(
    tmp_path: Path, next_version: list[str]
) -> None:
    """And what was kept is there."""
    path = tmp_path / "store.db"
    version_1(path)
    for _ in range(2):
        file, contents = opened(path)
        assert contents.streams[0].messages == 3
        file.close()
    assert next_version == ["extra"]


def test_a_step_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, next_version: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be used by the release that wrote it."""
    path = tmp_path / "store.db"
    version_1(path)
    next_version.append("once")
    with pytest.raises(StoreBrokenError, match="the step fails"):
        opened(path)
    monkeypatch.undo()
    file, contents = opened(path)
    assert contents.streams[0].messages == 3
    file.close()


def test_an_older_version_is_checked_before_it_is_changed(
    tmp_path: Path, next_version: list[str]
) -> None:
    """A table that it never had is damage."""
    path = tmp_path / "store.db"
    version_1(path)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE another(a)")
    with pytest.raises(StoreBrokenError, match="schema was changed"):
        opened(path)
    assert next_version == []


def test_the_version_before_refuses_what_the_next_one_wrote(
    tmp_path: Path, next_version: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says so; it does not call it damage."""
    path = tmp_path / "store.db"
    version_1(path)
    opened(path)[0].close()
    assert next_version == ["extra"]
    monkeypatch.undo()
    with pytest.raises(ConfigurationError, match="newer release"):
        opened(path)
