"""Requests and replies over connections, and the lineage of what comes of a delivery."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bus.core import frames
from bus.edge.session import asking
from bus.subscription import Delivery
from bus.testing import TestBus
from tests.fakes.buses import new_bus
from tests.fakes.lines import Bench, FakeLine


@pytest.fixture
async def bus() -> AsyncIterator[TestBus]:
    """A bus that runs."""
    made = new_bus()
    async with made:
        yield made


def request(call: int = 1, **more: Any) -> dict[str, Any]:
    """Return a request."""
    return {"op": "request", "id": call, "subject": "a.q", "body": [1], **more}


def subscribe(ack: str) -> dict[str, Any]:
    """Return a subscribe to what is asked."""
    return {
        "op": "subscribe",
        "id": 1,
        "sid": 1,
        "pattern": "a.q",
        "credit": 9,
        "ack": ack,
    }


async def asked(bus: TestBus, bench: Bench, ack: str) -> tuple[FakeLine, FakeLine]:
    """Return the lines of who answers and who asks, with a request on its way."""
    server, client = bench.line("worker"), bench.line("planner")
    server.say(subscribe(ack))
    await bus.settle()
    client.say(request())
    await bus.settle()
    return server, client


@pytest.mark.parametrize("ack", ["auto", "explicit"])
async def test_a_request_is_answered(bus: TestBus, ack: str) -> None:
    """With automatic acks the reply settles it, else an ack does."""
    async with Bench(bus, bus.clock).running() as bench:
        server, client = await asked(bus, bench, ack)
        (query,) = server.ops("message")
        assert query["type"] == "query"
        server.say({"op": "reply", "id": 2, "sid": 1, "did": 1, "body": {"b": 2}})
        await bus.settle()
        assert client.ops("answer") == [
            {
                "op": "answer",
                "id": 1,
                "body": {"b": 2},
                "content_type": "application/msgpack",
            }
        ]
        assert server.ops("outcome")[0]["status"] == "accepted"
        server.say({"op": "ack", "sid": 1, "dids": [1]})
        await bus.settle()
        assert bool(server.ops("error")) is (ack == "auto")
        assert bus.stats().in_flight == 0


async def test_a_request_acked_without_a_reply_is_answered_with_nothing(
    bus: TestBus,
) -> None:
    """As by a handler that returns nothing."""
    async with Bench(bus, bus.clock).running() as bench:
        server, client = await asked(bus, bench, "explicit")
        server.say({"op": "ack", "sid": 1, "dids": [1]})
        await bus.settle()
        assert client.ops("answer")[0]["body"] is None


@pytest.mark.parametrize(
    ("kind", "reply", "body", "content_type"),
    [
        (frames.TEXT, {"body": "AP8=", "encoding": "base64"}, "AP8=", "octet-stream"),
        (
            frames.BINARY,
            {"body": b"\x00\xff", "content_type": "application/octet-stream"},
            "AP8=",
            "octet-stream",
        ),
        (
            frames.BINARY,
            {"body": [1], "content_type": "application/json"},
            [1],
            "msgpack",
        ),
    ],
)
async def test_a_reply_is_a_value_or_octets(
    bus: TestBus, kind: frames.Kind, reply: Any, body: Any, content_type: str
) -> None:
    """Whatever kind of frames the two sides use."""
    async with Bench(bus, bus.clock).running() as bench:
        server, client = bench.line("worker", kind=kind), bench.line("planner")
        server.say(subscribe("auto"))
        await bus.settle()
        client.say(request())
        await bus.settle()
        server.say({"op": "reply", "id": 2, "sid": 1, "did": 1, **reply})
        await bus.settle()
        (told,) = client.ops("answer")
        assert told["body"] == body
        assert told["content_type"] == f"application/{content_type}"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ({"did": 2}, "already_settled"),
        ({"sid": 2}, "already_settled"),
        ({"content_type": "text/plain"}, "bad_body"),
        ({"body": "?", "encoding": "base64"}, "bad_body"),
        ({"encoding": "base64", "content_type": "application/json"}, "bad_body"),
    ],
)
async def test_a_reply_that_cannot_be_is_refused(
    bus: TestBus, reply: Any, code: str
) -> None:
    """And the request is still open."""
    async with Bench(bus, bus.clock).running() as bench:
        server, client = await asked(bus, bench, "explicit")
        server.say({"op": "reply", "id": 2, "sid": 1, "did": 1, "body": 1, **reply})
        await bus.settle()
        assert server.ops("error")[0]["code"] == code
        assert not client.ops("answer")
        assert bus.stats().in_flight == 1


@pytest.mark.parametrize(
    ("agent", "more", "code"),
    [
        ("planner", {"subject": "nobody.there"}, "no_responders"),
        ("planner", {"subject": "a..q"}, "bad_subject"),
        ("planner", {"timeout": 0}, "malformed"),
        ("planner", {"body": "?", "encoding": "base64"}, "bad_body"),
        ("planner", {"did": 4}, "malformed"),
        ("intern", {"subject": "a.q"}, "denied"),
    ],
)
async def test_a_request_that_does_not_get_through_is_told_why(
    bus: TestBus, agent: str, more: Any, code: str
) -> None:
    """As an error of that call."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line(agent)
        line.say({**request(), **more})
        await bus.settle()
        (told,) = line.ops("error")
        assert (told["id"], told["code"]) == (1, code)


