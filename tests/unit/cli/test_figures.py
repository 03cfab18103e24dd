"""Figures are what was counted, and say no more than was measured."""

import asyncio
import io
import warnings

import pytest

from bus.cli import figures
from bus.cli.running import console_on, first_of, run_to_end
from bus.cli.survey.view import Pace, spark
from bus.core.stats import DecisionStats


@pytest.mark.parametrize(
    ("log2_ns", "share", "below"),
    [
        ([], 0.5, None),
        ([0, 0, 0], 0.5, None),
        ([0, 0, 1], 0.5, 4),
        ([0, 9, 0, 1], 0.5, 2),
        ([0, 9, 0, 1], 0.9, 2),
        ([0, 9, 0, 1], 0.99, 8),
        ([5], 0.99, 1),
    ],
)
def test_a_latency_is_bounded_by_the_power_of_two_above_it(
    log2_ns: list[int], share: float, below: int | None
) -> None:
    """At least that share of the deliveries took less."""
    assert figures.below_ns(log2_ns, share) == below


def test_a_ratio_of_nothing_is_no_number() -> None:
    """A dash, not a zero: nothing was asked."""
    assert figures.hit_ratio(DecisionStats()) is None
    assert figures.told_share(None) == "-"
    assert figures.told_share(figures.hit_ratio(DecisionStats(hits=3, misses=1))) == (
        "75.0%"
    )


@pytest.mark.parametrize(
    ("time_ns", "told"),
    [(None, "-"), (1_024, "0.00102 ms"), (16_777_216, "16.8 ms"), (2 << 30, "2.1 s")],
)
def test_times_have_three_digits_and_a_unit(time_ns: int | None, told: str) -> None:
    """Milliseconds, and seconds when there are any."""
    assert figures.told_time(time_ns) == told


@pytest.mark.parametrize(
    ("size", "told"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (2 * 10**12, "2000.0 GB")],
)
def test_sizes_have_a_unit(size: int, told: str) -> None:
    """Decimal ones, as disks are sold."""
    assert figures.told_size(size) == told


def test_a_pace_is_that_of_the_last_second() -> None:
    """What came before does not count, and no time is no pace."""
    pace = Pace()
    assert pace.note(0.0, 0) == 0
    assert pace.note(0.5, 50) == 100
    assert pace.note(2.0, 50) == 0
    assert spark(pace.history) == " █ "


def test_the_first_fault_of_a_group_is_raised_bare() -> None:
    """However deep the groups are."""
    inner = ExceptionGroup("b", [OSError("x"), ValueError("y")])
    assert str(first_of(ExceptionGroup("a", [inner]))) == "x"

    async def fail() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1))
            raise OSError("x")

    with pytest.raises(OSError, match="x"):
        run_to_end(fail())


def test_warnings_about_surveyed_code_are_not_ours() -> None:
    """They are not shown, and the filters are as before afterwards."""

    async def compile_it() -> int:
        compile("x = '\\d'", "other.py", "exec")
        return len(warnings.filters)

    before = len(warnings.filters)
    assert run_to_end(compile_it()) > before
    assert len(warnings.filters) == before


def test_a_console_on_a_pipe_is_as_wide_as_a_terminal() -> None:
    """A table in a file reads as on the screen."""
    console = console_on(io.StringIO())
    assert (console.width, console.is_terminal) == (80, False)
