"""Cut off at any write, a store is in a state that it had told of, or was asked for."""

import pytest

from tests.crash.claims import Trial
from tests.crash.power import Cutter, Depth, power_loss, recorded
from tests.crash.workload import Bench
from tests.fakes.vfs import Synced
from tests.parts import depth


@pytest.fixture(scope="module")
def lost() -> tuple[Trial, Trial]:
    """What was found after cuts of a workload, and of the first start of all."""
    return power_loss(3, Depth(depth(26, 60), each=depth(9, 1), torn=depth(1, 2)))


@pytest.mark.timeout(1_200)
def test_what_was_told_as_kept_is_there(lost: tuple[Trial, Trial]) -> None:
    """Whichever of the writes that were not synced reached the disk, in whatever order."""
    trial, _ = lost
    assert not trial.broken, trial.told


def test_a_first_start_that_was_cut_can_be_made_again(
    lost: tuple[Trial, Trial],
) -> None:
    """Nothing was kept yet; the next start begins anew."""
    _, trial = lost
    assert not trial.broken, trial.told


def test_a_store_that_does_not_sync_is_found_out() -> None:
    """The trial can fail: on a disk that syncs nothing, what was told is gone."""
    with Bench() as bench:
        recording = recorded(bench, 1, 4)
        writes = [e for e in recording.events if not isinstance(e, Synced)]
        marks = [mark._replace(event=len(writes)) for mark in recording.marks[-1:]]
        cutter = Cutter(bench, recording._replace(events=writes, marks=marks))
        cutter.cut(1, Depth(4, each=len(writes), torn=0))
    assert cutter.later.broken
