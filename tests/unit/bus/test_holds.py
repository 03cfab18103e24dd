"""Held messages: kept, released by others only, denied in time; and what else is obliged."""

from typing import Any

import msgspec
import pytest

from bus import Accepted, Denied, Failed, Held, Rejected
from bus.core.decision import Hold, Rate
from bus.core.errors import DeniedError, MalformedMessageError, NotHeldError
from bus.core.message import Message
from bus.ports import Access, Action
from bus.subscription import Delivery
from tests.fakes.buses import Background, Inbox, PartsBus, tamper, totals
from tests.fakes.busparts import ListAudit
from tests.fakes.ruling import Ruling, no, yes

HOLD = Hold("a person looks first", 60_000_000_000)


class Handler:
    """Publishes what it gets under another subject, as its agent."""

    def __init__(self, bus: PartsBus, agent: str, subject: str) -> None:
        self._bus, self._agent, self._subject = bus, agent, subject
        self.outcomes: list[Any] = []

    async def __call__(self, body: Any) -> None:
        """Publish."""
        self.outcomes.append(
            await self._bus.agent(self._agent).publish(self._subject, body)
        )


def held_bus(subject: str = "risky") -> tuple[PartsBus, Ruling, ListAudit]:
    """Return a bus that holds what is published on one subject."""
    ruling, audit = Ruling(), ListAudit()

    def decide(action: Action, message: Message) -> Any:
        hold = HOLD if message.subject == subject else None
        return yes(ruling.revision, hold=hold, action=action)

    ruling.message = decide
    return PartsBus(authorizer=ruling, audit=audit), ruling, audit


def held_ids(bus: PartsBus) -> list[bytes]:
    """Return the ids of what is held."""
    return [held.message.id for held in bus.held]


def said(audit: ListAudit) -> list[str]:
    """Return the events recorded of messages."""
    return [r[0] for r in audit.records if r[0] not in {"started", "stopped"}]


async def test_a_held_message_is_delivered_once_it_is_released() -> None:
    """Not before; and the record has who let it go."""
    bus, _, audit = held_bus()
    async with bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("risky", inbox)
        outcome = await bus.agent("planner").publish("risky", 1)
        assert isinstance(outcome, Held)
        assert outcome.reason == HOLD.reason
        await bus.settle()
        assert inbox.got == []
        assert held_ids(bus) == [outcome.id]
        released = await bus.agent("judge").release(outcome.id.hex(), "looks fine")
        assert isinstance(released, Accepted)
        assert released.id == outcome.id
        await bus.settle()
        assert inbox.done == [1]
        assert held_ids(bus) == []
        assert (totals(bus).held, totals(bus).accepted) == (1, 1)
    assert said(audit) == ["held", "released", "accepted", "delivered"]
    assert "by judge: looks fine" in audit.records[2][7]


async def test_what_is_not_released_in_time_is_denied() -> None:
    """To the nanosecond, and the record says why."""
    bus, _, audit = held_bus()
    async with bus:
        bus.agent("worker").subscribe("risky", Inbox())
        outcome = await bus.agent("planner").publish("risky", 1)
        await bus.advance(59.9)
        assert held_ids(bus) == [outcome.id]
        await bus.advance(0.2)
        assert held_ids(bus) == []
        with pytest.raises(NotHeldError):
            await bus.agent("judge").release(outcome.id.hex(), "too late")
        assert totals(bus).denied == 1
    assert said(audit) == ["held", "denied"]
    assert "not released in time" in audit.records[2][7]


async def test_nobody_releases_its_own_message() -> None:
    """Neither the sender, nor an author of what led to it, through another agent."""
    bus, _, audit = held_bus()
    async with bus:
        bus.agent("worker").subscribe("risky", Inbox())
        first, second = (
            Handler(bus, "relay", "step.two"),
            Handler(bus, "worker", "risky"),
        )
        bus.agent("relay").subscribe("step.one", first)
        bus.agent("worker").subscribe("step.two", second)
        await bus.agent("planner").publish("step.one", 1)
        await bus.settle()
        (held,) = bus.held
        assert held.message.authors == ("planner", "relay")
        for name in ("planner", "relay", "worker"):
            with pytest.raises(DeniedError, match="self-validation"):
                await bus.agent(name).release(held.message.id.hex(), "mine")
        assert len(bus.held) == 1
        assert isinstance(
            await bus.agent("judge").release(held.message.id.hex(), "fine"), Accepted
        )
    assert sum(r[0] == "denied" for r in audit.records) == 3


