"""All of the console is reached by the keyboard, and no key does what nobody meant."""

import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def heading(page: Page, name: str) -> None:
    """Wait until a page is there."""
    await expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()


async def test_the_first_key_leads_past_the_navigation(page: Page) -> None:
    """The skip link is the first thing reached, seen when it is, and works."""
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the page")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()


async def test_two_keys_lead_to_each_page(page: Page) -> None:
    """As the help says, which one key opens and Escape closes."""
    for key, name in (("l", "Live"), ("a", "Approvals"), ("u", "Audit")):
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await heading(page, name)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_keys_are_off_while_somebody_types_and_where_switched_off(
    page: Page,
) -> None:
    """A name with a g in it leads nowhere."""
    await page.keyboard.press("/")
    field = page.get_by_label("Find an agent")
    await expect(field).to_be_focused()
    await page.keyboard.type("glad")
    await expect(field).to_have_value("glad")
    await heading(page, "Fleet")
    await page.get_by_role("button", name="Keys").click()
    await page.get_by_label("Keys without Ctrl do something").uncheck()
    await page.keyboard.press("Escape")
    await page.locator("#main").focus()
    await page.keyboard.press("g")
    await page.keyboard.press("l")
    await heading(page, "Fleet")


async def test_a_list_is_walked_and_a_row_opened(page: Page) -> None:
    """Arrows, ends and Enter; the list says which row is meant."""
    grid = page.get_by_role("grid", name="Agents")
    await grid.focus()
    await page.keyboard.press("ArrowDown")
    active = await grid.get_attribute("aria-activedescendant")
    assert active is not None
    assert active.endswith("-1")
    await expect(page.locator(f"#{active}")).to_contain_text("agent-00000")
    await page.keyboard.press("End")
    active = await grid.get_attribute("aria-activedescendant")
    await expect(page.locator(f"#{active}")).to_contain_text("worker")
    await expect(page.locator(f"#{active}")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="Agent worker")).to_be_visible()


async def test_what_has_the_focus_is_seen(page: Page) -> None:
    """Everything that Tab reaches has an outline."""
    for _ in range(24):
        await page.keyboard.press("Tab")
        outline = await page.evaluate(
            "getComputedStyle(document.activeElement).outlineStyle"
        )
        name = await page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
        assert outline != "none", name


async def test_the_focus_goes_back_to_where_a_dialog_was_opened(page: Page) -> None:
    """And cannot leave it meanwhile."""
    opener = page.get_by_role("button", name="Keys")
    await opener.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    for _ in range(6):
        await page.keyboard.press("Tab")
        inside = await page.evaluate(
            "document.activeElement === document.body"
            " || document.activeElement.closest('dialog') !== null"
        )
        assert inside
    await page.keyboard.press("Escape")
    await expect(opener).to_be_focused()
