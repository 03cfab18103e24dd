"""A process that is killed loses nothing of what it was told is kept."""

import random
import subprocess
import sys
from pathlib import Path

from bus.adapters.stores.sqlite import layout, places, reading, streams
from bus.adapters.stores.sqlite.file import StoreFile
from bus.core.entries import SEQUENCE_MAX, key_of
from tests.fakes.recording import NOW_NS
from tests.fakes.storekit import LOWEST, SEALER
from tests.tidy.repository import ROOT

ROUNDS = 8
CHILD = "tests.unit.adapters.sqlite_child"


def told_until_killed(path: Path, enough: int) -> list[int]:
    """Start a process, kill it once it has told enough, return all it told."""
    with subprocess.Popen(
        [sys.executable, "-m", CHILD, str(path)], cwd=ROOT, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(enough)]
        child.kill()
        told += [int(line) for line in child.stdout if line.endswith(b"\n")]
    return told


def test_what_was_told_is_there_after_each_kill(tmp_path: Path) -> None:
    """Messages, and the deliveries that nobody settled."""
    path, told = tmp_path / "store.db", list[int]()
    dice = random.SystemRandom()
    for _ in range(ROUNDS):
        told += told_until_killed(path, dice.randrange(1, 400))
        file = StoreFile(path, SEALER, layout.connect)
        contents = file.open(NOW_NS)
        assert not contents.clean
        assert contents.next_number > max(told)
        reader = places.reader(path, layout.connect)
        kept, first = set[int](), 0
        while rows := streams.rows(reader, first, key_of(9, 0), 4096):
            kept |= {row[0] & SEQUENCE_MAX for row in rows}
            first = rows[-1][0] + 1
        pending, after = set[int](), LOWEST
        while found := reading.deliveries(reader, 1, after, 4096):
            pending |= {row.number for row in found}
            after = found[-1].number
        reader.close()
        file.abandon()
        assert set(told) <= kept
        assert {number for number in told if number % 3} <= pending
        assert pending <= kept