async def test_policy_says_who_may_release() -> None:
    """And is asked about the subject of what is held."""
    bus, ruling, _ = held_bus()
    asked: list[Access] = []

    def access(question: Access) -> Any:
        asked.append(question)
        return yes() if question.action != "release" else no("not a judge")

    ruling.access = access
    async with bus:
        bus.agent("worker").subscribe("risky", Inbox())
        outcome = await bus.agent("planner").publish("risky", 1)
        with pytest.raises(DeniedError, match="not a judge"):
            await bus.agent("critic").release(outcome.id.hex(), "please")
        assert asked[-1] == Access(
            "release", "critic", "acme", "risky", author="planner"
        )
        assert len(bus.held) == 1


async def test_another_tenant_sees_nothing_held() -> None:
    """Its id is no key."""
    bus, _, _ = held_bus()
    async with bus:
        bus.agent("worker").subscribe("risky", Inbox())
        outcome = await bus.agent("planner").publish("risky", 1)
        with pytest.raises(NotHeldError):
            await bus.agent("spy").release(outcome.id.hex(), "mine now")


async def test_a_refused_message_is_denied() -> None:
    """With who refused it and why."""
    bus, _, audit = held_bus()
    async with bus:
        bus.agent("worker").subscribe("risky", Inbox())
        outcome = await bus.agent("planner").publish("risky", 1)
        refused = await bus.agent("judge").refuse(outcome.id.hex(), "too risky")
        assert isinstance(refused, Denied)
        assert refused.reasons == ("refused by judge: too risky",)
        assert bus.held == ()
    assert said(audit) == ["held", "denied"]


@pytest.mark.parametrize(
    ("message_id", "reason"), [("no hex", "x"), ("ab", ""), ("ab", " "), ("ab", 3)]
)
async def test_a_release_says_what_and_why(message_id: str, reason: Any) -> None:
    """A bad argument changes nothing."""
    bus, _, _ = held_bus()
    async with bus:
        with pytest.raises(MalformedMessageError):
            await bus.agent("judge").release(message_id, reason)


async def test_a_release_asks_policy_about_the_message_again() -> None:
    """What is denied meanwhile stays denied."""
    bus, ruling, _ = held_bus()
    async with bus:
        bus.agent("worker").subscribe("risky", Inbox())
        outcome = await bus.agent("planner").publish("risky", 1)
        ruling.message = lambda *_: no("not any more")
        released = await bus.agent("judge").release(outcome.id.hex(), "fine")
        assert isinstance(released, Denied)
        assert bus.held == ()


async def test_a_release_that_fails_keeps_the_message() -> None:
    """Nobody is there to take it: it is still held, and can be released later."""
    bus, _, _ = held_bus()
    async with bus:
        inbox = Inbox()
        sub = bus.agent("worker").subscribe("risky", inbox)
        outcome = await bus.agent("planner").publish("risky", 1)
        await bus.agent("worker").unsubscribe(sub)
        failed = await bus.agent("judge").release(outcome.id.hex(), "fine")
        assert isinstance(failed, Failed)
        assert len(bus.held) == 1
        bus.agent("worker").subscribe("risky", inbox)
        again = await bus.agent("judge").release(outcome.id.hex(), "fine")
        assert isinstance(again, Accepted)
        await bus.settle()
    assert inbox.done == [1]


async def test_a_held_message_that_was_changed_is_rejected() -> None:
    """Its stamp is checked when it is released."""
    bus, _, _ = held_bus()
    async with bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("risky", inbox)
        outcome = await bus.agent("planner").publish("risky", 1)
        tamper(bus.held[0].message, body=b"\xc0")
        released = await bus.agent("judge").release(outcome.id.hex(), "fine")
        assert isinstance(released, Rejected)
        await bus.settle()
        assert inbox.got == []


async def test_a_request_waits_until_it_is_released() -> None:
    """Or hears that it was refused."""
    bus, _, _ = held_bus()

    async def answer(body: Any) -> Any:
        return body + 1

    async with bus, Background() as background:
        bus.agent("worker").subscribe("risky", answer)
        first = background.run(bus.agent("planner").request("risky", 1, timeout=30))
        second = background.run(bus.agent("planner").request("risky", 2, timeout=30))
        await bus.settle()
        one, two = bus.held
        await bus.agent("judge").release(one.message.id.hex(), "fine")
        await bus.agent("judge").refuse(two.message.id.hex(), "no")
        assert await first == 2
        refused = await second
        assert isinstance(refused, DeniedError)
        assert refused.reasons == ("refused by judge: no",)


