"""Replies: where they go, what they descend from, and what becomes of bad ones."""

import asyncio

from bus.core.decision import Decision
from bus.core.errors import (
    RemoteFaultError,
    RequestTimeoutError,
)
from bus.core.limits import PAYLOAD_BYTES_MAX
from bus.core.message import Message
from bus.subscription import Delivery
from tests.fakes.buses import (
    Background,
    Inbox,
    PartsBus,
    new_bus,
    tamper,
    totals,
)
from tests.fakes.busparts import tapped


async def test_a_reply_may_come_before_the_handler_returns() -> None:
    """`delivery.reply` answers; the first reply counts."""

    async def handler(body: int, delivery: Delivery) -> int:
        await delivery.reply(body + 1)
        return body + 2

    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        assert await bus.agent("planner").request("a", 1) == 2
        await bus.settle()
        assert totals(bus).dead == 0


async def test_a_handler_that_gives_up_is_a_remote_fault() -> None:
    """After its last attempt, without the inner words of its error."""

    async def handler(_: int) -> int:
        raise ValueError("the password is hunter2")

    async with new_bus() as bus, Background() as background:
        bus.agent("worker").subscribe("a", handler, max_deliver=2)
        task = background.run(bus.agent("planner").request("a", 1))
        await bus.advance(1)
        error = task.result()
        assert isinstance(error, RemoteFaultError)
        assert "hunter2" not in str(error)
        assert "2 attempts" in str(error)


async def test_a_reply_that_cannot_be_sent_is_a_remote_fault_and_a_dead_letter() -> (
    None
):
    """Too large or not encodable: the handler is not run again and again."""
    calls: list[int] = []

    async def handler(body: int) -> object:
        calls.append(body)
        return bytes(PAYLOAD_BYTES_MAX + 1) if body == 1 else object()

    async with new_bus() as bus, Background() as background:
        bus.agent("worker").subscribe("a", handler)
        for body in (1, 2):
            task = background.run(bus.agent("planner").request("a", body))
            await bus.advance(20)
            assert isinstance(task.result(), RemoteFaultError)
        assert calls == [1, 2]
        assert len(bus.dead_letters) == 2


async def test_a_reply_to_a_subject_is_published_there_if_the_replier_may() -> None:
    """`reply_to` names where the return value goes; policy is asked like for any."""

    async def handler(body: int) -> int:
        return body + 1

    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("worker").subscribe("a", handler)
        bus.agent("critic").subscribe("results", inbox)
        await bus.agent("planner").publish("a", 1, reply_to="results")
        await bus.settle()
        assert inbox.done == [2]
        assert bus.dead_letters == ()


async def test_a_reply_to_a_subject_nobody_may_publish_to_is_refused() -> None:
    """The publisher cannot make the replier send where it may not."""

    async def handler(body: int) -> int:
        return body + 1

    async with new_bus() as bus:
        inbox = Inbox()
        bus.agent("intern").subscribe("notes.a", handler)
        bus.agent("critic").subscribe(">", inbox)
        await bus.agent("planner").publish("notes.a", 1, reply_to="payments.out")
        await bus.settle()
        assert inbox.done == [1]
        assert len(bus.dead_letters) == 1


async def test_a_reply_descends_from_the_request_also_outside_its_handler() -> None:
    """Its parent is the request, whichever task sends it."""
    taken: asyncio.Queue[Delivery] = asyncio.Queue()
    answered = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        taken.put_nowait(delivery)
        await answered.wait()

    async def answer() -> None:
        delivery = await taken.get()
        await delivery.reply("done")
        answered.set()

    kept: list[Message] = []
    hand = tapped(lambda message, _: kept.append(message))
    async with PartsBus(hand=hand) as bus, Background() as background:
        answering = background.run(answer())
        bus.agent("worker").subscribe("a", handler)
        assert await bus.agent("planner").request("a", 1) == "done"
        assert await answering is None
    request, reply = kept
    assert (reply.parent, reply.root, reply.depth) == (request.id, request.id, 1)


async def test_a_reply_changed_on_its_way_is_not_delivered() -> None:
    """The inbox checks the stamp like any delivery: refused, counted, recorded."""

    def change(message: Message, decision: Decision) -> None:
        del decision
        if message.type == "response":
            tamper(message, body=b"\x07")

    async def answer(body: int) -> int:
        return body

    async with PartsBus(hand=tapped(change)) as bus, Background() as background:
        bus.agent("worker").subscribe("ask", answer)
        asked = background.run(bus.agent("planner").request("ask", 1, timeout=1))
        await bus.advance(2)
        assert isinstance(asked.result(), RequestTimeoutError)
        assert totals(bus).refused == 1
        assert "refused" in bus.audit.events()


async def test_a_handler_that_returns_nothing_answers_nothing_and_at_once() -> None:
    """Who asked gets None, and does not wait for a reply that never comes."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", Inbox())
        assert await bus.agent("planner").request("a", 1) is None
        await bus.settle()
        assert totals(bus).delivered == 2  # the request and its reply
