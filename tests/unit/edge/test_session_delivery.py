"""Deliveries over a connection: by credit, settled by the client, given back at its end."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bus.config.keeping import StoreSettings
from bus.core import frames
from bus.core.edgelimits import WS_FRAME_BYTES
from bus.core.outcome import Accepted
from bus.edge.connections import Ending
from bus.edge.session.allowance import Allowance
from bus.testing import TestBus
from tests.fakes.buses import Background, data, new_bus, reload
from tests.fakes.lines import Bench, FakeLine


@pytest.fixture
async def bus() -> AsyncIterator[TestBus]:
    """A bus that runs, and keeps nothing."""
    made = new_bus()
    async with made:
        yield made


@pytest.fixture
async def kept() -> AsyncIterator[TestBus]:
    """A bus that keeps what it accepts."""
    made = new_bus(store=StoreSettings(kind="memory"))
    async with made:
        yield made


def subscribe(sid: int = 1, pattern: str = "a.>", **more: Any) -> dict[str, Any]:
    """Return a subscribe, with credit for ten."""
    return {
        "op": "subscribe",
        "id": sid,
        "sid": sid,
        "pattern": pattern,
        "credit": 10,
        **more,
    }


async def send(bus: TestBus, *bodies: Any, subject: str = "a.b") -> None:
    """Publish as an agent of the host program."""
    for body in bodies:
        outcome = await bus.agent("planner").publish(subject, body)
        assert isinstance(outcome, Accepted)
    await bus.settle()


def bodies(line: FakeLine) -> list[Any]:
    """Return what was delivered."""
    return [item["body"] for item in line.ops("message")]


async def test_deliveries_go_out_while_there_is_credit(bus: TestBus) -> None:
    """And no further; granting more lets more go."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(credit=2))
        await bus.settle()
        await send(bus, 1, 2, 3, 4, 5)
        assert bodies(line) == [1, 2]
        line.say({"op": "credit", "sid": 1, "n": 2})
        await bus.settle()
        assert bodies(line) == [1, 2, 3, 4]
        assert [item["did"] for item in line.ops("message")] == [1, 2, 3, 4]
    assert line.ops("subscribed") == [
        {"op": "subscribed", "id": 1, "sid": 1, "kept": False}
    ]


async def test_a_delivery_tells_all_that_a_message_has(bus: TestBus) -> None:
    """What is absent is the default."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe())
        await bus.settle()
        await bus.agent("planner").publish(
            "a.b",
            {"x": 1},
            "command",
            3,
            headers={"h": "v"},
            ttl=5,
            reply_to="a.c",
            correlation="c",
            causation="d",
        )
        await bus.settle()
    (told,) = line.ops("message")
    assert told.pop("created_ns") + 5 * 10**9 == told.pop("expires_ns")
    assert len(told.pop("id")) == 32
    assert told.pop("revision") == bus.revision
    assert told == {
        "op": "message",
        "sid": 1,
        "did": 1,
        "subject": "a.b",
        "body": {"x": 1},
        "content_type": "application/msgpack",
        "type": "command",
        "priority": 3,
        "sender": "planner",
        "tenant": "acme",
        "attempt": 1,
        "depth": 0,
        "headers": {"h": "v"},
        "reply_to": "a.c",
        "correlation": "c",
        "causation": "d",
    }


@pytest.mark.parametrize(
    ("kind", "body", "content_type", "shown", "encoding"),
    [
        (frames.TEXT, b"\x00\xff", None, "AP8=", "base64"),
        (frames.BINARY, b"\x00\xff", None, b"\x00\xff", "bin"),
        (frames.TEXT, b'{"a": 1}', "application/json", {"a": 1}, None),
        (
            frames.TEXT,
            b'1},{"op":"x"',
            "application/json",
            "MX0seyJvcCI6Ingi",
            "base64",
        ),
        (frames.BINARY, b"\xc1", "application/msgpack", b"\xc1", "bin"),
    ],
)
async def test_a_body_is_shown_as_the_connection_can_carry_it(
    bus: TestBus,
    kind: frames.Kind,
    body: bytes,
    content_type: str | None,
    shown: Any,
    encoding: str | None,
) -> None:
    """What is not what it says it is cannot break the frame it is in."""
    more: Any = {} if content_type is None else {"content_type": content_type}
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker", kind=kind)
        line.say(subscribe())
        await bus.settle()
        await bus.agent("planner").publish("a.b", body, **more)
        await bus.settle()
    (told,) = line.ops("message")
    assert (told["body"], told.get("encoding")) == (shown, encoding)
    assert told["content_type"] == (content_type or "application/octet-stream")


async def test_an_explicit_delivery_is_over_when_it_is_acked(bus: TestBus) -> None:
    """Until then it is in flight, and no more go out than were granted."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(ack="explicit", credit=2))
        await bus.settle()
        await send(bus, 1, 2, 3)
        assert bodies(line) == [1, 2]
        assert bus.stats().in_flight == 2
        line.say({"op": "ack", "sid": 1, "dids": [1, 2, 2, 9]})
        await bus.settle()
        errors = line.ops("error")
        assert [(item["code"], item["did"]) for item in errors] == [
            ("already_settled", 2),
            ("already_settled", 9),
        ]
        line.say({"op": "credit", "sid": 1, "n": 1})
        await bus.settle()
        assert bodies(line) == [1, 2, 3]
        assert bus.stats().subjects[0].delivered == 2


