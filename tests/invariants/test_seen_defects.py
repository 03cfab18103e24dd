"""Defects that were seen in an existing bus of this kind, each as a test of this one."""

import pytest

from bus import Accepted, Denied, Failed, Message
from bus.core.errors import (
    BusNotStartedError,
    NoRespondersError,
    ProcessingError,
    UnknownAgentError,
)
from bus.core.limits import OVERTAKES_MAX
from bus.core.message import Priority
from bus.ports import Access
from bus.subscription import Delivery
from tests.fakes.buses import Inbox, PartsBus, data, new_bus, tamper, totals, validator
from tests.fakes.busparts import Stage, tapped


async def test_seen_constitution_hash_is_a_public_constant() -> None:
    """Knowing the hash is not enough: without the secret key there is no stamp."""
    kept: list[Message] = []
    hand = tapped(lambda message, _: kept.append(message))
    async with PartsBus(hand=hand) as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 0)
        await bus.settle()
        outcome = await bus.agent("planner").publish("a", 1)
        assert isinstance(outcome, Accepted)
        forged = kept[1]
        assert forged.constitution == "cdd01ef066bc6cf2"
        (queued,) = sub.clear()
        tamper(forged, body=b"\x05")
        validator().seal(forged)  # the right hash and a stamp, under another key
        sub.put(queued.message, queued.decision)
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0]
        assert totals(bus).refused == 1


async def test_seen_body_is_not_covered() -> None:
    """A changed body is refused at delivery."""
    async with PartsBus() as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox)
        for n in range(2):
            await bus.agent("planner").publish("a", n)
            await bus.settle()
        (queued,) = sub.clear()
        tamper(queued.message, body=b"\x07")
        sub.put(queued.message, queued.decision)
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0]


async def test_seen_incoming_hash_is_ignored() -> None:
    """A message under another constitution is refused, and says which."""
    async with PartsBus() as bus:
        inbox = Inbox(held=True)
        sub = bus.agent("worker").subscribe("a", inbox)
        for n in range(2):
            await bus.agent("planner").publish("a", n)
            await bus.settle()
        (queued,) = sub.clear()
        tamper(queued.message, constitution="0123456789abcdef")
        sub.put(queued.message, queued.decision)
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0]
        (refused,) = (r for r in bus.audit.records if r[0] == "refused")
        assert "hash_mismatch" in refused[7]


async def test_seen_any_caller_pops_any_message() -> None:
    """Each subscription has its own copy; taking one leaves the others theirs."""
    async with new_bus() as bus:
        inboxes = {name: Inbox() for name in ("worker", "critic", "spy")}
        for name, inbox in inboxes.items():
            bus.agent(name).subscribe("a", inbox)
        await bus.agent("planner").publish_many([("a", n) for n in range(10)])
        await bus.settle()
    assert inboxes["worker"].done == inboxes["critic"].done == list(range(10))
    assert inboxes["spy"].got == []


async def test_seen_sender_is_spoofed() -> None:
    """The sender in the delivery is the handle's, whatever the body and headers claim."""
    senders: list[tuple[str, str]] = []

    async def handler(delivery: Delivery) -> None:
        senders.append((delivery.message.sender, delivery.message.tenant))

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish(
            "a",
            {"from_agent": "critic", "sender": "critic"},
            headers={"from-agent": "critic", "x-tenant": "globex"},
        )
        await bus.settle()
    assert senders == [("planner", "acme")]


async def test_seen_agent_id_is_taken_over() -> None:
    """Naming an agent again gives the same one, with the tenant policy says."""
    async with new_bus() as bus:
        assert bus.agent("spy") is bus.agent("spy")
        assert bus.agent("spy").tenant == "globex"
        with pytest.raises(UnknownAgentError):
            bus.agent("planner2")


async def test_seen_priorities_are_ignored() -> None:
    """Higher goes first."""
    async with new_bus() as bus:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", -1)
        await bus.settle()
        for priority in (Priority.LOW, Priority.CRITICAL, Priority.NORMAL):
            await bus.agent("planner").publish("a", int(priority), priority=priority)
        inbox.gate.set()
        await bus.settle()
    assert inbox.done == [-1, 3, 1, 0]


async def test_seen_low_priority_starves() -> None:
    """It is overtaken at most a stated number of times."""
    async with new_bus() as bus:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        await planner.publish("a", "first")
        await bus.settle()
        await planner.publish("a", "low", priority=0)
        for n in range(2 * OVERTAKES_MAX):
            await planner.publish("a", n, priority=2)
        inbox.gate.set()
        for _ in range(5):
            await bus.settle()
    assert inbox.done.index("low") <= 1 + OVERTAKES_MAX


