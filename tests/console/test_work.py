"""What an operator does in the console, and what becomes of it on the node."""

import re

import aiohttp
import pytest
from playwright.async_api import Locator, Page, expect

from tests.console.conftest import Fleet
from tests.console.nodechild import SCRIPT
from tests.console.seen import Problems

pytestmark = pytest.mark.asyncio(loop_scope="session")


def rows(page: Page, name: str) -> Locator:
    """Return the rows of a list."""
    return page.get_by_role("grid", name=name).locator(".body [role=row]")


async def asked(fleet: Fleet, path: str, agent: str = "admin") -> tuple[int, object]:
    """Ask the node itself, with an agent's token."""
    headers = {"Authorization": f"Bearer {fleet.tokens[agent]}"}
    url = f"{fleet.url}{path}"
    async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as a:
        return a.status, await a.json()


async def test_agents_are_found_sorted_and_opened(page: Page) -> None:
    """By name, by health and by any column."""
    agents = rows(page, "Agents")
    await page.get_by_label("Find an agent").fill("agent-0001")
    await expect(page.get_by_text("10 of 28 agents")).to_be_visible()
    await expect(agents.first).to_contain_text("agent-00010")
    await page.get_by_role("button", name="Agent", exact=True).click()
    await expect(agents.first).to_contain_text("agent-00019")
    await page.get_by_label("Health").select_option("slow")
    await expect(page.get_by_text("No agent matches.")).to_be_visible()
    await page.get_by_role("button", name="Clear the filter").click()
    await page.get_by_role("button", name="Denied").click()
    await expect(agents.first).to_contain_text("intern")
    await agents.first.click()
    panel = page.get_by_role("region", name="Agent intern")
    await expect(panel.get_by_text("narrow")).to_be_visible()


async def test_quarantine_takes_the_name_typed_once_more(
    page: Page, fleet: Fleet
) -> None:
    """And a reason; it is seen at once, and ended with a reason."""
    await page.goto("/#/fleet/agent-00005")
    await page.get_by_role("button", name="Quarantine", exact=True).click()
    dialog = page.get_by_role("dialog")
    order = dialog.get_by_role("button", name="Quarantine")
    await expect(order).to_be_disabled()
    await dialog.get_by_label("Reason").fill(f"it repeats itself {SCRIPT}")
    await dialog.get_by_label("to confirm").fill("agent-0000")
    await expect(order).to_be_disabled()
    await dialog.get_by_label("to confirm").fill("agent-00005")
    await order.click()
    panel = page.get_by_role("region", name="Agent agent-00005")
    await expect(panel.get_by_text("quarantined", exact=True)).to_be_visible()
    await expect(panel.get_by_text("it repeats itself <img")).to_be_visible()
    _, agent = await asked(fleet, "/v1/agents/agent-00005")
    assert isinstance(agent, dict)
    assert agent["quarantine"]["by"] == "admin"
    await panel.get_by_role("button", name="End quarantine").click()
    await dialog.get_by_label("Reason").fill("it was the network")
    await dialog.get_by_role("button", name="End quarantine").click()
    await expect(panel.get_by_text("idle", exact=True)).to_be_visible()


async def test_killing_an_agent_revokes_what_it_showed(
    page: Page, fleet: Fleet
) -> None:
    """Its token is good for nothing from then on."""
    status, _ = await asked(fleet, "/v1/overview", "globex-operator")
    assert status == 200
    await page.goto("/#/fleet/globex-operator")
    await page.get_by_role("button", name="Kill").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("its token was seen elsewhere")
    await dialog.get_by_label("to confirm").fill("globex-operator")
    await dialog.get_by_role("button", name="Kill").click()
    panel = page.get_by_role("region", name="Agent globex-operator")
    await expect(panel.get_by_text("quarantined", exact=True)).to_be_visible()
    status, _ = await asked(fleet, "/v1/overview", "globex-operator")
    assert status == 401


async def test_the_tail_follows_a_pattern_and_pauses(page: Page) -> None:
    """Paused, what is seen stands still while the count goes on."""
    await page.goto("/#/live?pattern=orders.paid")
    tail = rows(page, "What goes on")
    await expect(tail.first).to_contain_text("orders.paid")
    assert all("orders.paid" in text for text in await tail.all_inner_texts())
    await page.goto("/#/live")
    await expect(tail.nth(5)).to_be_visible()
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_text("Paused")).to_be_visible()
    before = await tail.first.inner_text()
    await expect(page.get_by_text(re.compile(r"[1-9]\d* since"))).to_be_visible()
    assert await tail.first.inner_text() == before
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_text("Following")).to_be_visible()
    await expect(tail.first).not_to_have_text(before)


async def test_the_tail_says_what_to_do_when_nothing_comes(page: Page) -> None:
    """An empty page is no dead end."""
    await page.goto("/#/live?pattern=nobody.publishes.here")
    await expect(page.get_by_text("Nothing has happened")).to_be_visible()
    await expect(page.get_by_text("assent pub")).to_be_visible()


async def test_a_message_tells_its_life_and_its_reasons(
    page: Page, fleet: Fleet
) -> None:
    """From the tail to the timeline, the body, the tree and the rules."""
    await page.goto("/#/message")
    await page.get_by_label("Message id").fill(fleet.message)
    await page.get_by_role("button", name="Show").click()
    steps = page.locator(".times")
    await expect(steps.get_by_text("acked").first).to_be_visible()
    body = page.get_by_role("region", name="Body", exact=True)
    await expect(body).to_contain_text("onerror")
    tree = page.get_by_role("navigation", name="Lineage")
    await tree.get_by_role("link", name="orders.paid").first.click()
    await expect(tree.locator("[aria-current=true]")).to_have_text("orders.paid")
    await expect(page.get_by_role("heading", name="Why allowed")).to_be_visible()


