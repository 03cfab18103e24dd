"""A cooldown quiets subjects for a bounded time, and only who may orders one."""

from typing import Any

import pytest

from bus import Accepted, Denied
from bus.core.errors import (
    DeniedError,
    LimitExceededError,
    MalformedMessageError,
    SubjectError,
)
from bus.core.limits import COOLDOWN_S_MAX
from tests.fakes.buses import Background, Inbox, PartsBus
from tests.fakes.busparts import ListAudit
from tests.fakes.ruling import Ruling, no, yes


async def test_a_quiet_subject_takes_nothing_until_its_time_is_over() -> None:
    """Other subjects go on; what was queued before is delivered."""
    async with PartsBus(authorizer=Ruling()) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe(">", inbox)
        planner = bus.agent("planner")
        await bus.agent("judge").cooldown("orders.>", 10, "too many refunds")
        denied = await planner.publish("orders.refund", 1)
        assert isinstance(denied, Denied)
        assert "quiet for 10 s by judge: too many refunds" in denied.reasons[0]
        assert isinstance(await planner.publish("plans.new", 2), Accepted)
        await bus.advance(9.9)
        assert isinstance(await planner.publish("orders.refund", 3), Denied)
        await bus.advance(0.2)
        assert isinstance(await planner.publish("orders.refund", 4), Accepted)
        await bus.settle()
    assert inbox.done == [2, 4]


async def test_requests_are_quieted_and_replies_are_not() -> None:
    """A reply answers what was let in before."""
    async with PartsBus(authorizer=Ruling()) as bus:

        async def answer(body: Any) -> Any:
            await bus.agent("judge").cooldown(">", 10, "stop")
            return body + 1

        bus.agent("worker").subscribe("ask", answer)
        assert await bus.agent("planner").request("ask", 1) == 2
        with pytest.raises(DeniedError, match="quiet"):
            await bus.agent("planner").request("ask", 1)


async def test_another_tenants_subjects_are_not_quieted() -> None:
    """Tenants are walls."""
    async with PartsBus(authorizer=Ruling()) as bus:
        bus.agent("spy").subscribe("a", Inbox())
        await bus.agent("judge").cooldown(">", 10, "stop")
        assert isinstance(await bus.agent("spy").publish("a", 1), Accepted)


async def test_policy_says_who_may_quiet() -> None:
    """It is asked about the pattern, and a refusal is recorded."""
    ruling, audit = Ruling(), ListAudit()
    ruling.access = lambda access: (
        no("not a judge") if access.action == "cooldown" else yes()
    )
    async with PartsBus(authorizer=ruling, audit=audit) as bus:
        bus.agent("worker").subscribe("a", Inbox())
        with pytest.raises(DeniedError, match="not a judge"):
            await bus.agent("planner").cooldown("a", 10, "mine")
        assert isinstance(await bus.agent("planner").publish("a", 1), Accepted)
    assert any(r[7].startswith("cooldown: not a judge") for r in audit.records)


@pytest.mark.parametrize(
    ("pattern", "seconds", "reason", "error"),
    [
        ("a..b", 1, "x", SubjectError),
        ("a", -1, "x", MalformedMessageError),
        ("a", "1", "x", MalformedMessageError),
        ("a", COOLDOWN_S_MAX + 1, "x", LimitExceededError),
        ("a", 1, "", MalformedMessageError),
    ],
)
async def test_a_bad_cooldown_changes_nothing(
    pattern: str, seconds: Any, reason: str, error: type[Exception]
) -> None:
    """It is bounded in time, and says why."""
    async with PartsBus(authorizer=Ruling()) as bus:
        bus.agent("worker").subscribe("a", Inbox())
        with pytest.raises(error):
            await bus.agent("judge").cooldown(pattern, seconds, reason)
        assert isinstance(await bus.agent("planner").publish("a", 1), Accepted)


async def test_one_agents_cooldowns_leave_room_for_anothers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who may quiet cannot keep others from it."""
    monkeypatch.setattr("bus.routes.COOLDOWNS_OF_AGENT_MAX", 1)
    async with PartsBus(authorizer=Ruling()) as bus:
        await bus.agent("judge").cooldown("a", 1, "x")
        with pytest.raises(LimitExceededError, match="cooldowns of judge"):
            await bus.agent("judge").cooldown("b", 1, "x")
        await bus.agent("auditor").cooldown("b", 1, "x")


async def test_who_waits_for_room_is_quieted_as_well() -> None:
    """A publish that began before does not get in after."""
    async with PartsBus(authorizer=Ruling()) as bus, Background() as background:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox, capacity=1)
        planner = bus.agent("planner")
        for number in range(2):
            await planner.publish("a", number)
            await bus.settle()
        waiting = background.run(planner.publish("a", 2, wait=30))
        await bus.settle()
        await bus.agent("judge").cooldown("a", 10, "stop")
        inbox.gate.set()
        await bus.settle()
        assert isinstance(await waiting, Denied)
        assert inbox.done == [0, 1]


async def test_how_many_cooldowns_there_are_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One whose time is over makes room."""
    monkeypatch.setattr("bus.routes.COOLDOWNS_MAX", 2)
    async with PartsBus(authorizer=Ruling()) as bus:
        judge = bus.agent("judge")
        for _ in range(3):  # the same again takes no more room
            await judge.cooldown("a", 1, "x")
        await judge.cooldown("b", 5, "x")
        with pytest.raises(LimitExceededError, match="cooldowns"):
            await judge.cooldown("c", 1, "x")
        await bus.advance(2)
        await judge.cooldown("c", 1, "x")