async def test_a_request_that_nobody_answers_times_out(bus: TestBus) -> None:
    """And one whose handler gives it up is told so at once."""
    async with Bench(bus, bus.clock).running() as bench:
        server, client = await asked(bus, bench, "explicit")
        client.say(request(2, timeout=3))
        await bus.settle()
        server.say({"op": "term", "sid": 1, "did": 1})
        await bus.settle()
        assert client.ops("error")[0]["code"] == "remote_fault"
        await bus.advance(4)
        assert client.ops("error")[1]["code"] == "timeout"


async def test_more_requests_at_once_than_allowed_are_refused(
    bus: TestBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With when to try again."""
    monkeypatch.setattr(asking, "WS_REQUESTS_MAX", 1)
    async with Bench(bus, bus.clock).running() as bench:
        _, client = await asked(bus, bench, "explicit")
        client.say(request(2))
        await bus.settle()
        (told,) = client.ops("error")
        assert (told["code"], told["id"]) == ("overloaded", 2)
        assert told["retry_after"] > 0


async def test_what_comes_of_a_delivery_descends_from_it(bus: TestBus) -> None:
    """Root, parent, depth and authors are the bus's own, never the frame's."""
    got: list[Delivery] = []

    async def keep(delivery: Delivery) -> None:
        got.append(delivery)

    async def answer(delivery: Delivery) -> None:
        await delivery.reply("answered")

    bus.agent("critic").subscribe("b.>", keep)
    bus.agent("spy").subscribe("b.>", keep)
    bus.agent("critic").subscribe("c.ask", answer)
    async with Bench(bus, bus.clock).running() as bench:
        server, _ = await asked(bus, bench, "explicit")
        (query,) = server.ops("message")
        server.say({"op": "publish", "id": 2, "subject": "b.x", "body": 1, "did": 1})
        await bus.settle()
        server.say({**request(3), "subject": "c.ask", "did": 1})
        await bus.settle()
        assert server.ops("answer")[0]["body"] == "answered"
        server.say({"op": "publish", "id": 4, "subject": "b.y", "body": 1, "did": 1})
        await bus.settle()
    first, second = (delivery.message for delivery in got)
    assert first.parent is not None
    assert first.parent.hex() == query["id"]
    assert (first.depth, first.authors) == (1, ("planner",))
    assert set(second.authors) == {"worker", "critic", "planner"}


async def test_ending_a_connection_ends_its_requests(bus: TestBus) -> None:
    """Nobody waits for an answer that has nobody to go to."""
    async with Bench(bus, bus.clock).running() as bench:
        server, client = await asked(bus, bench, "explicit")
        client.leave()
        await bus.settle()
        assert client.over == 1000
        server.say({"op": "reply", "id": 2, "sid": 1, "did": 1, "body": 1})
        await bus.settle()
        assert server.ops("outcome")[0]["status"] in {"accepted", "failed"}
        assert not client.ops("answer")
