"""Messages over WebSockets: a node, bare aiohttp with the same frames, and a bare line."""

import gc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import edge_servers
from benchmarks.contest import Tally, rate_ratio
from benchmarks.durable_table import Table
from benchmarks.edge_line import BATCH, Pair, pair
from benchmarks.edge_node import SQLITE
from benchmarks.edge_servers import Server
from benchmarks.edge_size import Size, counted

ALONE_SHARE: Final = 100  # of the messages of a round, one of so many goes alone
PER_SECOND_MIN: Final = 60_000
RELAY_SHARE_MIN: Final = 0.5
ALONE_RATIO_MAX: Final = 1.5


class Contender:
    """A pair of clients of one server, and what it showed in each round."""

    def __init__(self, name: str, one: Pair, server: Server) -> None:
        self.name = name
        self.tally = Tally(one)
        self.alone_us: list[float] = []
        self.processor_us: list[float] = []
        self.failures = 0
        self._pair = one
        self._server = server

    async def turn(self, messages: int) -> None:
        """Send many at once, then some one by one."""
        before_s = self._server.cpu_s()
        await self.tally.together(messages)
        each_s = (self._server.cpu_s() - before_s) / self.tally.many[-1].messages
        self.processor_us.append(each_s * 1e6)
        count = max(1, messages // ALONE_SHARE)
        took, failures = await self._pair.times_us(count)
        self.alone_us.append(median(took))
        self.failures += failures

    def warmed_up(self) -> None:
        """Forget the figures so far; raises as `Tally.warmed_up`."""
        self.tally.warmed_up()
        self.alone_us.clear()
        self.processor_us.clear()


async def websocket(table: Table, size: Size, folder: Path) -> None:
    """Publish to a subscriber on another connection, many at once and one alone."""
    async with counted(table) as (stack, enter):
        node = await enter(edge_servers.node(folder / "node", size.loop))
        relay = await enter(edge_servers.relay(size.loop))
        singly = await enter(edge_servers.relay(size.loop))
        field = [
            Contender(name, await stack.enter_async_context(pair(*where)), where[0])
            for name, where in {
                "assent": (node, "/ws", BATCH),
                "relay": (relay, "/ws", BATCH),
                "unbatched relay": (singly, "/ws", 1),
                "bare line": (relay, "/raw", BATCH),
            }.items()
        ]
        for number in range(size.rounds + 1):
            gc.collect()
            for one in field[:: -1 if number % 2 else 1]:
                await one.turn(size.messages)
            if number == 0:
                for one in field:
                    one.warmed_up()
    for one in field:
        table.failures += one.failures + one.tally.failures
    _show(table, size, field)


async def kept(table: Table, size: Size, folder: Path) -> None:
    """Publish to a node that keeps everything in SQLite before it answers."""
    async with counted(table) as (stack, enter):
        node = await enter(edge_servers.node(folder / "node", size.loop, SQLITE))
        one = Contender("kept", await stack.enter_async_context(pair(node)), node)
        for number in range(size.rounds + 1):
            await one.turn(size.messages)
            if number == 0:
                one.warmed_up()
    table.failures += one.failures + one.tally.failures
    many = f"websocket, {BATCH} a frame{size.said}"
    table.told(f"{many}: assent, SQLite", one.tally.per_second(), "msgs/s")


def _show(table: Table, size: Size, field: list[Contender]) -> None:
    """Add the rows; a ratio is the median over the rounds."""
    node, relay, unbatched, _ = field
    many = f"websocket, {BATCH} a frame{size.said}"
    for one in field:
        if one is node:
            rate = one.tally.per_second()
            table.at_least(f"{many}: {one.name}", rate, PER_SECOND_MIN, "msgs/s")
        else:
            table.told(f"{many}: {one.name}", one.tally.per_second(), "msgs/s")
    share = rate_ratio(node.tally.many, relay.tally.many)
    table.at_least(f"{many}: assent / relay", share, RELAY_SHARE_MIN)
    share = rate_ratio(node.tally.many, unbatched.tally.many)
    table.told(f"{many}: assent / unbatched relay", share, "x")
    _each(table, f"{many}, processor", field, lambda one: one.processor_us)
    alone = f"websocket, one alone{size.said}"
    _each(table, f"{alone}, p50", field, lambda one: one.alone_us)
    pairs = zip(node.alone_us, relay.alone_us, strict=True)
    times = median(ours / theirs for ours, theirs in pairs)
    table.at_most(f"{alone}, p50: assent / relay", times, ALONE_RATIO_MAX)


def _each(
    table: Table,
    what: str,
    field: list[Contender],
    figures: Callable[[Contender], list[float]],
) -> None:
    for one in field:
        table.told(f"{what}: {one.name}", median(figures(one)), "us")
