"""`python -m benchmarks.durable`: what it costs that nothing accepted is lost, as ratios.

Rule: a ratio is of two things measured in turns of one run, and the median of its rounds.
What was not answered for, or is not there afterwards, is a failure, and failures are
counted. It ends non-zero if there is one, or a target was missed; --quick judges none.
"""

import argparse
import asyncio
import gc
import json
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.__main__ import show_rows
from benchmarks.contest import Contestant, Tally, rate_ratio
from benchmarks.durable_bare import bare
from benchmarks.durable_bus import Batched, Durable, Handled, running
from benchmarks.durable_peers import SYNCS, jetstream
from benchmarks.durable_stored import stored
from benchmarks.durable_table import Size, Table
from benchmarks.redis_peer import redis_stream
from bus.cli.measures.machine import here

ROUNDS: Final = 9
MESSAGES: Final = 20_000
SLICES: Final = 4  # turns that one alone has in a round: a disk's mood changes fast
ALONE_SHARE: Final = 400  # one alone sends so many times fewer in each slice
STORED: Final = 10_000_000
BARE_SHARE_MIN: Final = 0.35
BARE_MIN: Final = 150_000  # where bare inserts reach this,
PER_SECOND_MIN: Final = 50_000  # Assent reaches that
ALONE_RATIO_MAX: Final = 1.3
HANDLED_MIN: Final = 20_000
REPLAY_MIN: Final = 150_000
THOUSAND: Final = "bare inserts, 1,000 a commit"
SAME: Final = "bare inserts, as many a commit as assent"
SAME_BATCHED: Final = "bare inserts, as many a commit as publish_many"


class Contest(msgspec.Struct):
    """Who takes part, Assent and bare SQLite first; and what pairs of theirs showed."""

    assent: Tally
    same: Tally
    batched: Tally
    same_batched: Tally
    thousand: Tally
    peers: list[Tally]

    def tallies(self) -> list[Tally]:
        """Return all, in the order of the first round."""
        theirs = [self.same_batched, self.thousand, *self.peers]
        return [self.assent, self.same, self.batched, *theirs]

    def single(self, tally: Tally) -> bool:
        """Tell whether one takes part in sending one by one: each of a kind does."""
        return tally not in {self.batched, self.same_batched, self.thousand}


async def contest(table: Table, folder: Path) -> None:
    """Have all keep the same messages, many at once and one alone, in turns."""
    size = table.size
    async with AsyncExitStack() as stack:
        durable = await stack.enter_async_context(running(folder / "contest.db"))
        batched = running(folder / "batched.db", Batched)
        many = await stack.enter_async_context(batched)
        same = stack.enter_context(bare(folder / "same.db", SAME))
        theirs = stack.enter_context(bare(folder / "batches.db", SAME_BATCHED))
        thousand = stack.enter_context(bare(folder / "thousand.db", THOUSAND))
        peers = await _peers(table, stack)
        field = Contest(
            Tally(durable),
            Tally(same),
            Tally(many),
            Tally(theirs),
            Tally(thousand),
            peers,
        )
        await _round(field, size, backwards=False)
        for tally in field.tallies():
            tally.warmed_up()
        for number in range(size.rounds):
            for one in (same, theirs, thousand):
                one.row = b"x" * durable.row_bytes()
            same.batch, theirs.batch = durable.batch(), many.batch()
            await _round(field, size, backwards=bool(number % 2))
        table.failures += sum(tally.failures for tally in field.tallies())
        _show(table, field, durable)


async def _peers(table: Table, stack: AsyncExitStack) -> list[Tally]:
    """Start the peers that are there."""
    found = []
    starts: dict[str, AbstractAsyncContextManager[Contestant]] = {
        f"jetstream, fsync {sync}": jetstream(sync) for sync in SYNCS
    }
    starts["redis"] = redis_stream()
    for name, start in starts.items():
        try:
            found.append(Tally(await stack.enter_async_context(start)))
        except ImportError as error:
            table.absent[name] = str(error)
    return found


