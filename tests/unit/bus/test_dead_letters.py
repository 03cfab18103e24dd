"""Dead letters: kept with their reason, published under `$DEAD.`, and bounded."""

from typing import Any

import msgspec
import pytest

from bus.core.limits import LINEAGE_DEPTH_MAX, SUBJECT_BYTES_MAX, SUBJECT_TOKENS_MAX
from bus.core.message import Message
from bus.letters import ATTEMPTS_HEADER, REASON_HEADER, SUBSCRIPTION_HEADER
from bus.subscription import Delivery
from tests.fakes.buses import Inbox, PartsBus, lower_bound, new_bus, totals


async def failing(delivery: Delivery) -> None:
    """Give up at once."""
    delivery.term("will not do")


class Collector:
    """Keeps whole deliveries."""

    def __init__(self) -> None:
        self.got: list[Message] = []

    async def __call__(self, delivery: Delivery) -> None:
        """Keep the message."""
        self.got.append(delivery.message)


async def test_a_dead_letter_reaches_who_subscribes_to_it() -> None:
    """Same body and type, the reason in headers, descended from what died."""
    async with new_bus() as bus:
        collector = Collector()
        bus.agent("worker").subscribe("a.b", failing)
        bus.agent("critic").subscribe("$DEAD.a.*", collector)
        outcome = await bus.agent("planner").publish(
            "a.b", {"n": 1}, type="command", priority=2
        )
        await bus.settle()
        (letter,) = bus.dead_letters
        (dead,) = collector.got
    assert letter.message.id == outcome.id
    assert dead.subject == "$DEAD.a.b"
    assert (dead.body, dead.content_type) == (
        letter.message.body,
        letter.message.content_type,
    )
    assert (dead.type, dead.priority) == ("command", 2)
    assert (dead.sender, dead.tenant) == ("$bus", "acme")
    assert (dead.parent, dead.root) == (outcome.id, outcome.id)
    assert dead.headers[REASON_HEADER] == "will not do"
    assert dead.headers[ATTEMPTS_HEADER] == "1"
    assert dead.headers[SUBSCRIPTION_HEADER] == "worker/a.b"


async def test_the_last_line_of_the_traceback_is_the_reason() -> None:
    """Made printable, and cut to its bound."""

    async def handler(_: int) -> None:
        raise ValueError("first\nsecond\x00" + "ä" * 2_000)

    async with new_bus() as bus:
        collector = Collector()
        bus.agent("worker").subscribe("a", handler, max_deliver=1)
        bus.agent("critic").subscribe("$DEAD.>", collector)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        reason = bus.dead_letters[0].reason
        assert reason.startswith("ValueError: first")
        assert len(reason) <= 500
        header = collector.got[0].headers[REASON_HEADER]
        assert header.isprintable()
        assert header.startswith("ValueError: first second")


async def test_an_error_whose_text_is_broken_still_makes_a_dead_letter() -> None:
    """Not even its `str` can be had."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text either")

    async def handler(_: int) -> None:
        raise BrokenError

    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", handler, max_deliver=1)
        bus.agent("worker").subscribe("b", inbox)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert "BrokenError" in bus.dead_letters[0].reason
        await bus.agent("planner").publish("b", 1)
        await bus.settle()
        assert inbox.done == [1]


async def test_dead_letters_kept_are_bounded_and_the_evicted_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest gives way; all are counted as dead."""
    lower_bound(monkeypatch, "DEAD_LETTERS_KEPT_MAX", 3)
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", failing)
        await bus.agent("planner").publish_many([("a", n) for n in range(10)])
        await bus.settle()
        kept = [letter.message.body[0] for letter in bus.dead_letters]
        assert kept == [7, 8, 9]
        assert totals(bus).dead == 10


async def test_a_dead_letter_that_dies_is_kept_and_not_published_again() -> None:
    """No `$DEAD.$DEAD.`: the chain ends."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", failing)
        bus.agent("critic").subscribe("$DEAD.>", failing)
        await bus.agent("planner").publish("a", 1)
        await bus.advance(5)
        subjects = [letter.message.subject for letter in bus.dead_letters]
        assert subjects == ["a", "$DEAD.a"]


async def test_dead_letters_stay_in_their_tenant() -> None:
    """Another tenant's subscriber hears of none."""
    async with new_bus() as bus:
        theirs, ours = Collector(), Collector()
        bus.agent("spy").subscribe("$DEAD.>", theirs)
        bus.agent("critic").subscribe("$DEAD.>", ours)
        bus.agent("worker").subscribe("a", failing)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
    assert (len(ours.got), len(theirs.got)) == (1, 0)


