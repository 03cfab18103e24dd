"""The live view of the fleet: a picture while stdout is a terminal, else plain lines.

Rule: it only looks. Drawing happens in a thread, so that a slow terminal delays nobody.
"""

import asyncio
from collections import deque
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bus.cli.figures import (
    Totals,
    below_ns,
    hit_ratio,
    told_share,
    told_time,
    totals,
)
from bus.cli.output import printable
from bus.cli.running import WIDTH
from bus.cli.survey.intruder import Attempt
from bus.cli.survey.run import Stage
from bus.core.stats import Snapshot

_P50: Final = 0.5
_P99: Final = 0.99
_RATE_S: Final = 1.0  # messages/s are those of the last second
_SPARKS: Final = " ▁▂▃▄▅▆▇█"
_SAMPLES: Final = 30
_DENIALS: Final = 4
_LINE_S: Final = 1.0


class Pace:
    """Messages a second, from totals seen at times."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self.history: deque[float] = deque(maxlen=_SAMPLES)

    def note(self, now_s: float, delivered: int) -> float:
        """Take a total and return the pace over the last second."""
        self._seen.append((now_s, delivered))
        while self._seen[0][0] < now_s - _RATE_S:
            self._seen.popleft()
        then_s, then = self._seen[0]
        pace = (delivered - then) / (now_s - then_s) if now_s > then_s else 0.0
        self.history.append(pace)
        return pace


class Lines:
    """Says now and then how far the fleet is; for a pipe, a file or `--plain`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def watch(self, stage: Stage) -> None:
        """Print a line a second, and each attempt of the intruder once."""
        told = 0
        while True:
            await asyncio.sleep(_LINE_S)
            told = await asyncio.to_thread(self._tell, stage, told)

    def _tell(self, stage: Stage, told: int) -> int:
        snapshot = stage.bus.stats()
        counted = totals(snapshot)
        self._console.print(
            f"round {stage.fleet.rounds}: {stage.fleet.aggregator.done} of "
            f"{stage.fleet.tasks} files, {counted.accepted:,} accepted, "
            f"{counted.delivered:,} delivered, {counted.denied} denied",
            highlight=False,
        )
        attempts = stage.attempts[told:]
        for attempt in attempts:
            said = f"{attempt.agent}: {attempt.tried}: {attempt.reason}"
            self._console.print(Text(f"  {printable(said)}"))
        return told + len(attempts)


class Silent:
    """Says nothing; for `--json`."""

    async def watch(self, stage: Stage) -> None:
        """Look on until cancelled."""
        del stage
        await asyncio.Event().wait()


class Picture:
    """Draws the fleet at work."""

    def __init__(self, console: Console, frame_s: float) -> None:
        self._console = console
        self._frame_s = frame_s
        self._pace = Pace()

    async def watch(self, stage: Stage) -> None:
        """Draw a frame every `frame_s` seconds until cancelled, and take it away then."""
        loop = asyncio.get_running_loop()
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                seen_s = loop.time() - stage.started_s
                frame = self.frame(stage, seen_s)
                await asyncio.to_thread(live.update, frame, refresh=True)
                await asyncio.sleep(self._frame_s)

    def frame(self, stage: Stage, seen_s: float) -> RenderableType:
        """Return what to draw after `seen_s` seconds."""
        snapshot = stage.bus.stats()
        counted = totals(snapshot)
        pace = self._pace.note(seen_s, counted.delivered)
        whole = Table.grid(expand=False)
        whole.width = min(WIDTH, self._console.width)
        whole.add_column()
        for part in (
            _title(stage, seen_s),
            _progress(stage),
            Text(),
            self._figures(snapshot, counted, pace),
            Text(),
            _refusals(stage.attempts),
        ):
            whole.add_row(part)
        return whole

    def _figures(self, snapshot: Snapshot, counted: Totals, pace: float) -> Table:
        grid = Table.grid(padding=(0, 3, 0, 0))
        for _ in range(3):
            grid.add_column()
            grid.add_column(justify="right")
        times = snapshot.latency_log2_ns
        rows = (
            (
                ("messages/s", f"{pace:,.0f}"),
                ("accepted", f"{counted.accepted:,}"),
                ("cache hits", told_share(hit_ratio(snapshot.decisions))),
            ),
            (
                ("in queues", f"{snapshot.queued}"),
                ("delivered", f"{counted.delivered:,}"),
                ("latency p50 <", told_time(below_ns(times, _P50))),
            ),
            (
                ("in flight", f"{snapshot.in_flight}"),
                ("denied", f"{counted.denied}"),
                ("latency p99 <", told_time(below_ns(times, _P99))),
            ),
        )
        for row in rows:
            cells = [
                Text(cell, style="bold" if place % 2 else "dim")
                for pair in row
                for place, cell in enumerate(pair)
            ]
            grid.add_row(*cells)
        if self._console.options.ascii_only:
            return grid
        stacked = Table.grid()
        stacked.add_row(grid)
        stacked.add_row(Text(spark(self._pace.history), style="green"))
        return stacked


def spark(values: "deque[float]") -> str:
    """Return a row of bars, the highest for the highest value."""
    top = max(values, default=0.0) or 1.0
    return "".join(_SPARKS[round(v / top * (len(_SPARKS) - 1))] for v in values)


def _title(stage: Stage, seen_s: float) -> RenderableType:
    return Text.assemble(
        ("assent demo", "bold"),
        f"  round {stage.fleet.rounds}, {seen_s:.1f} s, "
        f"{len(stage.fleet.workers)} workers, policy {stage.bus.revision}",
    )


def _progress(stage: Stage) -> RenderableType:
    done, tasks = stage.fleet.aggregator.done, stage.fleet.tasks
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(
        ProgressBar(total=max(tasks, 1), completed=done, width=48),
        Text(f"{done} of {tasks} files"),
    )
    return grid


def _refusals(attempts: list[Attempt]) -> RenderableType:
    lines = [
        Text.assemble(
            ("intruder kept out: ", "bold"),
            f"{sum(a.refused for a in attempts)} of {len(attempts)} attempts",
        )
    ]
    for attempt in attempts[-_DENIALS:]:
        style = "yellow" if attempt.refused else "bold red"
        lines.append(
            Text.assemble(
                (f"  {printable(attempt.reason)}", style),
                no_wrap=True,
                overflow="ellipsis",
            )
        )
    return Group(*lines)
