"""What is damaged is named, or was of no use: it is never read as something else."""

from pathlib import Path
from random import Random

import pytest

from tests.crash.claims import Trial
from tests.crash.flipped_bus import flipped_bus
from tests.crash.flips import bit_flips, left_behind, read_all
from tests.crash.workload import Bench
from tests.parts import depth


@pytest.mark.timeout(1_200)
def test_a_flipped_bit_or_a_cut_is_named_or_harmless() -> None:
    """At every 4 KiB of database, log and head, opened and read to the end."""
    trial = bit_flips(5, depth(10, 60), depth(1, 4))
    assert not trial.broken, trial.told


@pytest.mark.timeout(1_200)
def test_a_bus_delivers_nothing_that_was_changed() -> None:
    """It refuses to start, buries what was changed, or says that its store is broken."""
    trial = flipped_bus(6, depth(5, 1))
    assert not trial.broken, trial.told


def test_what_is_read_differently_without_a_word_is_found_out(tmp_path: Path) -> None:
    """The trial can fail: one store read in place of another."""
    trial = Trial("told apart")
    with Bench() as bench:
        for number in (1, 2):
            (tmp_path / str(number)).mkdir()
        dice = Random(1)  # noqa: S311 - repeatable, not secret
        one = left_behind(bench, tmp_path / "1", dice, 3, 1 << 40)
        other = left_behind(bench, tmp_path / "2", dice, 5, 1 << 40)
        kept = bench.state(one, tmp_path / "kept")
        read_all(bench, ("", "nothing", one), kept, trial)
        assert not trial.broken
        read_all(bench, ("", "swapped", other), kept, trial)
    assert "read without a word" in trial.told