async def test_a_naked_delivery_comes_again_and_a_terminated_one_is_dead(
    bus: TestBus,
) -> None:
    """As a handler of the host program would say it."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(ack="explicit"))
        await bus.settle()
        await send(bus, 1)
        line.say({"op": "nak", "sid": 1, "did": 1, "delay": 3})
        await bus.advance(2.9)
        assert len(bodies(line)) == 1
        await bus.advance(0.2)
        assert [item["attempt"] for item in line.ops("message")] == [1, 2]
        line.say({"op": "nak", "sid": 1, "did": 2, "delay": -1})
        line.say({"op": "term", "sid": 1, "did": 2, "reason": "no use"})
        line.say({"op": "term", "sid": 2, "did": 2})
        await bus.settle()
        assert [item["code"] for item in line.ops("error")] == [
            "malformed",
            "already_settled",
        ]
        assert [letter.reason for letter in bus.dead_letters] == ["no use"]
        await send(bus, 2)
        line.say({"op": "term", "sid": 1, "did": 3})
        await bus.settle()
        assert len(bus.dead_letters) == 2


async def test_a_lease_runs_from_when_a_delivery_was_sent(bus: TestBus) -> None:
    """A sign of life starts it anew; without one the message comes again."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(ack="explicit", ack_wait=2, backoff=[0.0]))
        await bus.settle()
        await send(bus, 1)
        for _ in range(3):
            await bus.advance(1.5)
            line.say({"op": "in_progress", "sid": 1, "did": 1})
            await bus.settle()
        assert len(bodies(line)) == 1
        await bus.advance(3)
        assert [item["attempt"] for item in line.ops("message")] == [1, 2]
        line.say({"op": "ack", "sid": 1, "dids": [1]})
        await bus.settle()
        assert line.ops("error")[0]["code"] == "already_settled"


async def test_waiting_for_credit_takes_no_attempt(bus: TestBus) -> None:
    """However long it takes, the first delivery is the first attempt."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(ack="explicit", ack_wait=1, credit=0))
        await bus.settle()
        await send(bus, 1)
        await bus.advance(30)
        assert bodies(line) == []
        line.say({"op": "credit", "sid": 1, "n": 1})
        await bus.settle()
        assert [item["attempt"] for item in line.ops("message")] == [1]


@pytest.mark.parametrize("ack", ["auto", "explicit"])
async def test_what_expires_while_it_waits_for_credit_is_not_sent(
    bus: TestBus, ack: str
) -> None:
    """Its time is looked at again before it goes."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(credit=0, ack=ack))
        await bus.settle()
        await bus.agent("planner").publish("a.b", 1, ttl=2)
        await bus.advance(5)
        line.say({"op": "credit", "sid": 1, "n": 5})
        await bus.advance(1)
        assert bodies(line) == []
        assert bus.stats().subjects[0].expired == 1


async def test_no_more_is_in_flight_than_the_connection_may_have(bus: TestBus) -> None:
    """Over all its subscriptions together."""
    async with Bench(bus, bus.clock, Allowance(in_flight=2)).running() as bench:
        line = bench.line("worker")
        line.say(
            subscribe(1, "a.b", ack="explicit"), subscribe(2, "a.*", ack="explicit")
        )
        await bus.settle()
        await send(bus, 1, 2)
        assert len(bodies(line)) == 2
        first = line.ops("message")[0]
        line.say({"op": "ack", "sid": first["sid"], "dids": [first["did"]]})
        await bus.settle()
        assert len(bodies(line)) == 3


