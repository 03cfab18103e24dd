"""A connection: let in, served in order, and sent away with the right code."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bus.core import frames
from bus.core.edgelimits import FRAME_ITEMS_MAX
from bus.edge.connections import Ending
from bus.edge.session.allowance import Allowance
from bus.testing import TestBus
from tests.fakes.buses import data, new_bus
from tests.fakes.lines import Bench, FakeLine

PING = {"op": "ping", "id": 1}


@pytest.fixture
async def bus() -> AsyncIterator[TestBus]:
    """A bus that runs."""
    made = new_bus()
    async with made:
        yield made


async def closed_with(bus: TestBus, line: FakeLine) -> int:
    """Let the session end; return the code it closed with."""
    await bus.settle()
    assert line.closed is not None
    return line.closed[0]


async def test_who_shows_a_token_is_connected_as_its_agent(bus: TestBus) -> None:
    """And told whose connection it is, and what it may do."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        await bus.settle()
        (told,) = line.got
    assert (told["op"], told["agent"], told["tenant"]) == (
        "connected",
        "planner",
        "acme",
    )
    assert told["roles"] == ["all"]
    assert told["durable"] is False
    assert told["revision"] == bus.revision
    assert told["limits"]["frame_items"] == FRAME_ITEMS_MAX
    assert len(told["session"]) == 32


@pytest.mark.parametrize("kind", [frames.TEXT, frames.BINARY])
async def test_frames_are_answered_in_the_kind_they_came_in(
    bus: TestBus, kind: frames.Kind
) -> None:
    """The first frame decides, and what is ready goes out in one frame."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line(kind=kind)
        line.say({"op": "connect", "token": "planner"}, PING, {"op": "ping", "id": 2})
        await bus.settle()
    assert [item["op"] for item in line.sent[0]] == ["connected", "pong", "pong"]
    assert [item["id"] for item in line.ops("pong")] == [1, 2]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b'{"op":"ping","id":1}', 4400),
        (b"{}", 4400),
        (b"", 4400),
        (b"[]", 4400),
        (b"\xff\xfe", 4400),
        (b'[{"op":"connect","token":"planner"},{"op":"connect"}]', 4400),
        (b'{"op":"connect"}', 4401),
        (b'{"op":"connect","token":"wrong"}', 4401),
        (b'{"op":"connect","token":"nobody"}', 4401),
        (b'{"op":"connect","token":"planner","more":1}', 4400),
    ],
)
async def test_who_does_not_connect_properly_is_sent_away(
    bus: TestBus, frame: bytes, code: int
) -> None:
    """With a code that says whose fault it is, and an error before it."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line()
        line.say_raw(frame)
        assert await closed_with(bus, line) == code
        assert line.got[-1]["op"] == "error"
        assert len(bench.connections) == 0


@pytest.mark.parametrize(
    ("frame", "kind", "code"),
    [
        (b'{"op":"connect","token":"planner"}', frames.TEXT, 4400),
        (b'{"op":"pong","id":1}', frames.TEXT, 4400),
        (b'{"op":"ping","id":0}', frames.TEXT, 4400),
        (b'{"op":"ping","id":1', frames.TEXT, 4400),
        (b'[{"op":"ping","id":1},{"op":"what"}]', frames.TEXT, 4400),
        (b"\x81\xa2op\xa4ping", frames.BINARY, 1003),
        (b'{"op":"ping","id":1}' + b" " * 4000, frames.TEXT, 4413),
    ],
)
async def test_a_frame_that_breaks_the_protocol_ends_the_connection(
    bus: TestBus, frame: bytes, kind: frames.Kind, code: int
) -> None:
    """And nothing of it is done."""
    allowance = Allowance(frame_bytes=4000)
    async with Bench(bus, bus.clock, allowance).running() as bench:
        line = bench.line("planner")
        await bus.settle()
        line.say_raw(frame, binary=kind.binary)
        assert await closed_with(bus, line) == code
        assert not line.ops("pong")
        assert len(bench.connections) == 0


async def test_more_objects_than_the_node_allows_end_the_connection(
    bus: TestBus,
) -> None:
    """The settings may allow fewer than the protocol."""
    async with Bench(bus, bus.clock, Allowance(frame_items=2)).running() as bench:
        line = bench.line("planner")
        line.say(PING, PING)
        line.say(PING, PING, PING)
        assert await closed_with(bus, line) == 4400
        assert len(line.ops("pong")) == 2


