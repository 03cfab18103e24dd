"""Publishing over a connection: in order, each with its outcome, none lost unsaid."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from bus.core import frames
from bus.edge.connections import Ending
from bus.edge.session.allowance import Allowance, Bucket
from bus.subscription import Delivery
from bus.testing import TestBus
from tests.fakes.buses import new_bus
from tests.fakes.lines import Bench


@pytest.fixture
async def bus() -> AsyncIterator[TestBus]:
    """A bus that runs."""
    made = new_bus()
    async with made:
        yield made


class Kept:
    """Deliveries that an agent of the host program got."""

    def __init__(
        self, bus: TestBus, pattern: str = "a.>", agent: str = "worker"
    ) -> None:
        self.got: list[Delivery] = []
        bus.agent(agent).subscribe(pattern, self.take)

    async def take(self, delivery: Delivery) -> None:
        """Keep it."""
        self.got.append(delivery)


def publish(call: int, subject: str = "a.b", **more: Any) -> dict[str, Any]:
    """Return a publish."""
    return {"op": "publish", "id": call, "subject": subject, "body": call, **more}


async def test_publishes_of_one_frame_are_accepted_in_order(bus: TestBus) -> None:
    """And their outcomes go out together."""
    kept = Kept(bus)
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        await bus.settle()
        line.say(*(publish(n) for n in range(1, 301)))
        await bus.settle()
    outcomes = line.ops("outcome")
    assert [item["id"] for item in outcomes] == list(range(1, 301))
    assert {item["status"] for item in outcomes} == {"accepted"}
    assert outcomes[0]["deliveries"] == 1
    assert outcomes[0]["revision"] == bus.revision
    assert [msgspec.json.decode(d.message.body) for d in kept.got] == list(
        range(1, 301)
    )
    assert [d.message.id.hex() for d in kept.got] == [
        item["message_id"] for item in outcomes
    ]
    assert kept.got[0].message.sender == "planner"
    assert len(line.sent) < 10


async def test_every_field_of_a_publish_reaches_the_message(bus: TestBus) -> None:
    """As an agent of the host program sets them."""
    kept = Kept(bus)
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        line.say(
            publish(
                1,
                type="command",
                priority=3,
                headers={"x": "y"},
                ttl=60,
                reply_to="a.answers",
                correlation="c",
                causation="d",
                ordering_key="k",
                wait=1.5,
            )
        )
        await bus.settle()
    message = kept.got[0].message
    assert (message.type, message.priority) == ("command", 3)
    assert message.headers == {"x": "y", "assent-ordering-key": "k"}
    assert (message.reply_to, message.correlation, message.causation) == (
        "a.answers",
        "c",
        "d",
    )
    assert message.expires_ns == message.created_ns + 60 * 10**9


@pytest.mark.parametrize(
    ("kind", "more", "body", "content_type"),
    [
        (frames.TEXT, {"body": {"a": [1]}}, b'{"a":[1]}', "application/json"),
        (
            frames.TEXT,
            {"body": "AAH/", "encoding": "base64"},
            b"\x00\x01\xff",
            "application/octet-stream",
        ),
        (
            frames.TEXT,
            {"body": "AAH/", "encoding": "base64", "content_type": "image/png"},
            b"\x00\x01\xff",
            "image/png",
        ),
        (
            frames.TEXT,
            {"body": [1], "content_type": "application/msgpack"},
            b"\x91\x01",
            "application/msgpack",
        ),
        (
            frames.BINARY,
            {"body": {"a": [1]}},
            b"\x81\xa1a\x91\x01",
            "application/msgpack",
        ),
        (
            frames.BINARY,
            {"body": b"\x00\xff", "content_type": "image/png"},
            b"\x00\xff",
            "image/png",
        ),
        (
            frames.BINARY,
            {"body": b"\x00\xff", "encoding": "bin"},
            b"\x00\xff",
            "application/octet-stream",
        ),
        (
            frames.BINARY,
            {"body": [1], "content_type": "application/json"},
            b"[1]",
            "application/json",
        ),
    ],
)
async def test_a_body_is_kept_as_what_the_frame_says(
    bus: TestBus, kind: frames.Kind, more: Any, body: bytes, content_type: str
) -> None:
    """A value of either kind, or octets."""
    kept = Kept(bus)
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner", kind=kind)
        line.say(publish(1, **more))
        await bus.settle()
    assert line.ops("outcome")[0]["status"] == "accepted"
    assert kept.got[0].message.body == body
    assert kept.got[0].message.content_type == content_type


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"subject": "a..b"}, "bad_subject"),
        ({"type": "song"}, "malformed"),
        ({"priority": 9}, "malformed"),
        ({"headers": {"a b": "c"}}, "malformed"),
        ({"ttl": 0}, "malformed"),
        ({"wait": -1}, "malformed"),
        ({"delay": "yesterday"}, "malformed"),
        ({"reply_to": "$INBOX.x"}, "bad_subject"),
        ({"body": "?", "encoding": "base64"}, "bad_body"),
        ({"body": "aGk=", "encoding": "bin"}, "bad_body"),
        ({"content_type": "text/plain"}, "bad_body"),
        ({"did": 1}, "malformed"),
        ({"body": "x" * 1_050_000}, "limit_exceeded"),
    ],
)
async def test_what_breaks_the_contract_is_rejected_and_the_connection_lives(
    bus: TestBus, more: dict[str, Any], code: str
) -> None:
    """With a message id, under which it is recorded."""
    kept = Kept(bus)
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        line.say({**publish(1), **more}, publish(2))
        await bus.settle()
        first, second = line.ops("outcome")
        assert line.closed is None
    assert (first["status"], first["code"]) == ("rejected", code)
    assert len(first["message_id"]) == 32
    assert second["status"] == "accepted"
    assert [d.message.body for d in kept.got] == [b"2"]


async def test_what_policy_denies_is_told_with_its_reasons(bus: TestBus) -> None:
    """A deny is an outcome, not a fault of the connection."""
    Kept(bus, ">")
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("intern")
        line.say(publish(1, "secret.plan"))
        await bus.settle()
    (told,) = line.ops("outcome")
    assert (told["status"], told["code"]) == ("denied", "denied")
    assert told["reasons"]
    assert told["revision"] == bus.revision


async def test_a_publish_that_waits_holds_up_only_those_behind_it(
    bus: TestBus,
) -> None:
    """Pings, acks and subscriptions go on; the order of publishes stays."""
    kept: list[Delivery] = []
    agent = bus.agent("worker")

    async def stay(delivery: Delivery) -> None:
        kept.append(delivery)
        if len(kept) == 1:
            await stopped.wait()

    stopped = asyncio.Event()
    agent.subscribe("a.full", stay, capacity=1)
    Kept(bus, "a.free")
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        line.say(*(publish(n, "a.full") for n in (1, 2, 3)), publish(4, "a.free"))
        await bus.settle()
        line.say({"op": "ping", "id": 9})
        await bus.settle()
        assert line.ops("pong")
        assert [item["id"] for item in line.ops("outcome")] == [1, 2]
        stopped.set()
        await bus.settle()
        assert [item["id"] for item in line.ops("outcome")] == [1, 2, 3, 4]


async def test_more_than_may_be_under_way_is_refused(bus: TestBus) -> None:
    """With when to try again, and without a message: the bus never saw it."""
    bus.agent("worker").subscribe("a.b", _never, capacity=1)
    async with Bench(
        bus, bus.clock, Allowance(publishes_in_flight=3)
    ).running() as bench:
        line = bench.line("planner")
        line.say(*(publish(n) for n in range(1, 7)))
        await bus.settle()
        refused = [item for item in line.ops("outcome") if item["status"] == "failed"]
        assert [item["id"] for item in refused] == [4, 5, 6]
        assert refused[0]["code"] == "overloaded"
        assert refused[0]["retry_after"] > 0
        assert refused[0]["message_id"] == ""


async def _never(delivery: Delivery) -> None:
    del delivery
    await asyncio.Event().wait()


async def test_more_than_the_rate_is_refused_until_time_has_passed(
    bus: TestBus,
) -> None:
    """The rate is a connection's own."""
    Kept(bus)
    async with Bench(
        bus, bus.clock, Allowance(messages_per_second=2)
    ).running() as bench:
        line, other = bench.line("planner"), bench.line("critic")
        line.say(*(publish(n) for n in range(1, 5)))
        other.say(publish(1))
        await bus.settle()
        told = {item["id"]: item["status"] for item in line.ops("outcome")}
        assert told == {1: "accepted", 2: "accepted", 3: "failed", 4: "failed"}
        line.say({"op": "request", "id": 7, "subject": "a.b", "body": 1})
        await bus.advance(0.5)
        line.say(publish(5))
        await bus.settle()
    assert line.ops("error")[0]["code"] == "overloaded"
    assert line.ops("outcome")[-1]["status"] == "accepted"
    assert other.ops("outcome")[0]["status"] == "accepted"


