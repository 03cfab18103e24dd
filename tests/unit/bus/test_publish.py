"""What a publish ends as, and that every ending is a value."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from bus import Accepted, Denied, Failed, Rejected
from bus.core.errors import (
    BusNotStartedError,
    DeniedError,
    NoRespondersError,
    UsageError,
)
from bus.core.limits import PAYLOAD_BYTES_MAX
from bus.subscription import Delivery
from tests.fakes.buses import Background, Inbox, codes, new_bus, totals


async def test_an_accepted_message_has_a_receipt_and_is_delivered() -> None:
    """The receipt names the message, the decision, the revision and the takers."""
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("tasks.*", inbox)
        bus.agent("critic").subscribe(">", inbox)
        outcome = await bus.agent("planner").publish("tasks.new", {"file": "a.py"})
        assert isinstance(outcome, Accepted)
        receipt = outcome.unwrap()
        assert receipt.deliveries == 2
        assert receipt.message_id == receipt.decision_id == outcome.id.hex()
        assert receipt.revision == bus.revision
        await bus.settle()
    assert inbox.done == [{"file": "a.py"}] * 2


async def test_a_deny_says_why_and_delivers_nothing() -> None:
    """Denied is a value with reasons; unwrapping raises them."""
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe(">", inbox)
        outcome = await bus.agent("intern").publish("payments.out", 1)
        assert isinstance(outcome, Denied)
        assert "payments.out" in outcome.reasons[0]
        with pytest.raises(DeniedError, match="intern"):
            outcome.unwrap()
        await bus.settle()
        assert totals(bus).denied == 1
    assert inbox.got == []


async def test_a_type_outside_the_grant_is_denied() -> None:
    """A role that may send events may not send commands."""
    async with new_bus() as bus:
        intern = bus.agent("intern")
        bus.agent("worker").subscribe("notes.*", Inbox())
        assert isinstance(await intern.publish("notes.a", 1), Accepted)
        assert isinstance(await intern.publish("notes.a", 1, type="command"), Denied)


async def test_nobody_subscribes_means_no_responders() -> None:
    """A message without takers is not accepted and kept for nobody."""
    async with new_bus() as bus:
        outcome = await bus.agent("planner").publish("tasks.new", 1)
        assert isinstance(outcome, Failed)
        assert outcome.code == "no_responders"
        with pytest.raises(NoRespondersError):
            outcome.unwrap()


async def test_a_body_of_the_most_bytes_is_accepted() -> None:
    """The bound itself is inside."""
    async with new_bus() as bus:
        sizes: list[int] = []

        async def handler(body: bytes) -> None:
            sizes.append(len(body))

        bus.agent("worker").subscribe("a", handler)
        outcome = await bus.agent("planner").publish("a", bytes(PAYLOAD_BYTES_MAX))
        await bus.settle()
        assert isinstance(outcome, Accepted)
    assert sizes == [PAYLOAD_BYTES_MAX]


async def test_what_the_publisher_may_set_arrives_as_set() -> None:
    """Type, priority, headers, ttl and claims are carried."""
    got: list[Delivery] = []

    async def handler(delivery: Delivery) -> None:
        got.append(delivery)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        headers = {"trace": "00-ab", "note": "Grüße"}
        outcome = await bus.agent("planner").publish(
            "a",
            {"n": 1},
            type="command",
            priority=3,
            headers=headers,
            ttl=5.0,
            correlation="c-1",
            causation="c-0",
        )
        headers["trace"] = "changed later"
        assert isinstance(outcome, Accepted)
        await bus.settle()
        message = got[0].message
        now = bus.clock.now_ns()
    assert (message.type, message.priority) == ("command", 3)
    assert message.headers == {"trace": "00-ab", "note": "Grüße"}
    assert message.expires_ns == now + 5_000_000_000
    assert (message.correlation, message.causation) == ("c-1", "c-0")
    assert message.id == outcome.id


async def test_publish_many_returns_outcomes_in_order() -> None:
    """One outcome for each item, in the order of the items."""
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("notes.*", inbox)
        items: list[tuple[str, object]] = [
            ("notes.a", 1),
            ("other", 2),
            ("bad subject", 3),
            ("notes.b", object()),
            ("notes.c", 5),
        ]
        outcomes = await bus.agent("intern").publish_many(items)
        await bus.settle()
    assert codes(outcomes) == ["Accepted", "Denied", "Rejected", "Rejected", "Accepted"]
    assert inbox.done == [1, 5]


async def test_publish_many_takes_a_type_and_a_priority_for_all() -> None:
    """A wrong one rejects every item."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox())
        planner = bus.agent("planner")
        fine = await planner.publish_many([("a", 1)], type="command", priority=2)
        assert codes(fine) == ["Accepted"]
        wrong = await planner.publish_many([("a", 1), ("a", 2)], type="telegram")
        assert codes(wrong) == ["Rejected", "Rejected"]