async def test_a_client_that_does_not_read_is_sent_no_more_and_then_closed(
    bus: TestBus,
) -> None:
    """Others get theirs meanwhile, and nobody waits for it."""
    allowance = Allowance(outbound_bytes=4 * WS_FRAME_BYTES, slow_s=5)
    async with Bench(bus, bus.clock, allowance).running() as bench:
        slow, quick = bench.line("worker"), bench.line("critic")
        slow.say(subscribe(credit=1000, capacity=10))
        quick.say(subscribe(credit=1000))
        await bus.settle()
        slow.open.clear()
        await send(bus, *range(100))
        assert len(bodies(quick)) == 100
        slow.say({"op": "ping", "id": 1})
        await bus.advance(4)
        assert slow.closed is None
        await bus.advance(3)
        slow.open.set()
        await bus.settle()
        assert slow.over == 4408
        assert len(bodies(slow)) < 10
        assert not slow.ops("pong")
        assert bus.stats().subscriptions == 1


async def test_a_client_that_reads_again_goes_on(bus: TestBus) -> None:
    """What waited goes out in order, and what it sent meanwhile is read."""
    allowance = Allowance(outbound_bytes=4 * WS_FRAME_BYTES)
    async with Bench(bus, bus.clock, allowance).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(credit=1000))
        await bus.settle()
        line.open.clear()
        await send(bus, *range(20))
        line.say({"op": "ping", "id": 1})
        line.say({"op": "ping", "id": 2})
        await bus.settle()
        line.open.set()
        await bus.settle()
        assert bodies(line) == list(range(20))
        assert len(line.ops("pong")) == 2


async def test_unsubscribing_drains_and_tells_what_was_left(bus: TestBus) -> None:
    """What cannot be drained in time is dead."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(ack="explicit", credit=1))
        await bus.settle()
        await send(bus, 1, 2)
        leave = {"op": "unsubscribe", "id": 5, "sid": 1, "drain": 0}
        line.say(leave, {**leave, "id": 6})
        await bus.settle()
        assert line.ops("unsubscribed") == [
            {"op": "unsubscribed", "id": 5, "sid": 1, "left": 2}
        ]
        line.say({**leave, "id": 7}, {"op": "credit", "sid": 1, "n": 1})
        await bus.settle()
        assert [item["code"] for item in line.ops("error")] == [
            "usage",
            "not_found",
            "not_found",
        ]
        line.say(subscribe())
        await bus.settle()
        assert len(line.ops("subscribed")) == 2


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"pattern": "a..b"}, "bad_subject"),
        ({"capacity": 0}, "malformed"),
        ({"start": "yesterday"}, "malformed"),
        ({"sid": 7}, "malformed"),
    ],
)
async def test_a_subscription_that_cannot_be_is_refused(
    bus: TestBus, more: dict[str, Any], code: str
) -> None:
    """And the connection lives."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(7, "x"), {**subscribe(1), **more}, {"op": "ping", "id": 1})
        await bus.settle()
        (told,) = line.ops("error")
        assert (told["code"], told["id"]) == (code, 1)
        assert line.ops("pong")


async def test_policy_denies_a_subscription_with_reasons(bus: TestBus) -> None:
    """As it would for an agent of the host program."""
    async with Bench(bus, bus.clock, Allowance(subscriptions=1)).running() as bench:
        line = bench.line("intern")
        line.say(
            subscribe(1, "secret.>"), subscribe(2, "notes.*"), subscribe(3, "notes.*")
        )
        await bus.settle()
    denied, many, _ = line.ops("error")
    assert (denied["code"], denied["sid"]) == ("denied", 1)
    assert denied["reasons"]
    assert denied["decision_id"]
    assert many["code"] == "limit_exceeded"


async def test_a_subscription_that_policy_ends_is_told(bus: TestBus) -> None:
    """Without the client asking."""
    given = data()
    bus = new_bus(given)
    async with bus, Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(ack="explicit"))
        await bus.settle()
        await send(bus, 1)
        given["roles"]["all"]["subscribe"] = ["other.>"]
        await reload(bus)
        await bus.advance(1.5)
        assert line.closed is None
        assert [(item["sid"], item["code"]) for item in line.ops("ended")] == [
            (1, "denied")
        ]


