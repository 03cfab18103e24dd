"""Processes that end with a store open: what was accepted is there for the next one."""

import subprocess
import sys
from pathlib import Path

import pytest

from bus import Bus
from bus.config import Settings
from bus.config.keeping import StoreSettings, StreamSettings
from bus.core.errors import ConfigurationError
from tests.fakes.buses import data

CHILD = Path(__file__).parent / "durable_child.py"
ROOT = CHILD.parents[2]


def child(file: Path, what: str = "") -> tuple[int, list[str]]:
    """Run a process to its end; return its exit code and what it said."""
    ended = subprocess.run(
        [sys.executable, str(CHILD), str(file), what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode in {0, 9}, ended.stderr
    return ended.returncode, ended.stdout.splitlines()


def test_what_was_accepted_is_there_after_its_process_died(tmp_path: Path) -> None:
    """Right after the publish returned."""
    file = tmp_path / "store.db"
    assert child(file, "publish and die") == (9, ["Accepted"])
    assert child(file) == (0, ["kept 1"])


def test_a_message_that_kills_every_process_becomes_a_letter(tmp_path: Path) -> None:
    """After its attempts, and what is behind it is handled then."""
    file = tmp_path / "store.db"
    code, said = child(file, "publish")
    assert (code, said[-1]) == (9, "handed poison 1")
    assert child(file) == (9, ["handed poison 1"])  # from now on attempts are noted
    assert child(file) == (9, ["handed poison 2"])
    code, said = child(file)
    assert (code, said[0]) == (0, "handed good 1")
    assert said[1].startswith("letter 2 its process ended while it was handled")
    assert len(said) == 2
    assert child(file) == (0, said[1:])


def test_a_process_that_dies_before_its_commit_has_no_effects(tmp_path: Path) -> None:
    """The next one has them, once."""
    file = tmp_path / "store.db"
    assert child(file, "die before the commit") == (9, [])
    assert child(file) == (0, ["effect of x"])
    assert child(file) == (0, [])


@pytest.mark.parametrize(
    ("store", "streams", "told"),
    [
        (StoreSettings(kind="sqlite"), (), "needs store.file"),
        (StoreSettings(kind="memory", file=Path("x.db")), (), "is for store.kind"),
        (StoreSettings(file=Path("x.db")), (), "need a store"),
        (StoreSettings(), (StreamSettings(name="s", subjects=("a",)),), "need a store"),
        (
            StoreSettings(kind="memory"),
            (StreamSettings(name="s", subjects=("a",)),) * 2,
            "2 of them are called 's'",
        ),
    ],
)
def test_settings_that_cannot_be_honoured_stop_before_anything_runs(
    store: StoreSettings, streams: tuple[StreamSettings, ...], told: str
) -> None:
    """The error says what to set."""
    with pytest.raises(ConfigurationError, match=told):
        Bus(data(), settings=Settings(store=store, streams=streams))


def test_a_store_that_has_lost_its_keys_is_not_opened(tmp_path: Path) -> None:
    """What is there could not be checked; new keys would make it look forged."""
    file = tmp_path / "store.db"
    assert child(file, "publish and die")[0] == 9
    (keys,) = tmp_path.glob("*key*")
    keys.unlink()
    with pytest.raises(ConfigurationError):
        Bus(data(), settings=Settings(store=StoreSettings(kind="sqlite", file=file)))
