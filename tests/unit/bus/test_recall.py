"""A new revision reaches what is queued: asked again before delivery, denied or obliged."""

from typing import Any

import pytest

from bus import Accepted, Denied
from bus.core.decision import Hold
from bus.core.errors import DeniedError, PolicyUnavailableError, RemoteFaultError
from bus.core.message import Message
from bus.ports import Access, Action
from bus.subscription import Delivery
from tests.fakes.buses import (
    Background,
    Inbox,
    PartsBus,
    data,
    events,
    new_bus,
    reload,
    totals,
)
from tests.fakes.busparts import ListAudit
from tests.fakes.ruling import Ruling, no, yes


class Slow:
    """A handler that lets go of one delivery at a time, and keeps what it got."""

    def __init__(self) -> None:
        self.inbox = Inbox(held=True)
        self.messages: list[Message] = []

    async def __call__(self, body: Any, delivery: Delivery) -> None:
        """Keep the message."""
        self.messages.append(delivery.message)
        await self.inbox(body, delivery)


async def reload_ruling(bus: PartsBus, ruling: Ruling, revision: str) -> None:
    """Put another revision in force, as `Bus.reload_policy` does."""
    ruling.revision = revision
    bus._host.terms.revision = revision  # noqa: SLF001 - what the composition root does
    await bus._host.roster.recheck()  # noqa: SLF001 - likewise, it is inside


async def queued(count: int = 3) -> tuple[PartsBus, Ruling, ListAudit, Slow]:
    """Return a running bus with one message in hand and the others in the queue."""
    ruling, audit, slow = Ruling(), ListAudit(), Slow()
    bus = PartsBus(authorizer=ruling, audit=audit)
    await bus.__aenter__()
    bus.agent("worker").subscribe("a", slow)
    for number in range(count):
        assert isinstance(await bus.agent("planner").publish("a", number), Accepted)
    await bus.settle()
    assert slow.inbox.got == [0]
    return bus, ruling, audit, slow


async def test_what_is_no_longer_allowed_ends_as_denied_with_both_revisions() -> None:
    """What a handler has already goes on; what waits does not reach it."""
    bus, ruling, audit, slow = await queued()
    ruling.message = lambda *_: no("not any more", "r2")
    await reload_ruling(bus, ruling, "r2")
    slow.inbox.gate.set()
    await bus.settle()
    assert slow.inbox.done == [0]
    counts = totals(bus)
    assert (counts.accepted, counts.delivered, counts.recalled) == (3, 1, 2)
    await bus.close()
    recalled = [r for r in audit.records if r[0] == "recalled"]
    assert len(recalled) == 2
    for record in recalled:
        assert record[6] == "r2"
        assert "denied under revision r2, accepted under r1: not any more" in record[7]


async def test_what_is_still_allowed_is_delivered_under_the_new_revision() -> None:
    """Its decision is the new one; policy was asked once for each."""
    bus, ruling, _, slow = await queued()
    ruling.asked.clear()
    await reload_ruling(bus, ruling, "r2")
    slow.inbox.gate.set()
    await bus.settle()
    await bus.close()
    assert slow.inbox.done == [0, 1, 2]
    assert ruling.asked == [("publish", "a")] * 2


async def test_the_same_action_is_asked_about_again() -> None:
    """A request is asked about as a request."""
    ruling, slow = Ruling(), Slow()
    ruling.message = lambda action, _: yes(ruling.revision, action=action)
    async with PartsBus(authorizer=ruling) as bus, Background() as background:
        bus.agent("worker").subscribe("a", slow)
        planner = bus.agent("planner")
        asking = [
            background.run(planner.request("a", number, timeout=50))
            for number in range(2)
        ]
        await bus.settle()
        ruling.asked.clear()
        await reload_ruling(bus, ruling, "r2")
        slow.inbox.gate.set()
        await bus.settle()
        assert ("request", "a") in ruling.asked
        assert ("publish", "a") not in ruling.asked
        assert [await task for task in asking] == [None, None]


