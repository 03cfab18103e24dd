"""`assent bench`: the load is what it says, and a run that lost a message fails."""

import asyncio
import json
from collections import Counter

import pytest

from bus.app import Bus
from bus.cli import main
from bus.cli.measures import (
    crowd,
    load,
    machine,
    memory,
    metering,
    roundtrip,
    soak,
    starting,
    traffic,
)
from bus.cli.output import CHECK_FAILED, OK
from bus.core.codec import encode_body
from bus.core.errors import ProcessingError, UsageError
from bus.core.outcome import Denied

MESSAGES = 640
DRAWN = 50_000


def test_a_body_is_220_bytes_probe_or_not() -> None:
    """The size is that of what is carried, whatever number a probe has."""
    sizes = {len(encode_body(load.task(probe))) for probe in (0, 1, 200, 70_000)}
    assert sizes == {load.BODY_BYTES}


def test_the_same_schedule_is_drawn_every_time() -> None:
    """A figure can be taken again."""
    one, two = load.drawn(DRAWN), load.drawn(DRAWN)
    assert (one.agents, one.subjects) == (two.agents, two.subjects)


def test_the_nth_subject_is_n_times_rarer_than_the_first() -> None:
    """Zipf's law, within what 50,000 draws allow."""
    seen = Counter(load.drawn(DRAWN).subjects)
    assert seen[0] / seen[9] == pytest.approx(10, rel=0.2)
    assert seen[0] / DRAWN == pytest.approx(1 / 7.485, rel=0.1)


def test_an_agent_publishes_what_its_team_may() -> None:
    """Else the run would measure denials."""
    schedule = load.drawn(DRAWN)
    pairs = set(zip(schedule.agents, schedule.subjects, strict=True))
    assert pairs <= set(questions(any_agent=False))
    assert len(questions(any_agent=False)) == 10_000
    assert set(schedule.agents) == set(range(load.AGENTS))


def test_any_agent_publishes_any_subject_where_asked() -> None:
    """The harder load has ten times the questions."""
    schedule = load.drawn(DRAWN, any_agent=True)
    pairs = set(zip(schedule.agents, schedule.subjects, strict=True))
    assert len(questions(any_agent=True)) == 100_000
    assert pairs <= set(questions(any_agent=True))
    assert not pairs <= set(questions(any_agent=False))


def questions(*, any_agent: bool) -> list[tuple[int, int]]:
    """Return the questions as pairs."""
    every = load.every_question(any_agent=any_agent)
    return list(zip(every.agents, every.subjects, strict=True))


def test_a_percentile_of_nothing_is_an_error() -> None:
    """No figure is made up."""
    with pytest.raises(UsageError, match="nothing was timed"):
        machine.percentile([], 0.5)


def test_a_percentile_is_a_value_that_was_seen() -> None:
    """The nearest rank, not a value in between."""
    ordered = [float(n) for n in range(1, 101)]
    assert machine.percentile(ordered, 0.5) == 50
    assert machine.percentile(ordered, 0.99) == 99
    assert machine.percentile([7.0], 0.99) == 7


def test_memory_counts_every_message(capsys: pytest.CaptureFixture[str]) -> None:
    """Cold, so that the hit ratio shows what had to be decided."""
    assert main(["bench", "memory", "-n", str(MESSAGES), "--cold", "--json"]) == OK
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["accepted"] == found["delivered"] == MESSAGES
    assert (found["denied"], found["failed"], found["unrecorded"]) == (0, 0, 0)
    assert 0 < found["cache_hit_ratio"] < 1
    assert 0 < found["p50_us"] <= found["p99_us"]
    assert found["per_second"] > 0
    assert found["publish_many_per_second"] > 0


@pytest.mark.timeout(120)
def test_a_warm_run_asks_policy_nothing_new() -> None:
    """Every question was decided before the clock started."""
    found = memory.measure(memory.Run(messages=MESSAGES))
    assert found.whole
    assert found.cache_hit_ratio == 1


def test_a_denied_message_is_counted_and_fails_the_run() -> None:
    """An agent outside the policy's teams may publish nothing."""
    data = load.policy_data()
    for role in data["roles"].values():
        role["publish"] = []
    bus = Bus(data)

    async def run() -> traffic.Counts:
        async with bus:
            flow = traffic.Traffic(bus)
            await flow.publish(flow.calls(load.drawn(MESSAGES)), MESSAGES)
        return flow.counts

    counts = asyncio.run(run())
    assert (counts.denied, counts.accepted) == (MESSAGES, 0)
    assert not counts.whole


def test_what_the_bus_dropped_counts_as_failed() -> None:
    """Neither accepted nor denied is a failure too."""
    counts = traffic.Counts(accepted=1, delivered=1)
    assert counts.whole
    counts.add(Denied(b"", ("no",), ""))
    assert counts.denied == 1
    assert not counts.whole


def test_a_run_that_lost_a_message_is_not_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command then ends non-zero, and says why."""
    whole = property(lambda _: False)
    monkeypatch.setattr(memory.MemoryFigures, "whole", whole)
    assert main(["bench", "memory", "-n", "64", "--cold"]) == CHECK_FAILED
    assert "not every message" in capsys.readouterr().err


def test_a_round_trip_is_timed() -> None:
    """Each request is answered, or the run raises."""
    found = roundtrip.measure(MESSAGES)
    assert 0 < found.p50_us <= found.p99_us


@pytest.mark.timeout(120)
def test_a_short_soak_loses_nothing() -> None:
    """Its figures are there for each tenth."""
    found = soak.measure(2_000)
    assert found.whole
    assert len(found.rss_by_tenth_bytes) == 10
    assert (
        found.growth_bytes == found.rss_by_tenth_bytes[-1] - found.rss_by_tenth_bytes[1]
    )


def test_strangers_are_compared_on_two_buses() -> None:
    """Few and many, and their ratio."""
    found = crowd.measure(MESSAGES, many=100)
    assert (found.few, found.many) == (crowd.FEW, 100)
    assert found.ratio == pytest.approx(found.many_us / found.few_us, rel=0.01)


@pytest.mark.timeout(120)
def test_the_share_of_metering_is_of_both_its_parts() -> None:
    """The additions on the path and the collecting beside it."""
    found = metering.measure(MESSAGES)
    parts = found.additions_us + max(0.0, found.collecting_us)
    assert found.share == pytest.approx(parts / found.metered_us, abs=0.001)
    assert found.additions_us > 0


@pytest.mark.timeout(120)
def test_a_start_is_timed_to_the_first_message() -> None:
    """With the interpreter's own start in it."""
    found = starting.measure(runs=1)
    assert found.start_s > found.interpreter_s > 0


def test_a_process_that_fails_is_no_figure() -> None:
    """It would look fast."""
    with pytest.raises(ProcessingError, match="ended with 3"):
        starting.run("import sys; sys.exit(3)", b"")
