"""Parts of a session by themselves: what is written how, and policy that takes time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from bus.core import clientframes as client, serverframes as server
from bus.core.edgelimits import FRAME_ITEMS_MAX, WS_BATCH_BYTES
from bus.core.errors import BusError, DeniedError, PolicyUnavailableError
from bus.edge.session.allowance import Allowance
from bus.edge.session.desk import Desk
from bus.edge.session.outbound import Outbound
from bus.edge.session.publishing import Publishing
from bus.edge.session.subscribing import Subscribing
from bus.testing import FakeClock
from tests.fakes.buses import Background, new_bus
from tests.fakes.lines import Bench, FakeLine

DENIED = DeniedError(("no",), decision_id="d", revision="r")


def desk_of(line: FakeLine) -> Desk:
    """Return a desk whose frames go to a line."""
    clock = FakeClock()
    return Desk(Outbound(line, 1 << 20, clock.now_ns), clock, 10)


async def turns() -> None:
    """Let what is under way go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_many_frames_are_written_in_as_few_as_hold_them() -> None:
    """In order; no frame has more objects, or more bytes, than one should."""
    line = FakeLine()
    outbound = desk_of(line).outbound
    for number in range(1, FRAME_ITEMS_MAX + 11):
        outbound.add(server.Pong(number))
    outbound.flush()
    assert line.sent == []  # that is `write`'s
    outbound.shut()
    await outbound.write()
    assert [len(frame) for frame in line.sent] == [FRAME_ITEMS_MAX, 10]
    assert [item["id"] for item in line.got] == list(range(1, FRAME_ITEMS_MAX + 11))


async def test_large_answers_go_one_by_one() -> None:
    """A client's library may take no frame that is too long."""
    line = FakeLine()
    outbound = desk_of(line).outbound
    body = msgspec.json.encode("x" * (WS_BATCH_BYTES // 2))
    for number in range(1, 4):
        outbound.add(server.Answer(number, msgspec.Raw(body), "t"), len(body))
    outbound.add(server.Pong(4))
    outbound.shut()
    outbound.add(server.Pong(5))
    await outbound.write()
    assert [[item["id"] for item in frame] for frame in line.sent] == [[1], [2], [3, 4]]


async def test_what_is_flushed_is_not_written_again() -> None:
    """And what cannot be sent at once stays for the next turn."""
    line = FakeLine()
    outbound = desk_of(line).outbound
    outbound.add(server.Pong(1))
    outbound.flush()
    outbound.flush()
    line.open.clear()
    outbound.add(server.Pong(2))
    outbound.flush()
    line.open.set()
    outbound.shut()
    await outbound.write()
    assert [[item["id"] for item in frame] for frame in line.sent] == [[1], [2]]


@pytest.mark.parametrize(
    ("error", "status"), [(DENIED, "denied"), (PolicyUnavailableError("x"), "failed")]
)
async def test_publishes_of_an_agent_that_may_not_connect_any_more_end(
    error: BusError, status: str
) -> None:
    """All that waited are told, and none is begun."""
    agent: Any = StubAgent()
    agent.refusal = error
    line = FakeLine()
    desk = desk_of(line)
    publishing = Publishing(desk, agent, Allowance())
    async with Background() as background:
        carried_out = background.run(publishing.run())
        await turns()
        for number in (1, 2):
            publishing.take(client.Publish(number, "a", msgspec.Raw(b"1")))
        settled = background.run(publishing.settled())
        await turns()
        assert settled.done()
        assert not carried_out.done()
    desk.outbound.flush()
    assert [(item["id"], item["status"]) for item in line.got] == [
        (1, status),
        (2, status),
    ]


class StubAgent:
    """An agent whose subscriptions policy takes time over."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.refusal: BusError | None = None
        self.consumer = None
        self.closed = False
        self.size = 0

    def lane(self) -> None:
        """Have none."""

    async def connected(self) -> None:
        """Be refused."""
        if self.refusal is not None:
            raise self.refusal

    def subscribe(self, *given: Any, **more: Any) -> "StubAgent":
        """Return a subscription: itself."""
        del given, more
        return self

    async def ready(self) -> None:
        """Wait for policy's answer."""
        await self.answer.wait()
        if self.refusal is not None:
            raise self.refusal


@pytest.mark.parametrize("refusal", [None, DENIED])
async def test_a_subscription_that_waits_for_policy_is_told_later(
    refusal: BusError | None,
) -> None:
    """And cannot be ended before."""
    agent: Any = StubAgent()
    line = FakeLine()
    desk = desk_of(line)
    async with Background() as background:
        start: Callable[[Coroutine[Any, Any, None]], object] = background.run
        subscribing = Subscribing(desk, agent, 10, start, durable=False)
        subscribing.subscribe(client.Subscribe(1, 1, "a", 5))
        with pytest.raises(BusError, match="joining"):
            subscribing.unsubscribe(client.Unsubscribe(2, 1))
        await turns()
        desk.outbound.flush()
        assert line.got == []
        agent.refusal = refusal
        agent.answer.set()
        await turns()
    desk.outbound.flush()
    (told,) = line.got
    assert told["op"] == ("subscribed" if refusal is None else "error")
    assert bool(subscribing.feeds) is (refusal is None)


async def test_a_subscription_that_is_turned_away_at_once_is_not_there() -> None:
    """Its number is free again."""
    agent: Any = StubAgent()
    agent.refusal = DENIED
    agent.answer.set()
    async with Background() as background:
        subscribing = Subscribing(
            desk_of(FakeLine()), agent, 10, background.run, durable=False
        )
        with pytest.raises(DeniedError):
            subscribing.subscribe(client.Subscribe(1, 1, "a", 5))
        assert subscribing.feeds == {}


async def test_a_fault_of_our_own_ends_one_connection_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged, and the client learns nothing of the inside."""
    bus = new_bus()
    async with bus, Bench(bus, bus.clock).running() as bench:
        line, other = bench.line("planner"), bench.line("critic")
        await bus.settle()
        line._coming.put_nowait((None, False))  # type: ignore[arg-type]  # noqa: SLF001 - what no line gives
        await bus.settle()
        assert line.over == 1011
        assert line.got[-1]["code"] == "internal"
        assert [one.closed for one in (other,)] == [None]
    assert "failed" in caplog.text


async def test_an_end_that_takes_too_long_is_cut_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that reads nothing cannot hold its place."""
    monkeypatch.setattr("bus.edge.session.session.WS_CLOSE_S", 0.01)
    bus = new_bus()
    async with bus, Bench(bus, bus.clock).running() as bench:
        line = bench.line("planner")
        await bus.settle()
        line.open.clear()
        line.say({"op": "ping", "id": 1})
        line.say_raw(b"no")
        async with asyncio.timeout(5):
            while line.closed is None:
                await bus.settle()
        assert line.over == 4400


async def test_who_waits_for_room_goes_on_though_it_filled_up_while_it_was_written() -> (
    None
):
    """What is full when a write ends need not have been full when it began."""
    line = FakeLine()
    outbound = desk_of(line).outbound
    line.open.clear()
    async with Background() as background:
        writing = background.run(outbound.write())
        outbound.add(server.Pong(1), 700_000)
        await turns()
        outbound.add(server.Pong(2), 700_000)
        waiting = background.run(outbound.room())
        await turns()
        assert outbound.full
        line.open.set()
        await turns()
        assert waiting.done()
        assert not writing.done()
