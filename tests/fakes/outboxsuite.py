"""What an outbox promises, whatever the database and its driver: tests to inherit.

Rule: a class that inherits has a fixture `desk`, with the tables made and empty.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from bus.core.errors import (
    BusNotStartedError,
    MalformedMessageError,
    NoRespondersError,
    OverloadedError,
    ProtocolError,
    SubjectError,
    UnavailableError,
)
from bus.core.limits import PAYLOAD_BYTES_MAX
from bus.core.outcome import Denied, Dropped, Failed, Held, Outcome, Rejected
from bus.core.stamp import KeyRing
from bus.core.storelimits import OUTBOX_ATTEMPTS_MAX
from bus.effects import Outbox
from bus.subscription import handled
from tests.fakes.desks import Desk
from tests.fakes.effects import FakeAgent, accepted, hand, id_of
from tests.fakes.messages import full
from tests.fakes.recording import SteppedClock

DENIED = Denied(id_of(0), ("not today",), "r1")
REJECTED = Rejected(id_of(0), SubjectError("bad\0 \ud800subject"))
DROPPED = Dropped(id_of(0), "weekend", "we rest")
BUSY = Failed(id_of(0), OverloadedError("worker", retry_after_s=0.5))
DOWN = Failed(id_of(0), UnavailableError("the store is full"))
NOBODY = Failed(id_of(0), NoRespondersError("nobody"))


class OutboxSuite:
    """Published if, and only if, the transaction commits."""

    @pytest.fixture
    def agent(self) -> FakeAgent:
        """Who publishes."""
        return FakeAgent()

    @pytest.fixture
    def outbox(self, desk: Desk, agent: FakeAgent) -> Outbox:
        """Its outbox in the user's database."""
        return Outbox(desk.connect, agent, clock=SteppedClock())

    async def test_what_was_committed_is_published_in_order(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """And what was rolled back is not."""
        await desk.put_once(outbox, hand(1), "a.1", "a.2")
        await desk.sql("BEGIN")
        await desk.put(outbox, "a.lost", 1)
        await desk.sql("ROLLBACK")
        await desk.put_once(outbox, hand(2), "a.3")
        assert await outbox.waiting() == 3
        assert await outbox.drain() == 3
        assert [sent.subject for sent in agent.sent] == ["a.1", "a.2", "a.3"]
        assert len({sent.options["dedup"] for sent in agent.sent}) == 3
        assert await outbox.waiting() == 0
        assert await outbox.drain() == 0
        assert outbox.stats.published == 3

    async def test_more_than_one_batch_goes_out(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """A turn is bounded; draining takes as many as it needs."""
        subjects = [f"a.{number}" for number in range(70)]
        await desk.put_once(outbox, hand(), *subjects)
        assert await outbox.drain() == 70
        assert [sent.subject for sent in agent.sent] == subjects

    async def test_everything_that_was_set_is_published(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """Body, headers and the rest arrive as they were put."""
        given: dict[str, Any] = {
            "type": "command",
            "priority": 3,
            "headers": {"trace": "1"},
            "reply_to": "answers.here",
            "correlation": "c",
            "causation": "d",
            "ordering_key": "account 7",
            "dedup": "payment-7",
        }
        await desk.put(outbox, "a.b", {"sum": 7}, **given, ttl=60.0)
        await desk.put(outbox, "a.c", b"<x/>", content_type="text/xml", dedup="second")
        await desk.commit()
        await outbox.drain()
        first, second = agent.sent
        assert first.body == b"\x81\xa3sum\x07"
        expected = {**given, "ttl": 60.0, "content_type": "application/msgpack"}
        assert first.options == expected
        assert second.body == b"<x/>"
        assert second.options == {"content_type": "text/xml", "dedup": "second"}

    async def test_a_dedup_id_that_waits_is_not_put_twice(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """The first one stands; another agent's names are its own."""
        other = Outbox(desk.connect, FakeAgent("critic"), clock=SteppedClock())
        assert await desk.put(outbox, "a.b", 1, dedup="x")
        assert not await desk.put(outbox, "a.c", 2, dedup="x")
        assert await desk.put(other, "a.d", 3, dedup="x")
        await desk.commit()
        assert await outbox.drain() == 1
        assert [sent.subject for sent in agent.sent] == ["a.b"]
        assert await other.waiting() == 1

    @pytest.mark.parametrize(
        ("subject", "options"),
        [
            ("a..b", {}),
            ("a.>", {}),
            ("a.b", {"type": "shout"}),
            ("a.b", {"priority": 9}),
            ("a.b", {"headers": {"a b": "c"}}),
            ("a.b", {"ttl": -1}),
            ("a.b", {"reply_to": "a..b"}),
            ("a.b", {"reply_to": "$INBOX.x"}),
            ("a.b", {"correlation": "\n"}),
            ("a.b", {"causation": "x" * 129}),
            ("a.b", {"ordering_key": ""}),
            ("a.b", {"content_type": "text/xml"}),
            ("a.b", {"dedup": ""}),
            ("a.b", {"dedup": "\0"}),
            ("a.b", {"tll": 5}),
        ],
    )
    async def test_what_cannot_be_published_is_refused_where_it_is_put(
        self, desk: Desk, outbox: Outbox, subject: str, options: dict[str, Any]
    ) -> None:
        """The handler is told, while it can still do something about it."""
        with pytest.raises(ProtocolError):
            await desk.put(outbox, subject, 1, **options)
        await desk.commit()
        assert await outbox.waiting() == 0

    async def test_a_body_is_bounded(self, desk: Desk, outbox: Outbox) -> None:
        """A content type is for bytes, and they are not too many."""
        with pytest.raises(ProtocolError, match="payload bytes"):
            await desk.put(outbox, "a.b", bytes(PAYLOAD_BYTES_MAX + 1))
        with pytest.raises(MalformedMessageError):
            await desk.put(outbox, "a.b", b"", content_type="\n")

    async def test_no_more_wait_than_may(
        self, desk: Desk, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The handler fails, its transaction is rolled back, the message comes again."""
        monkeypatch.setattr(sys.modules["bus.effects.waiting"], "OUTBOX_ROWS_MAX", 3)
        await desk.put_once(outbox, hand(1), "a.1", "a.2", "a.3")
        with pytest.raises(OverloadedError, match="outbox of acme/worker"):
            await desk.put_once(outbox, hand(2), "a.4")
        assert await outbox.drain() == 3
        await desk.put_once(outbox, hand(2), "a.4")
        assert await outbox.waiting() == 1

    @pytest.mark.parametrize(
        ("ending", "reason"),
        [
            (DENIED, "denied: not today"),
            (REJECTED, "bad_subject: bad? ?subject"),
            (DROPPED, "dropped: we rest"),
        ],
    )
    async def test_what_the_bus_will_not_take_is_kept_as_refused(
        self,
        desk: Desk,
        agent: FakeAgent,
        outbox: Outbox,
        ending: Outcome,
        reason: str,
    ) -> None:
        """It is not tried again by itself, and holds nothing up."""
        agent.endings.extend([accepted(), ending])
        await desk.put_once(outbox, hand(), "a.1", "a.2", "a.3")
        assert await outbox.drain() == 2
        assert await outbox.drain() == 0
        [refused] = await outbox.refused()
        assert (refused.subject, refused.reason, refused.attempts) == ("a.2", reason, 1)
        assert outbox.stats.refused == 1
        assert len(agent.sent) == 3

    async def test_a_refused_message_can_be_offered_again_or_discarded(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """By somebody who has looked at it."""
        agent.endings.extend([DENIED, DENIED])
        await desk.put_once(outbox, hand(), "a.1", "a.2")
        await outbox.drain()
        one, two = await outbox.refused()
        assert await outbox.reoffer(one.id)
        assert not await outbox.reoffer(one.id)
        assert await outbox.discard(two.id)
        assert not await outbox.discard(two.id)
        assert not await outbox.discard(one.id), "what waits is not discarded"
        assert await outbox.drain() == 1
        assert agent.sent[-1].subject == "a.1"
        assert await outbox.refused() == []

    async def test_refused_messages_are_bounded(
        self,
        desk: Desk,
        agent: FakeAgent,
        outbox: Outbox,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The oldest gives way, and is counted."""
        monkeypatch.setattr(sys.modules["bus.effects.waiting"], "OUTBOX_REFUSED_MAX", 2)
        agent.endings.extend([DENIED] * 5)
        await desk.put_once(outbox, hand(), *[f"a.{number}" for number in range(5)])
        await outbox.drain()
        assert [refused.subject for refused in await outbox.refused()] == ["a.3", "a.4"]
        assert outbox.stats.evicted == 3

    async def test_what_is_held_is_in_the_keeping_of_the_bus(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """It is released or denied there, and not published again."""
        agent.endings.append(Held(id_of(0), "ask", "r1", 5))
        await desk.put_once(outbox, hand(), "a.1")
        assert await outbox.drain() == 0
        assert await outbox.waiting() == 0
        assert outbox.stats.held == 1

    async def test_what_fails_for_now_is_tried_again_before_what_follows(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """However long the bus cannot take it."""
        await desk.put_once(outbox, hand(), "a.1", "a.2")
        for ending in [DOWN] * (OUTBOX_ATTEMPTS_MAX + 5):
            agent.endings.append(ending)
            assert await outbox.drain() == 0
        assert {sent.subject for sent in agent.sent} == {"a.1"}
        assert await outbox.drain() == 2
        assert outbox.stats.retried == OUTBOX_ATTEMPTS_MAX + 5

    async def test_what_fails_by_itself_is_refused_in_the_end(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """It does not hold up for ever what is behind it; the attempts outlive a start."""
        await desk.put_once(outbox, hand(), "a.1", "a.2")
        for _ in range(OUTBOX_ATTEMPTS_MAX - 1):
            agent.endings.append(NOBODY)
            again = Outbox(desk.connect, agent, clock=SteppedClock())
            assert await again.drain() == 0
        agent.endings.append(NOBODY)
        assert await outbox.drain() == 1
        [refused] = await outbox.refused()
        assert refused.reason == "no_responders: nobody (attempt 10)"
        assert refused.attempts == OUTBOX_ATTEMPTS_MAX

    async def test_a_crash_after_the_bus_has_accepted_publishes_the_same_again(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """Under the same dedup id, so the bus takes it once."""
        await desk.put_once(outbox, hand(), "a.1", "a.2")
        agent.endings.extend([accepted(), BusNotStartedError("it is closed")])
        with pytest.raises(BusNotStartedError):
            await outbox.drain()
        assert await outbox.waiting() == 1, "what was accepted is noted"
        before = agent.sent[-1]
        assert await outbox.drain() == 1
        assert agent.sent[-1].options == before.options

    async def test_a_bus_that_is_closed_ends_the_relay(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """The program has to order its parts; the rows stay."""
        agent.endings.append(BusNotStartedError("it is closed"))
        await desk.put_once(outbox, hand(), "a.1")
        with pytest.raises(BusNotStartedError):
            await outbox.run()
        assert await outbox.waiting() == 1

    async def test_what_has_expired_is_not_published(
        self, desk: Desk, agent: FakeAgent
    ) -> None:
        """Its time counts from when it was put."""
        clock = SteppedClock()
        outbox = Outbox(desk.connect, agent, clock=clock)
        await desk.put(outbox, "a.1", 1, ttl=60.0)
        await desk.put(outbox, "a.2", 2, ttl=10.0)
        await desk.commit()
        clock.step(10.0)
        assert await outbox.drain() == 1
        assert agent.sent[0].options["ttl"] == 50.0
        [refused] = await outbox.refused()
        assert refused.reason.startswith("expired: outbox row")

    @pytest.mark.parametrize(
        "change",
        [
            "subject = 'a.2'",
            "dedup = 'mine'",
            "content_type = 'text/plain'",
            """options = '{"priority":3}'""",
            "body = lineage",
            "lineage = body",
            "agent = 'acme/critic'",
        ],
    )
    async def test_a_row_that_was_changed_is_not_published(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox, change: str
    ) -> None:
        """Who may write to the table cannot speak for an agent."""
        await desk.put(outbox, "a.1", 1)
        await desk.commit()
        await desk.sql(f"UPDATE assent_outbox SET {change}")  # noqa: S608 - of the list above
        await desk.commit()
        critic = FakeAgent("critic")
        others = Outbox(desk.connect, critic, clock=SteppedClock())
        assert await outbox.drain() == await others.drain() == 0
        assert agent.sent == critic.sent == []
        [refused] = [*await outbox.refused(), *await others.refused()]
        assert refused.reason.startswith("stamp_mismatch")

    async def test_a_row_sealed_under_a_key_that_is_gone_is_not_published(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """Nobody can say any more whose it is."""
        await desk.put_once(outbox, hand(), "a.1")
        agent.ring = KeyRing({2: bytes(range(32))}, 2)
        assert await outbox.drain() == 0
        assert (await outbox.refused())[0].reason.startswith("unknown_key")

    async def test_a_message_descends_from_the_one_that_was_handled(
        self, desk: Desk, agent: FakeAgent, outbox: Outbox
    ) -> None:
        """Going through a table launders nothing."""
        parent = full()
        token = handled.set(parent)
        await desk.put(outbox, "a.1", 1)
        handled.reset(token)
        await desk.put(outbox, "a.2", 2)
        await desk.commit()
        token = handled.set(full(sender="somebody else"))
        await outbox.drain()
        handled.reset(token)
        first, second = agent.sent
        noted = first.parent
        assert noted is not None
        assert (noted.id, noted.root, noted.depth) == (parent.id, parent.root, 2)
        assert (noted.sender, noted.authors) == (parent.sender, parent.authors)
        assert second.parent is None

    async def test_the_relay_publishes_what_comes(
        self, desk: Desk, agent: FakeAgent
    ) -> None:
        """By the clock, at a wake, and after a failure that passes."""
        clock = SteppedClock()
        outbox = Outbox(desk.connect, agent, clock=clock, poll_s=1.0)
        async with asyncio.TaskGroup() as group:
            relay = group.create_task(outbox.run())
            await sees(lambda: clock.waiting > 0)
            await desk.put_once(outbox, hand(1), "a.1")
            clock.step(1.0)
            await sees(lambda: outbox.stats.published == 1)
            await sees(lambda: clock.waiting > 0)
            agent.endings.append(BUSY)
            await desk.put_once(outbox, hand(2), "a.2")
            outbox.wake()
            await sees(lambda: outbox.stats.retried == 1)
            await sees(lambda: clock.waiting > 0)
            clock.step(0.4)
            assert clock.waiting, "it is not tried before its time"
            clock.step(0.1)
            await sees(lambda: outbox.stats.published == 2)
            relay.cancel()
        assert await outbox.waiting() == 0


async def sees(done: Callable[[], bool]) -> None:
    """Wait for what other tasks and threads bring about; the test's time-out bounds it."""
    while not done():  # noqa: ASYNC110 - nobody could set an event
        await asyncio.sleep(0.001)
