"""How long the console takes to answer an operator of a large and busy fleet.

Usage: python -m tests.console.measure [MINUTES]. 10,000 agents, 1,000 events a second;
prints the slowest interactions and the size of the heap, as Chromium tells them. An
interaction is a click or key until the next frame is painted, as in Event Timing; of
it `script` is what the console itself took, the rest waiting and painting.
"""

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import CDPSession, Page, async_playwright

from tests.console.conftest import fleet_at_work, sign_in, visitor

AGENTS = 10_000
PUBLISHED = 500  # a second; each makes two events, accepted and delivered
MS_MAX = 100
OBSERVE = """
window.slow = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (!entry.interactionId) continue;
    const script = entry.processingEnd - entry.processingStart;
    window.slow.push([entry.name, entry.duration, script]);
  }
}).observe({ type: "event", durationThreshold: 16, buffered: true });
"""


async def round_of(page: Page) -> None:
    """Do what an operator does, once on each of the two heavy pages."""
    await page.get_by_role("link", name="Fleet").click()
    field = page.get_by_label("Find an agent")
    await page.get_by_text(f"of {AGENTS + 8:,} agents").wait_for()
    await field.press_sequentially("agent-0123", delay=30)
    await page.get_by_label("Health").select_option("idle")
    await field.fill("")
    await page.get_by_label("Health").select_option("")
    for name in ("Denied", "Published", "Agent"):
        await page.get_by_role("button", name=name, exact=True).click()
    grid = page.get_by_role("grid", name="Agents")
    await grid.focus()
    for key in ("End", "PageUp", "PageUp", "Home", "ArrowDown", "Enter"):
        await page.keyboard.press(key)
    await page.get_by_role("link", name="Close").click()
    await page.get_by_role("link", name="Live", exact=True).click()
    await asyncio.sleep(2)
    for name in ("Pause", "Go on", "Clear"):
        await page.get_by_role("button", name=name).click()
        await asyncio.sleep(0.5)
    tail = page.get_by_role("grid", name="What goes on")
    await tail.focus()
    for key in ("PageDown", "PageDown", "Home"):
        await page.keyboard.press(key)
    await asyncio.sleep(2)


async def heap_of(line: CDPSession) -> float:
    """Return the size of the heap in MB, after what is garbage was collected."""
    await line.send("HeapProfiler.collectGarbage")
    used = await line.send("Runtime.getHeapUsage")
    return float(used["usedSize"]) / 1e6


async def main(minutes: float) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            async_playwright() as playwright,
            fleet_at_work(Path(folder), AGENTS, PUBLISHED) as fleet,
        ):
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            async with visitor(browser, fleet.url) as (page, problems):
                problems.expect("/v1/session")
                await page.add_init_script(OBSERVE)
                await page.reload()
                await sign_in(page, fleet.tokens["admin"])
                await measure(page, minutes)
            await browser.close()


async def measure(page: Page, minutes: float) -> None:
    """Go round for so long, and print what was seen."""
    line = await page.context.new_cdp_session(page)
    until = time.perf_counter() + 60 * minutes
    heaps = []
    while time.perf_counter() < until:
        await round_of(page)
        heaps.append(await heap_of(line))
        drawn = await page.locator(".grid [role=row]").count()
        say(f"round {len(heaps)}: heap {heaps[-1]:.1f} MB, {drawn} rows drawn")
    slow: list[tuple[str, float, float]] = await page.evaluate("window.slow")
    times = sorted(duration for _, duration, _ in slow)
    say(f"{len(times)} events of 16 ms or more")
    if times:
        say(f"median {statistics.median(times):.0f} ms, longest {times[-1]:.0f} ms")
        over = sum(duration > MS_MAX for duration in times)
        say(f"{over} over {MS_MAX} ms; by the script's own time, the slowest:")
        for what, _, script in sorted(slow, key=lambda one: -one[2])[:5]:
            say(f"  {script:.0f} ms {what}")
    say(
        f"heap: first {heaps[0]:.1f} MB, last {heaps[-1]:.1f} MB, most {max(heaps):.1f}"
    )


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0))