async def test_publish_many_stops_when_the_bus_does() -> None:
    """Items after the stop raise; those before it have been accepted."""
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        await planner.publish("a", 1)
        await bus.close()
        with pytest.raises(BusNotStartedError):
            await planner.publish_many([("a", 2)])
    assert inbox.done == [1]


async def test_a_broadcast_reaches_all_of_the_tenant_but_the_sender() -> None:
    """Every subscription of others gets a copy, queue groups included."""
    async with new_bus() as bus:
        inboxes = {name: Inbox() for name in ("planner", "critic", "worker", "spy")}
        for name, inbox in inboxes.items():
            bus.agent(name).subscribe("news.*", inbox, queue="readers")
        outcome = await bus.agent("planner").broadcast("news.today", "hello")
        assert isinstance(outcome, Accepted)
        assert outcome.deliveries == 2
        await bus.settle()
    got = {name: inbox.done for name, inbox in inboxes.items()}
    assert got == {"planner": [], "critic": ["hello"], "worker": ["hello"], "spy": []}


async def test_a_broadcast_reaches_each_of_an_agents_subscriptions_once() -> None:
    """Two subscriptions of one agent to one pattern are two."""
    async with new_bus() as bus:
        first, second = Inbox(), Inbox()
        bus.agent("worker").subscribe("news", first)
        bus.agent("worker").subscribe("news", second)
        await bus.agent("planner").broadcast("news", 1)
        await bus.settle()
    assert (first.done, second.done) == ([1], [1])


async def test_a_broadcast_that_only_the_sender_hears_has_no_responders() -> None:
    """The sender's own subscriptions do not count."""
    async with new_bus() as bus:
        planner = bus.agent("planner")
        planner.subscribe("news", Inbox())
        outcome = await planner.broadcast("news", 1)
        assert isinstance(outcome, Failed)
        assert outcome.code == "no_responders"
        rejected = await planner.broadcast("news", object())
        assert isinstance(rejected, Rejected)


async def test_a_typed_body_is_decoded_to_the_handlers_type() -> None:
    """The handler gets what it asks for, not a dictionary."""
    got: list[object] = []

    async def handler(task: Task) -> None:
        got.append(task)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", Task(file="x.py", lines=3))
        await bus.agent("planner").publish("a", {"file": "y.py", "lines": 4})
        await bus.settle()
    assert got == [Task(file="x.py", lines=3), Task(file="y.py", lines=4)]


async def test_publishing_twice_at_once_keeps_the_order_of_the_calls() -> None:
    """FIFO per sender also when nobody waits between the calls."""
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        async with asyncio.TaskGroup() as tasks:
            for n in range(50):
                tasks.create_task(planner.publish("a", n))
        await bus.settle()
    assert inbox.done == list(range(50))


class Task(msgspec.Struct):
    """A body with a type."""

    file: str
    lines: int