def test_a_bucket_goes_on_when_the_clock_was_set_back() -> None:
    """What was taken before is forgotten then."""
    now = [10**18]
    bucket = Bucket(2, lambda: now[0])
    assert [bucket.take() for _ in range(2)] == [0.0, 0.0]
    assert 0 < bucket.take() <= 0.5
    now[0] -= 10**15
    assert bucket.take() > 0
    assert bucket.take() == 0.0


async def test_what_was_published_before_the_client_left_is_carried_out(
    bus: TestBus,
) -> None:
    """Publish and hang up: nothing is lost by that."""
    kept = Kept(bus)
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        await bus.settle()
        line.say(*(publish(n) for n in range(1, 501)))
        line.leave()
        await bus.settle()
        assert line.closed == (1000, "")
    assert len(kept.got) == 500


async def test_what_a_revoked_client_had_under_way_ends(bus: TestBus) -> None:
    """And leaves nothing behind in the bus."""
    bus.agent("worker").subscribe("a.b", _never, capacity=1)
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        line.say(*(publish(n) for n in range(1, 5)))
        await bus.settle()
        bench.connections.end(lambda _: True, Ending("quarantined", "out"))
        await bus.settle()
        assert line.closed == (4403, "out")
        assert bench.tasks[0].done()
    assert bus.stats().subjects[0].accepted <= 2


async def test_what_is_published_once_the_bus_is_closed_fails() -> None:
    """Each publish is told so."""
    bus = new_bus()
    async with bus, Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        await bus.settle()
        await bus.close()
        line.say(publish(1), {"op": "request", "id": 2, "subject": "a", "body": 1})
        await bus.settle()
    assert line.ops("outcome")[0]["code"] == "unavailable"
    assert line.ops("error")[0]["code"] == "not_started"
