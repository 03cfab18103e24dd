"""Killed at any moment and handed everything again, effects happen once."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.effects_child import MESSAGES_PER_ROUND

ROOT = Path(__file__).parents[2]
ROUNDS = 40
BUS_ROUNDS = 8


def run(module: str, folder: Path, seed: int, rounds: int) -> dict[str, int]:
    """Run a child to its end; return what it tells of it."""
    done = subprocess.run(
        [sys.executable, "-m", module, str(folder), str(seed), str(rounds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    ended: dict[str, int] = json.loads(done.stdout)
    return ended


@pytest.mark.parametrize("seed", [1, 2], ids=["wal", "rollback-journal"])
def test_effects_happen_once_over_kills(tmp_path: Path, seed: int) -> None:
    """In the database, and on the bus by way of the outbox; none is lost, none doubled."""
    ended = run("tests.crash.effects_child", tmp_path, seed, ROUNDS)
    assert ended["killed"] + ended["finished"] == ended["rounds"] == ROUNDS + 1
    assert ended["killed"] > ROUNDS / 2, "hardly anybody was killed"

    wanted = list(range((ROUNDS + 1) * MESSAGES_PER_ROUND))
    db = sqlite3.connect(tmp_path / "user.db")
    numbers = [
        row[0] for row in db.execute("SELECT number FROM effects ORDER BY rowid")
    ]
    assert sorted(numbers) == wanted
    assert db.execute("SELECT balance FROM account").fetchone() == (sum(wanted),)
    assert db.execute("SELECT count(*) FROM assent_outbox").fetchone() == (0,)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()

    published = (tmp_path / "published").read_text().splitlines()
    assert published == [str(number) for number in numbers], "each once, in order"
    told = (tmp_path / "seen").read_text()
    assert "stale" in told, "no older hand-over came late"
    assert "again" in told, "nothing was handed over again"


def test_a_durable_bus_has_effects_once_over_kills(tmp_path: Path) -> None:
    """From a publish to the database, and over the outbox to the next one's."""
    ended = run("tests.crash.effects_bus_child", tmp_path, 4, BUS_ROUNDS)
    assert ended == {"rounds": BUS_ROUNDS + 1, "killed": BUS_ROUNDS}

    accepted = set(map(int, (tmp_path / "accepted").read_text().split()))
    assert accepted, "nothing was accepted before the kills"
    db = sqlite3.connect(tmp_path / "user.db")
    booked = sorted(row[0] for row in db.execute("SELECT number FROM booked"))
    noted = sorted(row[0] for row in db.execute("SELECT number FROM noted"))
    db.close()
    assert len(booked) == len(set(booked)), "done twice"
    assert accepted <= set(booked), "accepted, and lost"
    assert noted == booked, "over the outbox"
    assert (tmp_path / "seen").read_text(), "nothing was handed over again"