async def test_a_requester_hears_what_became_of_its_released_request() -> None:
    """Denied after all: it does not wait for its time-out."""
    bus, ruling, _ = held_bus()
    async with bus, Background() as background:
        bus.agent("worker").subscribe("risky", Inbox())
        asking = background.run(bus.agent("planner").request("risky", 1, timeout=30))
        await bus.settle()
        (held,) = bus.held
        ruling.message = lambda *_: no("not any more")
        released = await bus.agent("judge").release(held.message.id.hex(), "fine")
        assert isinstance(released, Denied)
        error = await asking
        assert isinstance(error, DeniedError)
        assert "not any more" in error.reasons[0]


async def test_a_released_request_to_several_waits_for_the_last_of_them() -> None:
    """One that gives up does not speak for the others."""
    bus, _, _ = held_bus()

    async def fails(body: Any, delivery: Delivery) -> None:
        del body
        delivery.term("no")

    async def answers(body: Any) -> Any:
        return body + 1

    async with bus, Background() as background:
        bus.agent("worker").subscribe("risky", fails)
        bus.agent("critic").subscribe("risky", answers)
        asking = background.run(bus.agent("planner").request("risky", 1, timeout=30))
        await bus.settle()
        (held,) = bus.held
        await bus.agent("judge").release(held.message.id.hex(), "fine")
        assert await asking == 2


async def test_a_held_reply_does_not_fail_its_request() -> None:
    """The work is done; its answer waits to be released."""
    bus, ruling, _ = held_bus()
    ruling.message = lambda _, message: yes(
        hold=HOLD if message.sender == "worker" else None
    )

    async def answer(body: Any) -> Any:
        return body + 1

    async with bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("ask", answer)
        bus.agent("reader").subscribe("answers", inbox)
        await bus.agent("planner").publish("ask", 1, reply_to="answers")
        await bus.settle()
        (held,) = bus.held
        assert totals(bus).dead == 0
        assert totals(bus).delivered == 1
        await bus.agent("judge").release(held.message.id.hex(), "fine")
        await bus.settle()
        assert inbox.done == [2]


async def test_replies_may_not_go_where_a_publish_would_be_held() -> None:
    """Whoever answers would carry past the hold what its sender may not send at once."""
    bus, _, audit = held_bus("answers")
    async with bus:
        bus.agent("worker").subscribe(">", Inbox())
        outcome = await bus.agent("planner").publish("ask", 1, reply_to="answers")
        assert isinstance(outcome, Denied)
        assert "at once" in outcome.reasons[0]
    assert said(audit) == ["denied"]


async def test_a_hold_on_access_denies() -> None:
    """What cannot be carried out is not let pass."""
    bus, ruling, _ = held_bus()
    ruling.access = lambda access: yes(
        hold=HOLD if access.action != "connect" else None
    )
    async with bus:
        with pytest.raises(DeniedError, match="cannot be carried out for subscribe"):
            bus.agent("worker").subscribe("a", Inbox())
        with pytest.raises(DeniedError, match="cannot be carried out for cooldown"):
            await bus.agent("judge").cooldown("a", 1, "x")


async def test_bringing_back_what_is_held_holds_it_once() -> None:
    """However often its sender does; and one release is one delivery."""
    bus, _, _ = held_bus()
    async with bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("risky", inbox)
        outcome = await bus.agent("planner").publish("risky", 1)
        stamped = bus.held[0].message
        for _ in range(5):
            again = await bus.agent("planner").forward(stamped)
            assert isinstance(again, Held)
        assert held_ids(bus) == [outcome.id]
        released = await bus.agent("judge").release(outcome.id.hex(), "fine")
        assert isinstance(released, Accepted)
        await bus.settle()
        assert inbox.done == [1]
        await bus.advance(120)
        assert held_ids(bus) == []


async def test_a_tenant_takes_a_share_of_what_may_be_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others' messages can still be held."""
    monkeypatch.setattr("bus.holds.HELD_MAX", 8)
    bus, _, _ = held_bus()
    async with bus:
        bus.agent("worker").subscribe("risky", Inbox())
        bus.agent("spy").subscribe("risky", Inbox())
        theirs = [await bus.agent("spy").publish("risky", n) for n in range(4)]
        assert [isinstance(o, Held) for o in theirs] == [True, True, False, False]
        assert isinstance(await bus.agent("planner").publish("risky", 1), Held)