async def test_a_requester_hears_that_its_request_was_recalled() -> None:
    """It does not wait for its time-out."""
    ruling, slow = Ruling(), Slow()
    async with PartsBus(authorizer=ruling) as bus, Background() as background:
        bus.agent("worker").subscribe("a", slow)
        first = background.run(bus.agent("planner").request("a", 0, timeout=50))
        waiting = background.run(bus.agent("planner").request("a", 1, timeout=50))
        await bus.settle()

        def decide(action: Action, message: Message) -> Any:
            del message
            return no("no", "r2") if action != "reply" else yes("r2")

        ruling.message = decide
        await reload_ruling(bus, ruling, "r2")
        slow.inbox.gate.set()
        await bus.settle()
        assert isinstance(await waiting, RemoteFaultError)
        assert await first is None


async def test_new_obligations_are_carried_out_before_delivery() -> None:
    """Headers that may not be seen any more are not, and the stamp holds."""
    ruling, slow = Ruling(), Slow()
    async with PartsBus(authorizer=ruling) as bus:
        bus.agent("worker").subscribe("a", slow)
        for number in range(2):
            await bus.agent("planner").publish("a", number, headers={"secret": "x"})
        await bus.settle()
        ruling.message = lambda *_: yes("r2", redact_headers=frozenset({"secret"}))
        await reload_ruling(bus, ruling, "r2")
        slow.inbox.gate.set()
        await bus.settle()
        assert slow.inbox.done == [0, 1]
    first, second = slow.messages
    assert first.headers == {"secret": "x"}
    assert second.headers == {}
    assert second.revision == "r2"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"body_bytes_max": 0}, "body bytes"),
        ({"hold": Hold("look", 1_000)}, "would be held"),
    ],
)
async def test_what_would_not_go_through_now_is_recalled(
    changes: dict[str, Any], why: str
) -> None:
    """Past a new bound, or to be held by now."""
    bus, ruling, audit, slow = await queued(2)
    ruling.message = lambda *_: yes("r2", **changes)
    await reload_ruling(bus, ruling, "r2")
    slow.inbox.gate.set()
    await bus.settle()
    await bus.close()
    assert slow.inbox.done == [0]
    assert any(why in r[7] for r in audit.records if r[0] == "recalled")


async def test_a_place_for_replies_that_is_not_allowed_any_more_recalls() -> None:
    """Who answers may not be used to write there."""
    ruling, audit, slow = Ruling(), ListAudit(), Slow()
    async with PartsBus(authorizer=ruling, audit=audit) as bus:
        bus.agent("worker").subscribe("a", slow)
        for number in range(2):
            await bus.agent("planner").publish("a", number, reply_to="there")
        await bus.settle()

        def decide(action: Action, message: Message) -> Any:
            del action
            return no("not there", "r2") if message.subject == "there" else yes("r2")

        ruling.message = decide
        await reload_ruling(bus, ruling, "r2")
        slow.inbox.gate.set()
        await bus.settle()
        assert slow.inbox.got == [0]
    assert any("not there" in r[7] for r in audit.records if r[0] == "recalled")


async def test_a_policy_that_cannot_be_asked_loses_nothing() -> None:
    """What is queued waits until it can be, and then is delivered."""
    bus, ruling, _, slow = await queued()
    ruling.message = lambda *_: no("gone", "r2", fault="unavailable")
    await reload_ruling(bus, ruling, "r2")
    slow.inbox.gate.set()
    await bus.advance(5)
    assert slow.inbox.done == [0]
    assert totals(bus).recalled == 0
    ruling.message = lambda *_: yes("r2")
    await bus.advance(2)
    assert slow.inbox.done == [0, 1, 2]
    await bus.close()


async def test_a_message_that_expires_while_it_waits_is_not_delivered() -> None:
    """Nor one whose time a new obligation has ended."""
    ruling, slow = Ruling(), Slow()
    async with PartsBus(authorizer=ruling) as bus:
        bus.agent("worker").subscribe("a", slow)
        planner = bus.agent("planner")
        for number, ttl in enumerate((60, 3, 60)):
            await planner.publish("a", number, ttl=ttl)
        await bus.settle()

        def decide(action: Action, message: Message) -> Any:
            del action
            short = message.body == b"\x02"
            return yes("r2", ttl_ns=1 if short else None)

        ruling.message = lambda *_: no("gone", "r2", fault="unavailable")
        await reload_ruling(bus, ruling, "r2")
        slow.inbox.gate.set()
        await bus.advance(5)
        ruling.message = decide
        await bus.advance(5)
        assert slow.inbox.done == [0]
        assert totals(bus).expired == 2


