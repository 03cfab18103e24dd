"""Every page: in light and dark, wide and narrow, for everybody, and with text as text."""

import re

import pytest
from playwright.async_api import Page, ViewportSize, expect

from tests.console.conftest import SHOTS, WIDE, Fleet
from tests.console.nodechild import SCRIPT
from tests.console.seen import faults_of, load_axe, overflows

pytestmark = pytest.mark.asyncio(loop_scope="session")

NARROW: ViewportSize = {"width": 360, "height": 740}
FIGURE = re.compile(r"[0-9]")
ON_NARROW = ("target-size", "scrollable-region-focusable", "aria-required-children")
TAG = SCRIPT[:10]
PAGES = {
    "fleet": ("#/fleet", "agent-00003"),
    "agent": ("#/fleet/intern", "Subscriptions"),
    "live": ("#/live", "orders.created"),
    "message": ("#/message/MESSAGE", "Lineage"),
    "message-none": ("#/message", "Which message?"),
    "approvals": ("#/approvals", "exports.list"),
    "letters": ("#/letters", "tasks.review"),
    "streams": ("#/streams", "mailer"),
    "policy": ("#/policy", "package assent.authz"),
    "decisions": ("#/policy/decisions", "payments.refund"),
    "what-if": ("#/policy/what-if", "Ask policy"),
    "revisions": ("#/policy/revisions", "in force"),
    "audit": ("#/audit", "orders.created"),
    "recovery": ("#/recovery", "policy"),
    "nowhere": ("#/nowhere", "There is no such page."),
}
TRIES = 20
TOLD = {
    "live": "#/live?outcome=held",
    "message": "#/message/MESSAGE",
    "approvals": "#/approvals",
    "letters": "#/letters",
    "decisions": "#/policy/decisions",
    "audit": "#/audit?event=held",
}


@pytest.mark.parametrize("name", PAGES)
async def test_every_page_is_for_everybody(page: Page, fleet: Fleet, name: str) -> None:
    """What axe looks for holds in light and dark, and nothing leaves a narrow screen."""
    address, text = PAGES[name]
    if name == "approvals":
        await fleet.tell("hold")  # what was held before may be denied by now
    await page.goto(f"/{address}".replace("MESSAGE", fleet.message))
    await expect(page.locator(".page").get_by_text(text).first).to_be_visible()
    await load_axe(page)
    assert await faults_of(page) == []
    await page.screenshot(path=SHOTS / f"{name}-light.png")
    await page.emulate_media(color_scheme="dark")
    assert await faults_of(page, "color-contrast") == []
    await page.screenshot(path=SHOTS / f"{name}-dark.png")
    await page.set_viewport_size(NARROW)
    await expect(page.locator(".page").get_by_text(text).first).to_be_visible()
    assert not await overflows(page)
    assert await faults_of(page, *ON_NARROW) == []
    await page.screenshot(path=SHOTS / f"{name}-360.png")
    await page.set_viewport_size(WIDE)


@pytest.mark.parametrize("name", TOLD)
async def test_script_in_any_field_is_shown_as_text(
    page: Page, fleet: Fleet, name: str
) -> None:
    """What a sender writes is read by people and by no browser."""
    if name == "approvals":
        await fleet.tell("hold")  # what was held before may be denied by now
    await page.goto(f"/{TOLD[name]}".replace("MESSAGE", fleet.message))
    if name == "live":
        await expect(page.get_by_text("Following")).to_be_visible()
    shown = page.locator(".page").get_by_text(TAG).first
    for _ in range(TRIES if name == "live" else 0):
        await fleet.tell("hold")  # the tail begins a moment after it says so
        await page.wait_for_timeout(200)
        if await shown.count():
            break
    await expect(shown).to_be_visible()
    assert TAG in await shown.inner_text()
    assert await page.locator("img, main script").count() == 0
    assert await page.title() != "owned"


async def test_the_theme_is_what_the_person_chose(page: Page) -> None:
    """Over what the system says, and in the next visit too."""
    root = page.locator("html")
    await page.emulate_media(color_scheme="light")
    await page.get_by_label("Appearance").select_option("dark")
    await expect(root).to_have_attribute("data-theme", "dark")
    await page.reload()
    await expect(root).to_have_attribute("data-theme", "dark")
    await page.get_by_label("Appearance").select_option("system")
    await expect(root).to_have_attribute("data-theme", "light")
    await page.emulate_media(color_scheme="dark")
    await expect(root).to_have_attribute("data-theme", "dark")


async def test_pages_are_reached_from_a_narrow_screen(page: Page) -> None:
    """The menu opens, leads on and closes."""
    await page.set_viewport_size(NARROW)
    await page.locator("button.menu").click()
    await page.get_by_role("link", name="Recovery").click()
    await expect(page.get_by_role("heading", name="Recovery", level=1)).to_be_visible()
    await expect(page.locator("button.menu")).to_have_attribute(
        "aria-expanded", "false"
    )


async def test_plots_are_drawn_and_told_in_words(page: Page) -> None:
    """The canvas has a name, and the figures of now stand beside it."""
    for title in ("Messages / s", "Publish to end"):
        plot = page.get_by_role("img", name=title)
        await expect(plot.locator("canvas")).to_be_visible()
    await expect(page.locator(".legend b").first).to_have_text(FIGURE)