async def test_publish_many_says_of_each_item_what_is_wrong_with_it() -> None:
    """What is no pair is Rejected in its place; the others are published."""
    odd: list[Any] = [("a", 1), ("a",), 7, None, ("a", 1, 2), ("a", 2)]
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        outcomes = await bus.agent("planner").publish_many(odd)
        assert codes(outcomes) == ["Accepted", *["Rejected"] * 4, "Accepted"]
        await bus.settle()
        assert inbox.done == [1, 2]
        assert totals(bus).rejected == 4


async def test_publish_many_that_a_close_overtakes_loses_no_outcome() -> None:
    """What was accepted is told, and what came too late is Failed."""
    async with new_bus() as bus, Background() as background:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox, capacity=1)
        items: list[tuple[str, object]] = [("a", n) for n in range(6)]
        task = background.run(bus.agent("planner").publish_many(items))
        await bus.settle()
        await bus.close(drain=0)
        await bus.settle()
        outcomes = task.result()
        assert len(outcomes) == 6
        kinds = codes(outcomes)
        assert kinds == sorted(kinds)  # Accepted first, then Failed, nothing else
        assert set(kinds) == {"Accepted", "Failed"}
        assert totals(bus).dead == kinds.count("Accepted")


async def test_bytes_may_say_what_they_are() -> None:
    """A content type of the publisher's own, where the body is bytes."""
    got: list[Any] = []

    async def handler(body: dict[str, int]) -> None:
        got.append(body)

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        planner, kind = bus.agent("planner"), "application/json"
        await planner.publish("a", b'{"n": 1}', content_type=kind)
        odd = await planner.publish("a", {"n": 1}, content_type=kind)
        assert isinstance(odd, Rejected)
        await bus.settle()
    assert got == [{"n": 1}]


async def test_publish_many_says_of_each_item_what_became_of_it() -> None:
    """What is no pair, or cannot be sent, is rejected; the others go their way."""
    items: list[Any] = [("a", 1), 7, ("a b", 1), ("a", object()), ("a", 2)]
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        outcomes = await bus.agent("planner").publish_many(items, headers={"x": "1"})
        await bus.settle()
        assert [getattr(o, "code", "") for o in outcomes] == [
            "",
            "malformed",
            "bad_subject",
            "bad_body",
            "",
        ]
        assert inbox.done == [1, 2]


async def test_publish_many_on_a_bus_that_closes_tells_of_the_rest() -> None:
    """The outcomes so far are not lost, and the rest was not let in."""
    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)

        def items() -> Iterator[tuple[str, object]]:
            for number in range(3):
                yield "a", number
            bus._host.open = False  # noqa: SLF001 - as if it closed at this moment
            yield "a", 3
            bus._host.open = True  # noqa: SLF001 - and was open again

        outcomes = await bus.agent("planner").publish_many(items())
        await bus.settle()
        assert [getattr(o, "code", "") for o in outcomes] == ["", "", "", "unavailable"]
        assert inbox.done == [0, 1, 2]


async def test_nobody_ends_the_subscription_of_another() -> None:
    """Only who subscribed may unsubscribe."""
    async with new_bus() as bus:
        sub = bus.agent("worker").subscribe("a", Inbox())
        with pytest.raises(UsageError, match="not planner's"):
            await bus.agent("planner").unsubscribe(sub)
        assert bus.stats().subscriptions == 1


async def test_forward_takes_a_message_and_not_in_a_handler() -> None:
    """What a handler sends descends from what it handles."""
    seen: list[type[BaseException]] = []
    async with new_bus() as bus:
        planner = bus.agent("planner")

        async def handler(delivery: Delivery) -> None:
            try:
                await planner.forward(delivery.message)
            except UsageError as error:
                seen.append(type(error))

        bus.agent("worker").subscribe("a", handler)
        with pytest.raises(UsageError, match="takes a Message"):
            await planner.forward(None)  # type: ignore[arg-type]  # that is the test
        await planner.publish("a", 1)
        await bus.settle()
    assert seen == [UsageError]