async def test_seen_expiry_is_never_read() -> None:
    """An expired message is not delivered, is counted, and ends as expired."""
    async with PartsBus() as bus:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 0)
        await bus.settle()
        await bus.agent("planner").publish("a", 1, ttl=1.0)
        await bus.advance(1.0)
        inbox.gate.set()
        await bus.settle()
        assert inbox.done == [0]
        assert totals(bus).expired == 1
        assert bus.audit.events().count("expired") == 1


async def test_seen_unknown_recipient_is_accepted() -> None:
    """Nobody there is `no_responders`, for a publish and for a request."""
    async with new_bus() as bus:
        outcome = await bus.agent("planner").publish("nobody", 1)
        assert isinstance(outcome, Failed)
        assert outcome.code == "no_responders"
        with pytest.raises(NoRespondersError):
            await bus.agent("planner").request("nobody", 1)


async def test_seen_works_before_start() -> None:
    """BusNotStartedError."""
    bus = new_bus()
    with pytest.raises(BusNotStartedError):
        await bus.agent("planner").publish("a", 1)


async def test_seen_works_after_stop() -> None:
    """BusNotStartedError."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox())
    with pytest.raises(BusNotStartedError):
        await bus.agent("planner").publish("a", 1)


async def test_seen_processor_crash_becomes_valid() -> None:
    """A crash is Failed with nothing delivered."""

    def crash(_: Message) -> Message:
        raise ZeroDivisionError

    async with PartsBus(stages=[(">", Stage(crash))]) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        outcome = await bus.agent("planner").publish("a", 1)
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, ProcessingError)
        await bus.settle()
        assert inbox.got == []


async def test_seen_cache_hit_skips_handlers_and_metering() -> None:
    """Only the decision is cached; handlers, meter, stages and record run each time."""
    ran: list[Message] = []

    def note(message: Message) -> Message:
        ran.append(message)
        return message

    async with PartsBus(stages=[(">", Stage(note))]) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        outcomes = [await bus.agent("planner").publish("a", "same") for _ in range(5)]
        await bus.settle()
        assert [o.unwrap().cached for o in outcomes] == [False] + [True] * 4
        assert len(inbox.done) == len(ran) == bus.stats().meter.sent == 5
        assert bus.audit.events() == ["accepted"] * 5 + ["delivered"] * 5


async def test_seen_cache_is_shared_between_tenants() -> None:
    """The same question of another tenant is another question."""
    policy = data(narrow={"publish": [{"subject": "a"}], "subscribe": [">"]})
    policy["agents"]["other"] = {"tenant": "globex", "roles": []}
    async with new_bus(policy) as bus:
        bus.agent("intern").subscribe("a", Inbox())
        bus.agent("spy").subscribe("a", Inbox())
        assert isinstance(await bus.agent("intern").publish("a", 1), Accepted)
        assert isinstance(await bus.agent("other").publish("a", 1), Denied)


async def test_seen_composite_turns_a_deny_into_an_allow() -> None:
    """Nothing is asked after a deny: no stage, no strategy, no second try."""
    met: list[Message] = []
    async with PartsBus(stages=[(">", Stage(met.append))]) as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe(">", inbox)
        for _ in range(3):
            assert isinstance(await bus.agent("intern").publish("secret", 1), Denied)
        await bus.settle()
        assert inbox.got == met == []
        assert totals(bus).denied == 3


async def test_seen_cache_key_contains_the_time() -> None:
    """Equal questions at different times are one entry: 999 hits of 1,000."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox())
        planner, before = bus.agent("planner"), bus.stats().decisions
        for n in range(1_000):
            await planner.publish("a", n)
            if n % 100 == 0:
                await bus.advance(0.1)
        after = bus.stats().decisions
        assert after.hits - before.hits == 999
        assert after.misses - before.misses == 1
        assert after.size - before.size == 1


async def test_seen_missing_method_allows_everything() -> None:
    """An authorizer that lacks what is asked of it lets nothing through."""

    class Lacking:
        revision = "r1"

        def admit(self, access: Access) -> None:
            del access

    with pytest.raises(AttributeError):
        PartsBus(authorizer=Lacking())


async def test_seen_metering_loses_events() -> None:
    """Sent = metered + dropped + pending while running, and exactly after the stop."""
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox, capacity=1_000)
        for round_ in range(5):
            items: list[tuple[str, object]] = [("a", n) for n in range(400)]
            await bus.agent("planner").publish_many(items)
            await bus.advance(0.3 * round_)
            meter = bus.stats().meter
            assert meter.sent == 400 * (round_ + 1)
            assert meter.sent == meter.metered + meter.dropped + meter.pending
    meter = bus.stats().meter
    assert (meter.sent, meter.metered, meter.dropped) == (2_000, 2_000, 0)
    assert len(inbox.done) == 2_000