async def _round(field: Contest, size: Size, *, backwards: bool) -> None:
    tallies = field.tallies()
    turns = tallies[::-1] if backwards else tallies
    gc.collect()
    for tally in turns:
        await tally.together(size.messages)
    for _ in range(SLICES):
        for tally in turns:
            if field.single(tally):
                await tally.alone(max(1, size.messages // ALONE_SHARE))
    for tally in turns:
        await tally.settle()


def _show(table: Table, field: Contest, durable: Durable) -> None:
    """Add the rows of the contest."""
    assent, same = field.assent, field.same
    table.told("bytes of a row", durable.row_bytes(), "")
    table.told("rows a commit, many in flight", durable.batch(), "")
    table.told(field.thousand.contestant.name, field.thousand.per_second(), "rows/s")
    for ours, theirs, words in (
        (assent, same, ("assent, 1,000 in flight", "assent / bare, as many a commit")),
        (
            field.batched,
            field.same_batched,
            (field.batched.contestant.name, "publish_many / bare, as many a commit"),
        ),
    ):
        rate = theirs.per_second()
        table.told(theirs.contestant.name, rate, "rows/s")
        if rate >= BARE_MIN:
            table.at_least(words[0], ours.per_second(), PER_SECOND_MIN, "msgs/s")
        else:
            table.told(words[0], ours.per_second(), "msgs/s")
        share = rate_ratio(ours.many, theirs.many)
        table.at_least(words[1], share, BARE_SHARE_MIN)
    for tally in field.peers:
        name = tally.contestant.name
        table.told(f"{name}, 1,000 in flight", tally.per_second(), "msgs/s")
        times = rate_ratio(assent.many, tally.many)
        table.told(f"assent / {name}", times, "x")
    table.told("bare inserts, one a commit", same.us_alone(), "us")
    table.told("assent, one alone", assent.us_alone(), "us")
    times = rate_ratio(same.single, assent.single)  # of rates: so of times, upside down
    table.at_most("assent / bare, one alone", times, ALONE_RATIO_MAX)
    for tally in field.peers:
        table.told(f"{tally.contestant.name}, one alone", tally.us_alone(), "us")


async def handled(table: Table, folder: Path) -> None:
    """Publish to a durable consumer, whose acknowledgements are kept as well."""
    async with running(folder / "handled.db", Handled) as durable:
        tally = Tally(durable)
        for number in range(table.size.rounds + 1):
            gc.collect()
            await tally.together(table.size.messages)
            if number == 0:
                tally.warmed_up()
        await tally.settle()
    table.failures += tally.failures
    what = "publish to handler to ack"
    table.at_least(what, tally.per_second(), HANDLED_MIN, "msgs/s")


async def replayed(table: Table, folder: Path) -> None:
    """Read back what was published."""
    size, found = table.size, []
    async with running(folder / "replayed.db") as durable:
        published = await durable.together(size.messages)
        table.failures += published.failures
        for _ in range(size.rounds):
            gc.collect()
            found.append(await durable.replay())
    table.failures += sum(took.failures for took in found)
    rate = median(took.per_second for took in found)
    table.at_least("replay", rate, REPLAY_MIN, "msgs/s")


Measure = Callable[[Table, Path], Coroutine[Any, Any, None]]
MEASURES: Final[dict[str, Measure]] = {
    "contest": contest,
    "handled": handled,
    "replay": replayed,
    "stored": stored,
}


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durable")
    parser.add_argument("measures", nargs="*", help=f"of: {' '.join(MEASURES)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--stored", type=int, default=STORED, help="the largest store")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--quick", action="store_true", help="judges no target")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    if unknown := set(options.measures) - MEASURES.keys():
        parser.error(f"unknown measures: {', '.join(sorted(unknown))}")
    if min(options.rounds, options.messages, options.stored) < 1:
        parser.error("--rounds, --messages, --stored: at least one")
    tempfile.tempdir = options.folder and str(options.folder)  # of the peers as well
    size = Size(options.rounds, options.messages, options.stored, not options.quick)
    table = Table(size)
    for name in options.measures or MEASURES:
        with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
            asyncio.run(MEASURES[name](table, Path(folder)))
    command = " ".join(["python -m benchmarks.durable", *sys.argv[1:]])
    if options.json:
        document = {"machine": here(), "command": command, "rows": table.rows}
        document |= {"absent": table.absent, "failures": table.failures}
        print(json.dumps(msgspec.to_builtins(document)))
    else:
        show_rows(table.rows, command, table.absent)
        print(f"failures: {table.failures}")
    missed = any(row.met is False for row in table.rows)
    return 1 if table.failures or missed else 0


if __name__ == "__main__":
    sys.exit(main())
