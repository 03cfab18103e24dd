"""A part that only a person may bring back is seen on every page, and brought back."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.console.conftest import SHOTS, Fleet, fleet_at_work, sign_in, visitor
from tests.console.seen import faults_of, load_axe
from tests.parts import require

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def failing(
    chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """A node with an agent process that ends as soon as it is started."""
    del chromium  # without a browser no node is needed
    folder = tmp_path_factory.mktemp("failing")
    async with fleet_at_work(folder, 0, 1, require("false")) as running:
        yield running


async def test_a_step_that_waits_is_approved(browser: Browser, failing: Fleet) -> None:
    """The step is listed with what happened before, and with who approved it."""
    async with visitor(browser, failing.url) as (page, problems):
        problems.expect("/v1/session")
        await sign_in(page, failing.tokens["admin"])
        await page.goto("/#/recovery")
        waits = page.get_by_text("1 step waits for a person:")
        await expect(waits).to_be_visible()
        await load_axe(page)
        assert await faults_of(page) == []
        await page.screenshot(path=SHOTS / "recovery-waits.png")
        await page.get_by_role("button", name="Approve scout").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Approve the step").click()
        await expect(dialog).to_be_hidden()
        history = page.get_by_role("grid", name="Recovery history")
        await expect(history.get_by_text("by admin").first).to_be_visible()