async def test_a_message_that_the_engine_fails_on_again_and_again_is_denied() -> None:
    """It does not keep its worker for ever."""
    bus, ruling, audit, slow = await queued(2)
    ruling.message = lambda *_: no("too slow", "r2", fault="deadline")
    await reload_ruling(bus, ruling, "r2")
    slow.inbox.gate.set()
    await bus.advance(60)
    assert totals(bus).recalled == 1
    assert any("too slow" in r[7] for r in audit.records if r[0] == "recalled")
    await bus.close()


async def test_an_engine_that_cannot_be_asked_ends_no_subscription() -> None:
    """It is empty until policy answers, and nothing of what waits is lost."""
    bus, ruling, _, slow = await queued()
    ruling.access = lambda _: no("gone", "r2", fault="unavailable")
    await reload_ruling(bus, ruling, "r2")
    slow.inbox.gate.set()
    await bus.advance(3)
    assert bus.stats().subscriptions == 1
    assert slow.inbox.done == [0]
    ruling.access = lambda _: yes("r2")
    await bus.advance(2)
    assert slow.inbox.done == [0, 1, 2]
    assert totals(bus).dead == 0
    await bus.close()


async def test_closing_while_policy_cannot_be_asked_keeps_account() -> None:
    """Everything ends, as a dead letter."""
    bus, ruling, _, slow = await queued()
    ruling.message = lambda *_: no("gone", "r2", fault="unavailable")
    await reload_ruling(bus, ruling, "r2")
    slow.inbox.gate.set()
    await bus.settle()
    await bus.close(drain=0)
    counts = totals(bus)
    assert counts.accepted == 3 == counts.delivered + counts.dead


async def test_nothing_is_handed_over_before_policy_was_asked_about_the_taker() -> None:
    """A subscription is empty from the change until policy has let it in again."""
    bus, ruling, _, slow = await queued()
    ruling.gate.clear()
    async with Background() as background:
        rechecking = background.run(reload_ruling(bus, ruling, "r2"))
        await bus.settle()
        slow.inbox.gate.set()
        await bus.settle()
        assert slow.inbox.done == [0]
        ruling.gate.set()
        assert await rechecking is None
        await bus.settle()
    assert slow.inbox.done == [0, 1, 2]
    await bus.close()


async def test_a_revoked_agent_is_cut_off_and_what_it_queued_is_recalled() -> None:
    """Its subscriptions end, its handle is denied, its messages reach nobody."""
    policy = data()
    async with new_bus(policy) as bus:
        slow, own = Inbox(held=True), Inbox()
        bus.agent("worker").subscribe("a", slow)
        critic = bus.agent("critic")
        critic.subscribe("b", own)
        await bus.agent("planner").publish("a", 0)
        await bus.settle()
        assert isinstance(await critic.publish("a", 1), Accepted)
        policy["agents"]["critic"]["enabled"] = False
        await reload(bus)
        slow.gate.set()
        await bus.settle()
        assert slow.done == [0]
        assert totals(bus).recalled == 1
        assert bus.stats().subscriptions == 1
        assert isinstance(await critic.publish("a", 2), Denied)
        assert "recalled" in await events(bus)


