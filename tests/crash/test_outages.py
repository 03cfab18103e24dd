"""While a store cannot keep, publishers are refused; afterwards it goes on by itself."""

import pytest

from tests.crash import faults, limits
from tests.crash.claims import Trial


@pytest.mark.parametrize("name", faults.FAULTS)
def test_a_bus_outlives_what_a_disk_can_do(name: str) -> None:
    """Typed refusals, nothing acknowledged lost, nothing refused found, a history."""
    trial = Trial(name)
    faults.outage(name, trial)
    assert not trial.broken, trial.told
    assert trial.counts["refused"] > 0


@pytest.mark.parametrize(
    "name", [n for n, fault in faults.FAULTS.items() if fault.sync]
)
def test_no_sync_follows_a_failed_one(name: str) -> None:
    """What a failed sync leaves behind nobody knows: the connection is over."""
    assert faults.outage(name, Trial(name)) == []


@pytest.mark.parametrize("way", limits.TITLES)
def test_a_bus_outlives_the_limits_of_its_process_and_disk(way: str) -> None:
    """As the operating system sets them, in a process of its own."""
    if way in limits.ON_A_DISK_OF_ITS_OWN and not limits.mounting():
        pytest.skip("unshare and mount: nothing may be mounted here")
    trial = Trial(way)
    limits.limit(way, trial)
    assert not trial.broken, trial.told
    assert trial.counts["accepted"] > 0
