"""What `python -m benchmarks.durable` counts, and that its contestants keep what they say.

Run: .venv/bin/pytest benchmarks/test_contest.py
"""

import shutil
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from benchmarks.contest import BrokenContestError, Contestant, Tally, Took, rate_ratio
from benchmarks.durable_bare import bare
from benchmarks.durable_peers import SYNCS, jetstream
from benchmarks.durable_table import Size, Table
from benchmarks.redis_peer import redis_stream
from benchmarks.test_policy import expect

MESSAGES = 1_500
SINGLE = 20


class Leaky:
    """Answers for everything, refuses some of it, and loses some of what it answered."""

    name = "leaky"

    def __init__(self, *, refused: int = 0, lost: int = 0) -> None:
        self._refused, self._lost = refused, lost
        self._rows = 0

    async def together(self, messages: int) -> Took:
        self._rows += messages - self._refused - self._lost
        return Took(messages, 1.0, self._refused)

    async def alone(self, messages: int) -> Took:
        self._rows += messages
        return Took(messages, 2.0)

    async def kept(self) -> int:
        return self._rows

    async def empty(self) -> None:
        self._rows = 0


async def _run(contestant: Contestant) -> Tally:
    tally = Tally(contestant)
    for _ in range(2):
        await tally.together(MESSAGES)
        await tally.alone(SINGLE)
        await tally.settle()
    return tally


@pytest.mark.parametrize(("refused", "lost"), [(0, 0), (3, 0), (0, 2), (3, 2)])
async def test_what_is_refused_or_lost_is_counted(refused: int, lost: int) -> None:
    tally = await _run(Leaky(refused=refused, lost=lost))
    expect(tally.failures == 2 * (refused + lost), f"{tally.failures} failures")
    expect(tally.per_second() == MESSAGES, f"{tally.per_second()} a second")
    expect(tally.us_alone() == 2e6 / SINGLE, f"{tally.us_alone()} us")


async def test_a_contestant_that_fails_in_warming_up_ends_the_run() -> None:
    tally = await _run(Leaky())
    tally.warmed_up()
    expect(not tally.many and not tally.single, "figures of warming up are kept")
    broken = await _run(Leaky(lost=1))
    with pytest.raises(BrokenContestError, match="leaky: 2 failures"):
        broken.warmed_up()


def test_a_ratio_is_the_median_of_the_pairs() -> None:
    ours = [Took(10, 1.0), Took(10, 2.0), Took(10, 1.0)]
    theirs = [Took(10, 2.0), Took(10, 2.0), Took(10, 8.0)]
    middle = 2.0  # of 2, 1 and 8
    expect(rate_ratio(ours, theirs) == middle, "not the middle one")


def test_a_missed_target_is_told_and_a_quick_run_judges_none() -> None:
    for judged, verdicts in ((True, [True, False, None]), (False, [None] * 3)):
        table = Table(Size(1, 1, 1, judged))
        table.at_most("a", 1, 1)
        table.at_least("b", 0.999_99, 1)
        table.told("c", 1, "x")
        found = [row.met for row in table.rows]
        expect(found == verdicts, f"{found}")


@pytest.mark.parametrize(("batch", "commits"), [(1_000, 2), (700, 3), (1, 1_500)])
async def test_bare_inserts_share_commits_as_told(
    tmp_path: Path, batch: int, commits: int
) -> None:
    with bare(tmp_path / "bare.db", "bare") as table:
        table.batch = batch
        said: list[str] = []
        table.connection.set_trace_callback(said.append)
        await table.together(MESSAGES)
        expect(said.count("COMMIT") == commits, f"{said.count('COMMIT')} commits")
        expect(await table.kept() == MESSAGES, "not all are there")


def peers() -> dict[str, AbstractAsyncContextManager[Contestant]]:
    """Return all peers by name."""
    found: dict[str, AbstractAsyncContextManager[Contestant]] = {
        sync: jetstream(sync) for sync in SYNCS
    }
    return {**found, "redis": redis_stream()}


@pytest.mark.parametrize("name", [*SYNCS, "redis"])
async def test_a_peer_keeps_what_it_answered_for(name: str) -> None:
    if name == "redis":
        pytest.importorskip("redis", reason="redis-py is in the extra bench")
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not in PATH")
    else:
        pytest.importorskip("nats", reason="nats-py is in the extra bench")
    async with peers()[name] as contestant:
        tally = await _run(contestant)
    expect(tally.failures == 0, f"{tally.failures} failures")