async def test_why_a_message_was_denied_is_told(page: Page, problems: Problems) -> None:
    """The reason, the rules it rests on, and what they read; it was kept nowhere."""
    problems.expect("/v1/messages/")
    await page.goto("/#/policy/decisions?allow=false&agent=intern")
    await rows(page, "Decisions of late").first.click()
    why = page.locator(".card", has_text="Why denied")
    await expect(why.get_by_text("may publish").first).to_be_visible()
    await expect(why.get_by_text("authz.rego").first).to_be_visible()
    await expect(why.get_by_text("message.subject")).to_be_visible()
    await why.get_by_text("All of the input").click()
    await expect(why.get_by_text('"payments.refund"')).to_be_visible()


async def test_what_waits_is_released_or_refused(page: Page, fleet: Fleet) -> None:
    """With a reason each, until nothing waits."""
    await page.goto("/#/approvals")
    held = page.get_by_role("article")
    await fleet.tell("hold")
    _, waiting = await asked(fleet, "/v1/approvals")
    assert isinstance(waiting, dict)
    count = waiting["total"]
    await expect(held).to_have_count(count)
    await held.first.get_by_role("button", name="Refuse").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Refuse")).to_be_disabled()
    await dialog.get_by_label("Reason").fill("not without a contract")
    await dialog.get_by_role("button", name="Refuse").click()
    await expect(page.get_by_role("status").get_by_text("denied")).to_be_visible()
    await expect(held).to_have_count(count - 1)
    await held.first.get_by_role("button", name="Release").click()
    await dialog.get_by_label("Reason").fill("agreed on the phone")
    await dialog.get_by_role("button", name="Release").click()
    await expect(dialog).to_be_hidden()
    await expect(held).to_have_count(count - 2)


async def test_a_dead_letter_is_corrected_and_sent_again(page: Page) -> None:
    """What is no JSON is not sent; what is, is."""
    await page.goto("/#/letters")
    await rows(page, "Dead letters").first.click()
    panel = page.get_by_role("region", name="Dead letter", exact=True)
    body = panel.get_by_label(re.compile("^Body"))
    await body.fill('{"what": ')
    await panel.get_by_role("button", name="Send corrected").click()
    await expect(panel.get_by_text("This is not JSON")).to_be_visible()
    await body.fill('{"what": "corrected"}')
    await panel.get_by_role("button", name="Send corrected").click()
    await expect(panel.get_by_text("accepted")).to_be_visible()


async def test_consumers_show_their_lag_and_are_taken_back(page: Page) -> None:
    """One with nobody there lags; taking back asks for the name."""
    await page.goto("/#/streams")
    mailer = rows(page, "Consumers").filter(has_text="mailer")
    await expect(mailer).to_contain_text("nobody")
    await rows(page, "Consumers").filter(has_text="billing").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Take back")).to_be_disabled()
    await dialog.get_by_label("to confirm").fill("billing")
    await dialog.get_by_role("button", name="Take back").click()
    await expect(page.get_by_text("of billing come again")).to_be_visible()
    await expect(rows(page, "Streams").first).to_contain_text("default")


async def test_policy_answers_what_if(page: Page) -> None:
    """Nothing is sent; the answer has the rules."""
    await page.goto("/#/policy/what-if?agent=intern")
    await page.get_by_label("Subject, or pattern").fill("payments.refund")
    await page.get_by_role("button", name="Ask policy").click()
    await expect(page.get_by_text("It would be denied")).to_be_visible()
    await page.get_by_label("Subject, or pattern").fill("notes.new")
    await page.get_by_role("button", name="Ask policy").click()
    await expect(page.get_by_text("It would be allowed")).to_be_visible()
    await page.get_by_label("Agent").fill("nobody")
    await page.get_by_label("Action").select_option("connect")


async def test_two_revisions_are_compared(page: Page, fleet: Fleet) -> None:
    """What a change of policy data changed is seen line by line."""
    await page.goto("/#/policy/revisions")
    await expect(page.get_by_text("Nothing to compare yet.")).to_be_visible()
    await fleet.tell("policy")
    await expect(page.locator(".diff .added").first).to_be_visible()
    await expect(page.locator(".diff", has_text="drafts.*")).to_be_visible()


async def test_the_audit_record_is_verified_and_searched(page: Page) -> None:
    """The badge says so, and a filter finds what was done."""
    await page.goto("/#/audit")
    await page.get_by_role("button", name=re.compile("^Verify")).click()
    await expect(page.get_by_text("Unbroken")).to_be_visible()
    await page.get_by_label("Event").fill("denied")
    await page.get_by_label("Agent").fill("intern")
    await page.get_by_role("button", name="Show").click()
    found = rows(page, "Audit records")
    await expect(found.first).to_contain_text("payments.refund")
    await page.get_by_label("Event").fill("accepted")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_text("No record matches here.")).to_be_visible()


async def test_older_records_are_read_page_by_page(page: Page) -> None:
    """What is shown is added to, and never asked for all at once."""
    await page.goto("/#/audit")
    await expect(page.get_by_text("200 records")).to_be_visible()
    await page.get_by_role("button", name="Older records").click()
    await expect(page.get_by_text("400 records")).to_be_visible()


async def test_components_and_their_breakers_are_listed(page: Page) -> None:
    """With what supervises them, and how the node stands."""
    await page.goto("/#/recovery")
    for name in ("audit", "policy", "store"):
        component = page.get_by_role("group", name=name)
        await expect(component).to_contain_text("breaker closed")
    await expect(page.get_by_text("100 of 100")).to_be_visible()