async def test_what_a_lost_connection_held_is_another_s_at_once(kept: TestBus) -> None:
    """A durable subscription goes on where it was, on a new connection."""
    async with Bench(kept, kept.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(ack="explicit", durable="w", start="all"))
        await kept.settle()
        assert line.ops("subscribed")[0] == {
            "op": "subscribed",
            "id": 1,
            "sid": 1,
            "kept": True,
            "consumer": "w",
        }
        await send(kept, 1, 2, 3)
        line.say({"op": "ack", "sid": 1, "dids": [1]})
        await kept.settle()
        line.leave()
        await kept.settle()
        assert bench.connections.of("worker") == 0
        await send(kept, 4)
        again = bench.line("worker")
        again.say(subscribe(ack="explicit", durable="w"))
        await kept.settle()
        assert bodies(again) == [2, 3, 4]
        assert [item["attempt"] for item in again.ops("message")] == [2, 2, 1]
        assert all(item["number"] and item["token"] for item in again.ops("message"))


async def test_a_second_connection_has_to_go_on_with_the_first(kept: TestBus) -> None:
    """A durable name is one subscription's; whoever comes back says which session."""
    async with Bench(kept, kept.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(ack="explicit"))
        await kept.settle()
        await send(kept, 1)
        other = bench.line("worker")
        other.say(subscribe(ack="explicit"))
        await kept.settle()
        assert other.ops("error")[0]["code"] == "usage"
        session = line.ops("connected")[0]["session"]
        back = bench.line()
        back.say(
            {"op": "connect", "token": "worker", "resume": session},
            subscribe(ack="explicit"),
        )
        await kept.settle()
        assert line.over == 4409
        assert bodies(back) == [1]


async def test_forgetting_a_durable_subscription_takes_what_was_kept(
    kept: TestBus,
) -> None:
    """One that keeps nothing cannot be forgotten, and goes on."""
    async with Bench(kept, kept.clock).running() as bench:
        line = bench.line("worker")
        line.say(subscribe(1), subscribe(2, "b.>", durable=False))
        await kept.settle()
        forget = {"op": "unsubscribe", "id": 5, "drain": 0, "forget": True}
        line.say({**forget, "sid": 1}, {**forget, "sid": 2})
        await kept.settle()
        assert [item["sid"] for item in line.ops("unsubscribed")] == [1]
        assert [item["sid"] for item in line.ops("error")] == [2]
        await send(kept, 7, subject="b.c")
        assert bodies(line) == [7]


@pytest.mark.parametrize("durable", [True, False])
async def test_a_connection_ends_after_its_bus_has_closed(*, durable: bool) -> None:
    """As when a node stops: what was out when draining ended is nobody's any more."""
    bus = new_bus(store=StoreSettings(kind="memory"))
    async with bus, Bench(bus, bus.clock).running() as bench:
        line = bench.line("worker")
        line.say(
            subscribe(ack="explicit", durable=durable),
            subscribe(2, "b.>", ack="auto", credit=0, durable=durable),
        )
        await bus.settle()
        await send(bus, 1)
        await send(bus, 2, subject="b.c")
        bench.connections.drain(1.0)
        await bus.close()
        line.say({"op": "ack", "sid": 1, "dids": [1]})
        await bus.settle()
        bench.connections.end(lambda _: True, Ending("going_away", "the node stops"))
        await bus.settle()
        assert line.closed == (1001, "the node stops")
        assert line.ops("error")[0]["code"] == "already_settled"
        assert bench.tasks[0].done()


async def test_acks_sent_while_the_bus_drains_are_taken(kept: TestBus) -> None:
    """What is out is settled in that time, so that it does not come again."""
    async with Bench(kept, kept.clock).running() as bench, Background() as background:
        line = bench.line("worker")
        line.say(subscribe(ack="explicit"))
        await kept.settle()
        await send(kept, 1)
        bench.connections.drain(5.0)
        closing = background.run(kept.close(drain=5.0))
        await kept.settle()
        line.say({"op": "ack", "sid": 1, "dids": [1]})
        assert await closing == 0
        assert not line.ops("error")
