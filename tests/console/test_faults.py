"""Signing in and out, and what the console says when something is wrong."""

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.console.conftest import Fleet, sign_in, visitor
from tests.console.relay import relay_to
from tests.console.seen import Problems

pytestmark = pytest.mark.asyncio(loop_scope="session")

SESSION = "/v1/session"


async def test_a_wrong_token_opens_nothing(browser: Browser, fleet: Fleet) -> None:
    """And the console says what may be wrong with it."""
    async with visitor(browser, fleet.url) as (page, problems):
        problems.expect(SESSION)
        await page.get_by_label("Token").fill("assent_0000000000000000_00")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("does not open")
        await sign_in(page, fleet.tokens["operator"])


async def test_no_script_can_read_what_signs_a_person_in(
    browser: Browser, fleet: Fleet
) -> None:
    """The cookie is HttpOnly and of this site only; the token is kept nowhere."""
    token = fleet.tokens["operator"]
    async with visitor(browser, fleet.url) as (page, problems):
        problems.expect(SESSION)
        await sign_in(page, token)
        (cookie,) = await page.context.cookies()
        assert (cookie["name"], cookie["httpOnly"]) == ("assent_session", True)
        assert cookie["sameSite"] == "Strict"
        kept = await page.evaluate(
            "JSON.stringify([document.cookie, localStorage, sessionStorage, location])"
        )
        assert token not in kept
        assert cookie["value"] not in kept
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_text("You are signed out.")).to_be_visible()
        assert await page.context.cookies() == []


async def test_a_write_without_the_csrf_token_is_refused(
    browser: Browser, fleet: Fleet
) -> None:
    """The cookie alone, which a browser sends by itself, orders nothing."""
    async with visitor(browser, fleet.url) as (page, problems):
        problems.expect(SESSION, "/v1/agents")
        await sign_in(page, fleet.tokens["operator"])
        status = await page.evaluate(
            """fetch("/v1/agents/agent-00001/quarantine", {
              method: "POST",
              headers: { "Content-Type": "application/json" },
              body: JSON.stringify({ reason: "x", confirm: "agent-00001" }),
            }).then((answer) => answer.status)"""
        )
        assert status == 403


async def test_a_session_that_has_ended_leads_to_the_door(
    browser: Browser, fleet: Fleet
) -> None:
    """What was asked for then is shown again after signing in."""
    async with visitor(browser, fleet.url) as (page, problems):
        problems.expect("/v1/")
        await sign_in(page, fleet.tokens["operator"])
        await page.context.clear_cookies()
        await page.goto("/#/audit")
        await expect(page.get_by_text("Your session has ended.")).to_be_visible()
        await page.get_by_label("Token").fill(fleet.tokens["operator"])
        await page.keyboard.press("Enter")
        heading = page.get_by_role("heading", name="Audit", level=1)
        await expect(heading).to_be_visible()


async def test_what_a_credential_is_not_good_for_is_said(
    browser: Browser, fleet: Fleet
) -> None:
    """An agent's token signs in, and is told what it would take."""
    async with visitor(browser, fleet.url) as (page, problems):
        problems.expect("/v1/")
        await sign_in(page, fleet.tokens["planner"])
        alert = page.get_by_role("alert").first
        await expect(alert).to_contain_text("Not allowed.")
        await expect(alert).to_contain_text("forbidden")


async def test_a_line_that_is_lost_is_shown_and_comes_back(
    browser: Browser, fleet: Fleet, admitted: BrowserContext
) -> None:
    """By itself, with what happened meanwhile."""
    async with (
        relay_to(fleet.url) as relay,
        visitor(browser, relay.url, storage_state=await admitted.storage_state()) as (
            page,
            problems,
        ),
    ):
        problems.expect("/v1/")
        standing = page.get_by_role("region", name="State of the node")
        await expect(standing).to_contain_text("Up to date")
        relay.to("cut")
        await expect(standing).to_contain_text("Updates lost")
        await expect(page.get_by_text("No answer from the node.").first).to_be_visible()
        relay.to("through")
        await expect(standing).to_contain_text("Up to date")
        await expect(page.get_by_text("No answer from the node.")).to_have_count(0)


async def test_a_node_that_is_away_is_asked_again(
    browser: Browser, fleet: Fleet, admitted: BrowserContext
) -> None:
    """503 is said, and over as soon as it is."""
    async with (
        relay_to(fleet.url) as relay,
        visitor(browser, relay.url, storage_state=await admitted.storage_state()) as (
            page,
            problems,
        ),
    ):
        problems.expect("/v1/")
        await page.get_by_text("Up to date").wait_for()
        relay.to("away")
        await page.goto("/#/policy")
        away = page.get_by_text("The node cannot do this now.")
        await expect(away.first).to_be_visible()
        relay.to("through")
        await expect(page.get_by_text("package assent.authz")).to_be_visible()
        await expect(away).to_have_count(0)


async def test_what_is_not_there_says_where_to_look(
    page: Page, problems: Problems
) -> None:
    """A message that nobody knows leads to the audit record."""
    problems.expect("/v1/messages")
    await page.goto(f"/#/message/{'0' * 32}")
    await expect(page.get_by_text("The node knows no such message.")).to_be_visible()
    await page.get_by_role("link", name="Look in the audit record").click()
    heading = page.get_by_role("heading", name="Audit", level=1)
    await expect(heading).to_be_visible()
