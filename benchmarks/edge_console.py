"""The console in Chromium, at a node of 10,000 agents and 1,000 events a second.

Rule: an interaction is a click or a key until the next frame is painted, as the browser's
Event Timing tells it; memory is the heap after what is garbage was collected. It goes
round as `tests.console.measure` does.
"""

import importlib.util
import shutil
import time
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.durable_table import Table
from benchmarks.edge_size import Size

INTERACTION_MS_MAX: Final = 100
HEAP_GROWTH_MAX: Final = 1.25  # of the last fifth of the rounds over the second
OBSERVE: Final = """
window.interactions = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (!entry.interactionId) continue;
    const script = entry.processingEnd - entry.processingStart;
    window.interactions.push([entry.duration, script]);
  }
}).observe({ type: "event", durationThreshold: 16, buffered: true });
"""
PARTS: Final = 5  # of the rounds; the first one is left out: what is loaded stays


async def console(table: Table, size: Size, folder: Path) -> None:
    """Do what an operator does for so many minutes."""
    browser = shutil.which("chromium")
    if browser is None or importlib.util.find_spec("playwright") is None:
        table.absent["console"] = "chromium in PATH and playwright are needed"
        return
    from playwright.async_api import async_playwright  # noqa: PLC0415 - it may be absent

    from tests.console import conftest, measure  # noqa: PLC0415 - they import it

    async with (
        async_playwright() as driver,
        conftest.fleet_at_work(folder, measure.AGENTS, measure.PUBLISHED) as fleet,
    ):
        started = await driver.chromium.launch(
            executable_path=browser, args=["--no-sandbox"]
        )
        async with conftest.visitor(started, fleet.url) as (page, problems):
            problems.expect("/v1/session")
            await page.add_init_script(OBSERVE)
            await page.reload()
            await conftest.sign_in(page, fleet.tokens["admin"])
            line = await page.context.new_cdp_session(page)
            until = time.perf_counter() + 60 * size.minutes
            heaps: list[float] = []
            while not heaps or time.perf_counter() < until:
                await measure.round_of(page)
                heaps.append(await measure.heap_of(line))
            slow: list[list[float]] = await page.evaluate("window.interactions")
        await started.close()
    _show(table, heaps, slow)


def _show(table: Table, heaps: list[float], slow: list[list[float]]) -> None:
    """Add the rows; the browser tells only of what took a frame or longer."""
    took_ms = [took for took, _ in slow] or [0.0]
    scripts_ms = [script for _, script in slow] or [0.0]
    table.told("console: rounds of an operator", len(heaps), "")
    table.told("console: median of interactions", median(took_ms), "ms")
    most = max(took_ms)
    table.at_most("console: slowest interaction", most, INTERACTION_MS_MAX, "ms")
    table.told("console: the most that scripts took of one", max(scripts_ms), "ms")
    table.told("console: heap at the end", heaps[-1], "MB")
    if len(heaps) >= 2 * PARTS:
        part = len(heaps) // PARTS
        growth = median(heaps[-part:]) / median(heaps[part : 2 * part])
        table.at_most("console: heap, end / begin", growth, HEAP_GROWTH_MAX)
