"""Reload: atomic, and a decision of an older revision is made again before it counts."""

import asyncio
from typing import Any

import pytest

from bus import Accepted, Denied
from bus.core.errors import PolicyLoadError
from bus.testing import TestBus
from tests.fakes.buses import (
    Background,
    Inbox,
    at_rest,
    data,
    events,
    new_bus,
    reload,
    totals,
)


def revoke(policy: dict[str, Any], agent: str) -> None:
    """Take an agent's roles."""
    policy["agents"][agent]["roles"] = []


async def test_a_reload_changes_the_decision_of_the_next_publish() -> None:
    """And the revision in its receipt."""
    policy = data()
    async with new_bus(policy) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        planner, before = bus.agent("planner"), bus.revision
        first = await planner.publish("a", 1)
        assert isinstance(first, Accepted)
        assert first.receipt.revision == before
        revoke(policy, "critic")
        await reload(bus)
        assert bus.revision != before
        second = await planner.publish("a", 2)
        assert isinstance(second, Accepted)
        assert second.receipt.revision == bus.revision
        revoke(policy, "planner")
        await reload(bus)
        assert isinstance(await planner.publish("a", 3), Denied)
        await bus.settle()
    assert inbox.done == [1, 2]


async def test_a_bad_policy_is_refused_and_the_old_one_stays() -> None:
    """With a reason, and a record of the refusal."""
    policy = data()
    async with new_bus(policy) as bus:
        bus.agent("worker").subscribe("a", Inbox())
        before = bus.revision
        policy["agents"]["planner"]["roles"] = ["nobody-has-this"]
        with pytest.raises(PolicyLoadError, match="nobody-has-this"):
            await reload(bus)
        assert bus.revision == before
        assert isinstance(await bus.agent("planner").publish("a", 1), Accepted)
        assert "reload_refused" in await events(bus)


