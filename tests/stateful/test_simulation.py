"""The deterministic simulation: it holds, it repeats itself, and it can fail."""

import json

import pytest

from bus.cli.output import CHECK_FAILED, OK
from bus.cli.simulation import run
from bus.consumers import Consumer
from bus.core.changes import Append
from bus.kept import Kept
from tests.command import assent

SEEDS = 25


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """Nobody waits for a loop whose time is virtual: it may look at files."""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_is_accepted_is_delivered_whatever_fails(seed: int) -> None:
    """With faults of the disk, deaths, and a clock that is set."""
    assert run.run_seed(seed).reason == ""


def test_a_seed_does_the_same_again() -> None:
    """Line by line, over all lives of its bus."""
    seed = 4
    first, again = run.trace(seed), run.trace(seed)
    assert first == again
    assert "life 2" in first
    assert run.run_seed(seed).digest != run.run_seed(seed + 1).digest


def test_a_message_that_is_told_as_kept_and_is_not_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that forgets the deliveries of every message breaks the claims."""
    whole = Kept.changes

    def changes(kept: Kept) -> list[object]:
        return [
            Append(one.key, one.time_ns, one.entry) if type(one) is Append else one
            for one in whole(kept)
        ]

    monkeypatch.setattr(Kept, "changes", changes)
    assert any(not run.run_seed(seed).ok for seed in range(SEEDS))


def test_a_delivery_that_is_read_and_dropped_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A consumer that loses what a page brought breaks the claims."""
    monkeypatch.setattr(Consumer, "taker", lambda *_: None)
    assert any(not run.run_seed(seed).ok for seed in range(SEEDS))


def test_the_command_tells_seeds_and_counts(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """As JSON too, and the trace of one seed."""
    folder = tmp_path_factory.mktemp("simulated")
    ended = assent(folder, "simulate", "--seed", "3", "--trace", "t.txt", "--json")
    assert ended.code == OK, ended.err
    told = json.loads(ended.out)
    assert (told["seeds"], told["failed"]) == (1, [])
    assert told["digest"] == run.run_seed(3).digest
    assert (folder / "t.txt").read_text() == run.trace(3)
    many = assent(folder, "simulate", "--seeds", "3", "--processes", "2")
    assert many.out.startswith("3 seeds: ")
    assert many.code in {OK, CHECK_FAILED}
