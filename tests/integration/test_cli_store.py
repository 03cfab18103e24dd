"""`assent store` and `assent keys`: a store as whoever looks after it sees it."""

import asyncio
from pathlib import Path

from bus import Bus
from bus.cli.output import CHECK_FAILED, OK, WRONG_USAGE
from tests.command import assent, assert_one_line_of_error
from tests.fakes.buses import data


def left_by_a_bus(file: Path) -> None:
    """Leave a store with a message and a dead letter."""
    asyncio.run(_work(Bus(data(), store=file)))


async def _work(bus: Bus) -> None:
    async def fails(body: str) -> None:
        raise ValueError(body)

    async with bus:
        bus.agent("worker").subscribe("tasks.a", fails, max_deliver=1)
        (await bus.agent("planner").publish("tasks.a", "bad")).unwrap()
        while not bus.stats().dead_letters:
            await bus._host.pause()  # noqa: SLF001 - turns of the loop


def test_a_store_is_checked_and_its_letters_are_listed(tmp_path: Path) -> None:
    """In words and as JSON; a bus can go on with it afterwards."""
    file = tmp_path / "m.db"
    left_by_a_bus(file)
    checked = assent(tmp_path, "store", "check", "m.db")
    assert (checked.code, checked.err) == (OK, "")
    assert "1 messages in 1 streams" in checked.out
    listed = assent(tmp_path, "store", "letters", "--set", "store.file=m.db", "--json")
    (letter,) = listed.document["letters"]
    assert (letter["consumer"], letter["subject"]) == ("worker/tasks.a", "tasks.a")
    assert letter["reason"].startswith("ValueError: bad")
    table = assent(tmp_path, "store", "letters", "m.db")
    assert "worker/tasks.a" in table.out
    assert assent(tmp_path, "store", "check", "m.db", "--json").document["ok"]


def test_a_changed_store_is_named_with_its_place(tmp_path: Path) -> None:
    """The file, and what in it is not as it was written."""
    file = tmp_path / "m.db"
    left_by_a_bus(file)
    kept = bytearray(file.read_bytes())
    place = kept.index(b"tasks.a")
    kept[place] ^= 1
    file.write_bytes(kept)
    ended = assent(tmp_path, "store", "check", "m.db", "--json")
    assert ended.code == CHECK_FAILED
    assert ended.document["ok"] is False
    assert_one_line_of_error(ended)
    assert "m.db" in ended.err


def test_a_lost_head_is_made_anew_when_somebody_says_so(tmp_path: Path) -> None:
    """Nobody else does: without it nothing tells whether the end is there."""
    file = tmp_path / "m.db"
    left_by_a_bus(file)
    (tmp_path / "m.db-head").unlink()
    refused = assent(tmp_path, "store", "check", "m.db")
    assert refused.code in {CHECK_FAILED, WRONG_USAGE}
    assert_one_line_of_error(refused)
    assert assent(tmp_path, "store", "head", "m.db").code == OK
    assert assent(tmp_path, "store", "check", "m.db").code == OK


def test_what_cannot_be_looked_at_is_said(tmp_path: Path) -> None:
    """No file named, no file there, no keys for it."""
    for arguments in ((), ("none.db",)):
        ended = assent(tmp_path, "store", "check", *arguments)
        assert ended.code == WRONG_USAGE
        assert_one_line_of_error(ended)
    (tmp_path / "m.db").write_bytes(b"something else")
    ended = assent(tmp_path, "store", "check", "m.db")
    assert ended.code == WRONG_USAGE
    assert "m.db-keys is missing" in ended.err


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """For its owner only; a file that is there is left alone."""
    made = assent(tmp_path, "keys", "new", "keys.toml")
    assert made.code == OK
    text = (tmp_path / "keys.toml").read_text()
    assert (tmp_path / "keys.toml").stat().st_mode & 0o077 == 0
    again = assent(tmp_path, "keys", "new", "keys.toml")
    assert again.code == WRONG_USAGE
    assert_one_line_of_error(again)
    assert (tmp_path / "keys.toml").read_text() == text
    used = assent(tmp_path, "config", "check", "--set", "stamp.keys_file=keys.toml")
    assert "stamp" in used.out