async def test_a_reload_of_the_same_is_not_noted() -> None:
    """The revision is the same, and so is everything kept under it."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox())
        await bus.agent("planner").publish("a", 1)
        before = bus.revision
        await reload(bus)
        assert bus.revision == before
        outcome = await bus.agent("planner").publish("a", 1)
        assert isinstance(outcome, Accepted)
        assert outcome.receipt.cached
        assert "reloaded" not in await events(bus)


async def test_a_reload_while_a_publisher_waits_decides_its_message_again() -> None:
    """What was allowed when it began to wait is denied when it would be let in."""
    policy = data()
    async with new_bus(policy) as bus, Background() as background:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox, capacity=1)
        for n in range(2):
            await bus.agent("critic").publish("a", n)
            await bus.settle()
        denied = background.run(bus.agent("planner").publish("a", 2))
        await bus.settle()
        allowed = background.run(bus.agent("critic").publish("a", 3))
        await bus.settle()
        revoke(policy, "planner")
        await reload(bus)
        inbox.gate.set()
        await bus.settle()
        assert isinstance(denied.result(), Denied)
        outcome = allowed.result()
        assert isinstance(outcome, Accepted)
        assert outcome.receipt.revision == bus.revision
        assert inbox.done == [0, 1, 3]
        assert at_rest(sub)


async def test_room_that_a_denied_publisher_was_granted_goes_to_the_next() -> None:
    """The one behind it does not wait beside a free queue until its time is over."""
    policy = data()
    gates = [Inbox(held=True), Inbox(held=True)]
    order = iter(gates)

    async def handler(body: int) -> None:
        inbox = next(order, None)
        if inbox is not None:
            await inbox.gate.wait()
        served.append(body)

    served: list[int] = []
    async with new_bus(policy) as bus, Background() as background:
        sub = bus.agent("worker").subscribe("a", handler, capacity=1)
        for n in range(2):
            await bus.agent("critic").publish("a", n)
            await bus.settle()
        denied = background.run(bus.agent("planner").publish("a", 2))
        await bus.settle()
        allowed = background.run(bus.agent("critic").publish("a", 3))
        await bus.settle()
        revoke(policy, "planner")
        await reload(bus)
        gates[
            0
        ].gate.set()  # the second message goes into the handler: one place is free
        await bus.settle()
        assert isinstance(denied.result(), Denied)
        assert isinstance(allowed.result(), Accepted)
        gates[1].gate.set()
        await bus.settle()
        assert served == [0, 1, 3]
        assert at_rest(sub)


async def test_the_obligations_of_the_new_revision_hold_for_who_waited() -> None:
    """A bound that came with the reload is kept."""
    policy = data()
    async with new_bus(policy) as bus, Background() as background:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox, capacity=1)
        for n in range(2):
            await bus.agent("critic").publish("a", n)
            await bus.settle()
        waiting = background.run(bus.agent("critic").publish("a", "x" * 100))
        await bus.settle()
        policy["roles"]["all"]["limits"] = {"body_bytes": 10}
        await reload(bus)
        inbox.gate.set()
        await bus.settle()
        assert waiting.result().code == "limit_exceeded"
        assert totals(bus).rejected == 1


async def test_an_agent_disabled_by_a_reload_may_do_nothing_more() -> None:
    """The object is still there; its messages are denied."""
    policy = data()
    async with new_bus(policy) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        policy["agents"]["planner"]["enabled"] = False
        await reload(bus)
        assert isinstance(await planner.publish("a", 1), Denied)
        assert inbox.got == []


async def test_a_subscription_that_policy_no_longer_grants_gets_nothing_more() -> None:
    """A right that was taken is gone for messages published from then on."""
    policy = data()
    async with new_bus(policy) as bus:
        revoked, kept = Inbox(), Inbox()
        bus.agent("worker").subscribe("a", revoked)
        bus.agent("critic").subscribe("a", kept)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        revoke(policy, "worker")
        await reload(bus)
        await bus.agent("planner").publish("a", 2)
        await bus.settle()
    assert kept.done == [1, 2]
    assert revoked.done == [1]


async def test_requests_under_way_are_answered_across_a_reload() -> None:
    """Who may still request keeps its inbox."""
    gate = Inbox(held=True)

    async def answer(body: int) -> int:
        await gate.gate.wait()
        return body

    policy = data()
    async with new_bus(policy) as bus, Background() as background:
        bus.agent("worker").subscribe("ask", answer)
        asked = background.run(bus.agent("planner").request("ask", 1))
        await bus.settle()
        revoke(policy, "critic")
        await reload(bus)
        gate.gate.set()
        await bus.settle()
        assert asked.result() == 1


async def test_a_right_to_name_where_replies_go_can_be_taken_while_one_waits() -> None:
    """A reload asks again for the subject of `reply_to` as well."""
    policy = data(narrow={"publish": [{"subject": "a"}, {"subject": "results"}]})
    policy["agents"]["planner"]["roles"] = ["narrow"]
    async with new_bus(policy) as bus, Background() as background:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox, capacity=1)
        for n in range(2):
            await bus.agent("critic").publish("a", n)
            await bus.settle()
        planner = bus.agent("planner")
        waiting = background.run(planner.publish("a", 2, reply_to="results"))
        await bus.settle()
        policy["roles"]["narrow"]["publish"].pop()
        await reload(bus)
        inbox.gate.set()
        await bus.settle()
        outcome = waiting.result()
        assert isinstance(outcome, Denied)
        assert "results" in outcome.reason
        assert inbox.done == [0, 1]


async def test_a_reload_while_the_record_is_full_lets_nothing_through() -> None:
    """What is revoked stays revoked, and is ended once it can be recorded."""
    policy = data()
    async with new_bus(policy) as bus:
        slow = Inbox(held=True)
        bus.agent("worker").subscribe("a", slow)
        for number in range(3):
            await bus.agent("planner").publish("a", number)
        await bus.settle()
        revoke(policy, "worker")
        bus.audit.full = True
        await reload(bus)
        slow.gate.set()
        await bus.settle()
        assert slow.done == [0]
        bus.audit.full = False
        await bus.advance(3)
        assert bus.stats().subscriptions == 0
        assert slow.got == [0]


async def test_a_reload_goes_on_when_its_caller_is_cancelled() -> None:
    """Nothing is left between two revisions."""
    policy = data()
    async with new_bus(policy) as bus, Background() as background:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        revoke(policy, "critic")
        reloading = background.run(bus.reload_policy())
        await asyncio.sleep(0)
        reloading.cancel()
        await wait_until_loaded(bus)
        assert isinstance(await bus.agent("planner").publish("a", 1), Accepted)
        await bus.settle()
        assert inbox.done == [1]


async def wait_until_loaded(bus: TestBus) -> None:
    """Wait until the reload that is under way is over."""
    await reload(bus)
