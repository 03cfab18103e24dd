"""A large and busy fleet: what a page holds does not grow with what the node tells it.

How long an interaction takes then is measured by `python -m tests.console.measure`.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.console.conftest import Fleet, fleet_at_work, sign_in, visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENTS = 10_000
PUBLISHED = 400  # a second; each makes two events, accepted and delivered
DRAWN_MAX = 60
KEPT_MAX = 2_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def large(
    chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """A fleet of 10,000 agents."""
    del chromium  # without a browser no node is needed
    folder = tmp_path_factory.mktemp("large")
    async with fleet_at_work(folder, AGENTS, PUBLISHED) as running:
        yield running


async def drawn(page: Page) -> int:
    """Count the rows that are in the document."""
    return await page.locator(".grid [role=row]").count()


async def test_ten_thousand_agents_and_a_busy_tail_draw_what_is_in_sight(
    browser: Browser, large: Fleet
) -> None:
    """First and last row are reached, and the tail keeps its last rows only."""
    async with visitor(browser, large.url) as (page, problems):
        problems.expect("/v1/session")
        await sign_in(page, large.tokens["admin"])
        await expect(page.get_by_text("10,008 of 10,008 agents")).to_be_visible()
        grid = page.get_by_role("grid", name="Agents")
        await expect(grid).to_have_attribute("aria-rowcount", "10009")
        assert await drawn(page) < DRAWN_MAX
        await grid.focus()
        await page.keyboard.press("End")
        await expect(grid.get_by_text("worker", exact=True)).to_be_in_viewport()
        assert await drawn(page) < DRAWN_MAX
        await page.get_by_label("Find an agent").fill("agent-09999")
        await expect(page.get_by_text("1 of 10,008 agents")).to_be_visible()

        await page.goto("/#/live")
        kept = page.get_by_text(f"the last {KEPT_MAX:,} kept here")
        await expect(kept).to_be_visible(timeout=15_000)
        tail = page.get_by_role("grid", name="What goes on")
        await expect(tail).to_have_attribute("aria-rowcount", str(KEPT_MAX + 1))
        assert await drawn(page) < DRAWN_MAX