class TestPending:
    """Where policy must be waited for, nothing is let in before it has answered."""

    async def test_a_subscription_counts_once_policy_has_let_it_in(self) -> None:
        """Who wants to know waits for it."""
        ruling = Ruling(later=True)
        async with PartsBus(authorizer=ruling) as bus:
            inbox = Inbox()
            ruling.gate.clear()
            sub = bus.agent("worker").subscribe("a", inbox)
            await bus.settle()
            assert bus.stats().subscriptions == 0
            ruling.gate.set()
            await sub.ready()
            assert bus.stats().subscriptions == 1
            await bus.agent("planner").publish("a", 1)
            await bus.settle()
            assert inbox.done == [1]

    async def test_a_subscription_that_is_denied_says_so_and_receives_nothing(
        self,
    ) -> None:
        """And the refusal is recorded."""
        ruling, audit = Ruling(later=True), ListAudit()
        ruling.access = lambda access: (
            no("not you") if access.action == "subscribe" else yes()
        )
        async with PartsBus(authorizer=ruling, audit=audit) as bus:
            sub = bus.agent("worker").subscribe("a", Inbox())
            with pytest.raises(DeniedError, match="not you"):
                await sub.ready()
            assert bus.stats().subscriptions == 0
        assert any("not you" in r[7] for r in audit.records)

    async def test_what_was_subscribed_before_the_start_is_asked_about_at_the_start(
        self,
    ) -> None:
        """A denial stops the start."""
        ruling = Ruling(later=True)
        bus = PartsBus(authorizer=ruling)
        bus.agent("worker").subscribe("a", Inbox())
        async with bus:
            assert bus.stats().subscriptions == 1
        ruling.access = lambda _: no("not you")
        other = PartsBus(authorizer=ruling)
        other.agent("worker").subscribe("a", Inbox())
        with pytest.raises(DeniedError, match="not you"):
            await other.__aenter__()
        assert not other.running

    async def test_an_agents_first_call_waits_for_policy_to_let_it_connect(
        self,
    ) -> None:
        """Once; whoever is not let in is denied."""
        ruling = Ruling(later=True)
        asked: list[Access] = []

        def access(question: Access) -> Any:
            asked.append(question)
            return no("not spy") if question.sender == "intruder" else yes()

        ruling.access = access
        async with PartsBus(authorizer=ruling) as bus:
            sub = bus.agent("worker").subscribe("a", Inbox())
            await sub.ready()
            planner = bus.agent("planner")
            for number in range(2):
                assert isinstance(await planner.publish("a", number), Accepted)
            connects = [a for a in asked if a == Access("connect", "planner", "acme")]
            assert len(connects) == 1
            denied = await bus.agent("intruder").publish("a", 1)
            assert isinstance(denied, Denied)
            with pytest.raises(DeniedError):
                await bus.agent("intruder").publish_many([("a", 1)])
            with pytest.raises(DeniedError):
                await bus.agent("intruder").request("a", 1)

    async def test_unsubscribing_what_is_not_let_in_yet_ends_it(self) -> None:
        """Policy's answer comes too late."""
        ruling = Ruling(later=True)
        async with PartsBus(authorizer=ruling) as bus:
            ruling.gate.clear()
            worker = bus.agent("worker")
            sub = worker.subscribe("a", Inbox())
            assert await worker.unsubscribe(sub) == 0
            ruling.gate.set()
            await bus.settle()
            assert bus.stats().subscriptions == 0


class Stalling(Ruling):
    """Decides under a log that has no room while `stalled`."""

    stalled = False

    async def decide(self, action: Action, message: Message) -> Any:
        """Raise while the log is stalled."""
        if self.stalled:
            raise PolicyUnavailableError("the decision log has no room")
        return await super().decide(action, message)

    async def admit(self, access: Access) -> Any:
        """Likewise."""
        if self.stalled:
            raise PolicyUnavailableError("the decision log has no room")
        return await super().admit(access)


async def test_a_log_that_stalls_during_a_reload_loses_nothing() -> None:
    """Neither a subscription nor a message; both go on once there is room."""
    ruling, slow = Stalling(), Slow()
    async with PartsBus(authorizer=ruling) as bus:
        bus.agent("worker").subscribe("a", slow)
        for number in range(3):
            await bus.agent("planner").publish("a", number)
        await bus.settle()
        ruling.stalled = True
        await reload_ruling(bus, ruling, "r2")
        slow.inbox.gate.set()
        await bus.advance(5)
        assert slow.inbox.done == [0]
        ruling.stalled = False
        await bus.advance(5)
        assert slow.inbox.done == [0, 1, 2]
        counts = totals(bus)
        assert (counts.refused, counts.dead, counts.recalled) == (0, 0, 0)


async def test_an_agent_that_may_not_connect_any_more_does_nothing() -> None:
    """Its handle is closed and its subscriptions end, whatever else it may do."""
    ruling = Ruling()
    async with PartsBus(authorizer=ruling) as bus:
        inbox = Inbox()
        worker, planner = bus.agent("worker"), bus.agent("planner")
        worker.subscribe("a", inbox)
        assert isinstance(await planner.publish("a", 1), Accepted)
        await bus.settle()
        ruling.access = lambda access: (
            no("not you", "r2")
            if access.action == "connect" and access.sender == "worker"
            else yes("r2")
        )
        ruling.revision = "r2"
        bus.forget_changed()
        await reload_ruling(bus, ruling, "r2")
        assert bus.stats().subscriptions == 0
        assert isinstance(await worker.publish("b", 1), Denied)
        with pytest.raises(DeniedError):
            worker.subscribe("b", inbox)
        failed = await planner.publish("a", 2)
        assert not isinstance(failed, Accepted)
    assert inbox.done == [1]