@pytest.mark.parametrize(
    "subject",
    ["a" * SUBJECT_BYTES_MAX, ".".join(["a"] * SUBJECT_TOKENS_MAX)],
    ids=["longest", "most tokens"],
)
async def test_the_largest_subject_has_its_dead_letters_too(subject: str) -> None:
    """What can be published can be published under `$DEAD.`."""
    async with new_bus() as bus:
        collector = Collector()
        bus.agent("worker").subscribe(subject, failing)
        bus.agent("critic").subscribe("$DEAD.>", collector)
        await bus.agent("planner").publish(subject, 1)
        await bus.settle()
        assert [m.subject for m in collector.got] == [f"$DEAD.{subject}"]


async def test_the_deepest_message_has_its_dead_letter_too() -> None:
    """A dead letter is as deep as what died, at the bound as well."""
    async with new_bus() as bus:
        collector = Collector()

        async def handler(body: int, delivery: Delivery) -> None:
            if delivery.message.depth == LINEAGE_DEPTH_MAX:
                delivery.term("too deep for me")
            else:
                await bus.agent("worker").publish("a", body + 1)

        bus.agent("worker").subscribe("a", handler)
        bus.agent("critic").subscribe("$DEAD.>", collector)
        await bus.agent("planner").publish("a", 0)
        for _ in range(10):
            await bus.settle()
        assert len(bus.dead_letters) == 1
        assert len(collector.got) == 1


async def test_dead_letters_of_a_closing_subscription_are_published() -> None:
    """What is left when a subscription ends is told like any."""
    async with new_bus() as bus:
        collector = Collector()
        sub = bus.agent("worker").subscribe("a", Inbox(held=True))
        bus.agent("critic").subscribe("$DEAD.>", collector)
        for n in range(3):
            await bus.agent("planner").publish("a", n)
            await bus.settle()
        await bus.agent("worker").unsubscribe(sub, drain=0)
        await bus.settle()
        assert len(bus.dead_letters) == len(collector.got) == 3


async def test_a_full_dead_letter_queue_loses_no_letter_that_is_kept() -> None:
    """Who subscribes too slowly misses copies; the kept ones and the count are whole."""
    async with PartsBus() as bus:
        slow = Inbox(held=True)
        bus.agent("worker").subscribe("a", failing)
        bus.agent("critic").subscribe("$DEAD.>", slow, capacity=1)
        for n in range(5):
            await bus.agent("planner").publish("a", n)
            await bus.settle()
        assert len(bus.dead_letters) == 5
        counts = totals(bus)
        assert counts.dead == 5
        assert counts.failed == 3  # those for which the queue had no room
        assert bus.audit.events().count("failed") == 3
        slow.gate.set()


async def test_what_waits_to_be_published_is_bounded_by_what_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the record is full, dead letters do not pile up in a queue of their own."""
    lower_bound(monkeypatch, "DEAD_LETTERS_KEPT_MAX", 5)
    async with PartsBus() as bus:
        collector = Collector()
        bus.agent("critic").subscribe("$DEAD.>", collector)
        sub = bus.agent("worker").subscribe("a", Inbox(held=True))
        await bus.agent("planner").publish_many([("a", n) for n in range(40)])
        await bus.settle()
        bus.audit.stall()
        await bus.agent("worker").unsubscribe(sub, drain=0)
        await bus.settle()
        bus.audit.recover()
        await bus.settle()
        counts: Any = totals(bus)
        assert counts.dead == 40
        assert len(bus.dead_letters) == 5
        assert len(collector.got) <= 6  # one may be under way beside those kept


async def test_a_body_that_cannot_be_decoded_is_not_shared_as_decoded() -> None:
    """Two takers of a frozen type: both get it, or both have their dead letter."""
    got: list[Frozen] = []

    async def handler(body: Frozen) -> None:
        got.append(body)

    async with new_bus() as bus:
        for agent in ("worker", "critic"):
            bus.agent(agent).subscribe("a", handler)
        await bus.agent("planner").publish("a", {"n": 1})
        await bus.agent("planner").publish("a", {"n": "one"})
        await bus.settle()
        assert got == [Frozen(1)] * 2
        assert [letter.attempts for letter in bus.dead_letters] == [1, 1]


class Frozen(msgspec.Struct, frozen=True):
    """A body that nobody can change."""

    n: int