async def test_who_was_asked_is_an_author_of_what_the_answer_led_to() -> None:
    """It cannot release its own words from another's mouth."""
    bus, _, _ = held_bus()

    async def answer(body: Any) -> Any:
        return body

    async def passes_on(body: Any) -> None:
        told = await bus.agent("relay").request("ask", body)
        await bus.agent("relay").publish("risky", told)

    async with bus:
        bus.agent("worker").subscribe("risky", Inbox())
        bus.agent("oracle").subscribe("ask", answer)
        bus.agent("relay").subscribe("start", passes_on)
        await bus.agent("planner").publish("start", 1)
        await bus.settle()
        (held,) = bus.held
        assert held.message.authors == ("relay", "oracle", "planner")
        with pytest.raises(DeniedError, match="self-validation"):
            await bus.agent("oracle").release(held.message.id.hex(), "fine")


async def test_a_failed_release_finds_its_room_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much else was held meanwhile."""
    monkeypatch.setattr("bus.holds.HELD_MAX", 1)
    bus, ruling, _ = held_bus()
    async with bus, Background() as background:
        sub = bus.agent("worker").subscribe("risky", Inbox())
        outcome = await bus.agent("planner").publish("risky", 1)
        await bus.agent("worker").unsubscribe(sub)
        ruling.gate.clear()
        releasing = background.run(bus.agent("judge").release(outcome.id.hex(), "fine"))
        await bus.settle()
        ruling.gate.set()
        assert isinstance(await releasing, Failed)
        other = await bus.agent("planner").publish("risky", 2)
        assert isinstance(other, Failed)
        assert held_ids(bus) == [outcome.id]


async def test_closing_denies_what_is_held() -> None:
    """Nothing is left waiting for anybody."""
    bus, _, audit = held_bus()
    async with bus:
        bus.agent("worker").subscribe("risky", Inbox())
        await bus.agent("planner").publish("risky", 1)
    assert said(audit) == ["held", "denied"]
    assert bus.held == ()


async def test_how_much_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more fails, with a time to try again."""
    monkeypatch.setattr("bus.holds.HELD_MAX", 1)
    bus, _, _ = held_bus()
    async with bus:
        bus.agent("worker").subscribe("risky", Inbox())
        assert isinstance(await bus.agent("planner").publish("risky", 1), Held)
        outcome = await bus.agent("planner").publish("risky", 2)
        assert isinstance(outcome, Failed)
        assert outcome.code == "overloaded"
        assert len(bus.held) == 1


async def test_a_rate_that_policy_obliges_is_kept() -> None:
    """Past it the publisher hears when to come back; each agent has its own."""
    ruling = Ruling()
    rate = Rate("agent", per_second=1, burst=2)
    ruling.message = lambda *_: yes(rates=(rate,))
    bus = PartsBus(authorizer=ruling)
    async with bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        outcomes = [await planner.publish("a", n) for n in range(3)]
        assert [type(o).__name__ for o in outcomes] == ["Accepted"] * 2 + ["Failed"]
        assert isinstance(outcomes[2], Failed)
        assert outcomes[2].retry_after_s == pytest.approx(1.0)
        assert isinstance(await bus.agent("critic").publish("a", 9), Accepted)
        await bus.advance(1.0)
        assert isinstance(await planner.publish("a", 4), Accepted)
        await bus.settle()
    assert sorted(inbox.done) == [0, 1, 4, 9]


async def test_a_record_in_full_says_more() -> None:
    """What the body was, by its digest, and what policy said; never the body."""
    ruling, audit = Ruling(), ListAudit()
    ruling.message = lambda *_: yes(audit_full=True, obligations=({"type": "audit"},))
    async with PartsBus(authorizer=ruling, audit=audit) as bus:
        bus.agent("worker").subscribe("a", Inbox())
        await bus.agent("planner").publish("a", b"secret text")
    (accepted,) = [r for r in audit.records if r[0] == "accepted"]
    told = msgspec.json.decode(accepted[7])
    assert told["bytes"] == len(b"secret text")
    assert len(told["body"]) == 64
    assert told["obligations"] == [{"type": "audit"}]
    assert "secret" not in accepted[7]