async def test_who_says_nothing_is_not_waited_for(bus: TestBus) -> None:
    """A line that is opened and left costs a stated time at most."""
    async with Bench(bus, bus.clock, Allowance(connect_s=0.001)).running() as bench:
        line = bench.line()
        while line.closed is None:
            await bus.settle()
        assert line.closed[0] == 4400
        assert "no connect frame" in line.got[-1]["detail"]


async def test_who_leaves_before_saying_anything_leaves_nothing(bus: TestBus) -> None:
    """No error is told to somebody who has gone."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line()
        line.leave()
        await bus.settle()
        assert line.closed == (1000, "")
        assert line.got == []
        assert bench.tasks[0].done()


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("unauthenticated", 4401),
        ("quarantined", 4403),
        ("going_away", 1001),
    ],
)
async def test_the_node_may_end_a_connection(bus: TestBus, why: Any, code: int) -> None:
    """A credential that ended, a quarantine, a stop: the client is told which."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        await bus.settle()
        assert bench.connections.end(lambda _: True, Ending(why, "told so")) == 1
        assert await closed_with(bus, line) == code
        assert line.got[-1] == {"op": "error", "code": why, "detail": "told so"}
        assert len(bench.connections) == 0
        assert bench.house.sessions == {}


async def test_a_node_that_drains_says_so_and_takes_no_subscription(
    bus: TestBus,
) -> None:
    """What is under way goes on: publishes, acks, pings."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        await bus.settle()
        bench.connections.drain(7.0)
        line.say(
            {"op": "subscribe", "id": 1, "sid": 1, "pattern": "a", "credit": 1},
            {"op": "ping", "id": 2},
            {"op": "publish", "id": 3, "subject": "a", "body": 1},
        )
        await bus.settle()
        late = bench.line("critic")
        assert await closed_with(bus, late) == 4429
    assert line.ops("draining") == [{"op": "draining", "seconds": 7.0}]
    assert line.ops("error")[0]["code"] == "unavailable"
    assert line.ops("pong")[0]["id"] == 2
    assert line.ops("outcome")[0]["code"] == "no_responders"


async def test_a_session_is_gone_on_with_on_another_line(bus: TestBus) -> None:
    """The former line ends first: what it held is free for the new one."""
    async with Bench(bus, bus.clock).running() as bench:
        old = bench.line("planner")
        await bus.settle()
        name = old.got[0]["session"]
        foreign = bench.line()
        foreign.say({"op": "connect", "token": "critic", "resume": name})
        await bus.settle()
        assert [one.closed for one in (old,)] == [None]
        new = bench.line()
        new.say({"op": "connect", "token": "planner", "resume": name})
        await bus.settle()
        assert old.over == 4409
        assert new.got[0]["op"] == "connected"
        assert new.got[0]["session"] != name
        assert bench.connections.of("planner") == 1


async def test_an_agent_that_is_gone_from_policy_data_is_sent_away() -> None:
    """Policy is asked again after a change, without the client doing anything."""
    given = data()
    bus = new_bus(given)
    async with bus, Bench(bus, bus.clock).running() as bench:
        line, other = bench.line("planner"), bench.line("critic")
        await bus.settle()
        del given["agents"]["planner"]
        await bus.reload_policy()
        await bus.advance(2.5)
        assert line.closed is not None
        assert line.closed[0] == 4401
        assert other.closed is None


async def test_a_line_that_breaks_while_it_is_written_to_is_lost(bus: TestBus) -> None:
    """As if the client had left."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        await bus.settle()
        line.broken = True
        line.say(PING)
        await bus.settle()
        assert line.closed == (1000, "")
        assert len(bench.connections) == 0


async def test_a_cancelled_session_says_goodbye_and_leaves_nothing(
    bus: TestBus,
) -> None:
    """As when the server stops without waiting."""
    async with Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        await bus.settle()
        bench.tasks[0].cancel()
        await bus.settle()
        assert line.closed == (1001, "the node stops")
        assert bench.tasks[0].cancelled()
        assert len(bench.connections) == 0
