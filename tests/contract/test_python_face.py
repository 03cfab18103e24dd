"""The Python face promises the same inside a bus's process and over a line to a node."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from bus import (
    Accepted,
    Delivery,
    Denied,
    Dropped,
    Failed,
    Held,
    Message,
    Priority,
    Rejected,
)
from bus.core.decision import Hold
from bus.core.errors import (
    AlreadySettledError,
    BodyTypeError,
    BusError,
    DeniedError,
    DroppedError,
    HeldError,
    LimitExceededError,
    MalformedMessageError,
    NoRespondersError,
    RemoteFaultError,
    RequestTimeoutError,
    SubjectError,
    UnknownAgentError,
    UsageError,
)
from tests.fakes.buses import Background, Inbox
from tests.fakes.faces import KINDS, Face, RuledBus, face, until
from tests.fakes.ruling import Ruling, yes


@dataclass
class Task:
    """A body with a type."""

    number: int
    name: str = "unnamed"


class Sum(msgspec.Struct, frozen=True):
    """A reply with a type."""

    total: int


class Drops:
    """A stage that ends every message."""

    name = "drops"

    def process(self, message: Message, now_ns: int) -> Dropped:
        """Drop it."""
        del now_ns
        return Dropped(message.id, self.name, "no more of these")


@pytest.fixture(params=KINDS)
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Face]:
    """A bus without a store, from either side."""
    async with face(request.param) as made:
        yield made


async def test_an_accepted_message_reaches_a_handler_with_its_type(here: Face) -> None:
    """The body is decoded to the annotated type, the delivery has the rest."""
    got: list[Any] = []

    async def work(task: Task, delivery: Delivery) -> None:
        got.append((task, delivery))

    await here.subscribe("worker", "tasks.*", work)
    planner = await here.agent("planner")
    headers = {"colour": "red"}
    outcome = await planner.publish(
        "tasks.new",
        Task(7, "seven"),
        type="task_request",
        priority=Priority.HIGH,
        headers=headers,
        ttl=60,
        correlation="c-1",
        causation="c-0",
    )
    assert isinstance(outcome, Accepted)
    assert outcome.deliveries == 1
    assert outcome.receipt.message_id == outcome.id.hex()
    assert outcome.receipt.revision == here.bus.stats().revision
    await until(lambda: got)
    task, delivery = got[0]
    message = delivery.message
    assert task == Task(7, "seven")
    assert (message.id, message.subject, message.type) == (
        outcome.id,
        "tasks.new",
        "task_request",
    )
    assert (message.sender, message.tenant) == ("planner", "acme")
    assert message.priority == Priority.HIGH
    assert message.headers == headers
    assert (message.correlation, message.causation) == ("c-1", "c-0")
    assert message.created_ns == here.bus.clock.now_ns()
    assert message.expires_ns == message.created_ns + 60 * 10**9
    assert (message.depth, message.root, message.parent) == (0, None, None)
    assert delivery.attempt == 1


async def test_bytes_arrive_as_they_were_sent(here: Face) -> None:
    """Octets and their content type are not touched."""
    got: list[Any] = []

    async def work(delivery: Delivery) -> None:
        got.append((delivery.message.body, delivery.message.content_type))

    await here.subscribe("worker", "raw", work)
    planner = await here.agent("planner")
    await planner.publish("raw", b"\x00\xff")
    await planner.publish("raw", b"<a/>", content_type="text/xml")
    await until(lambda: len(got) == 2)
    assert got == [
        (b"\x00\xff", "application/octet-stream"),
        (b"<a/>", "text/xml"),
    ]


async def test_json_bytes_decode_to_the_handlers_type(here: Face) -> None:
    """Bytes that say they are JSON are JSON."""
    got: list[Any] = []

    async def work(task: Task) -> None:
        got.append(task)

    await here.subscribe("worker", "tasks", work)
    planner = await here.agent("planner")
    await planner.publish("tasks", b'{"number": 1}', content_type="application/json")
    await until(lambda: got)
    assert got == [Task(1)]


async def test_a_denied_message_ends_with_the_reasons_of_policy(here: Face) -> None:
    """Nothing is raised until it is unwrapped."""
    intern = await here.agent("intern")
    outcome = await intern.publish("tasks.new", 1)
    assert isinstance(outcome, Denied)
    assert outcome.revision == here.bus.stats().revision
    assert outcome.reasons
    with pytest.raises(DeniedError) as caught:
        outcome.unwrap()
    assert caught.value.reasons == outcome.reasons


WRONG: list[tuple[dict[str, Any], type[BusError]]] = [
    ({"subject": "a..b"}, SubjectError),
    ({"subject": "$SYS.a"}, SubjectError),
    ({"subject": 7}, BusError),
    ({"body": object()}, BodyTypeError),
    ({"type": "nonsense"}, MalformedMessageError),
    ({"priority": 9}, MalformedMessageError),
    ({"priority": "high"}, MalformedMessageError),
    ({"headers": {"a": 1}}, MalformedMessageError),
    ({"ttl": -1}, MalformedMessageError),
    ({"ttl": 1e12}, LimitExceededError),
    ({"wait": "long"}, MalformedMessageError),
    ({"content_type": "text/x"}, MalformedMessageError),
    ({"reply_to": "$INBOX.x"}, SubjectError),
    ({"body": b"x" * ((1 << 20) + 1)}, LimitExceededError),
    ({"body": b"x" * (3 << 20)}, LimitExceededError),
    ({"dedup": "d"}, BusError),
]


async def test_what_breaks_the_contract_is_rejected(here: Face) -> None:
    """Each fault ends its own message, as the same error, and nothing else."""
    inbox = Inbox()
    await here.subscribe("worker", "a", inbox)
    planner = await here.agent("planner")
    for given, kind in WRONG:
        outcome = await planner.publish(**{"subject": "a", "body": 1, **given})
        assert isinstance(outcome, Rejected), (given, outcome)
        assert isinstance(outcome.error, kind), (given, outcome.error)
    assert isinstance(await planner.publish("a", 2), Accepted)
    await until(lambda: inbox.got)
    assert inbox.got == [2]


async def test_nobody_there_fails(here: Face) -> None:
    """A subject without subscribers takes nothing where nothing is kept."""
    planner = await here.agent("planner")
    outcome = await planner.publish("nobody.listens", 1)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, NoRespondersError)


async def test_a_full_queue_fails_as_overloaded_with_a_time(here: Face) -> None:
    """What a subscription cannot take is refused, where it asked for that."""
    inbox = Inbox(held=True)
    await here.subscribe("worker", "a", inbox, capacity=1, overflow="refuse")
    planner = await here.agent("planner")
    outcomes = [await planner.publish("a", number, wait=0) for number in range(4)]
    failed = [one for one in outcomes if isinstance(one, Failed)]
    assert failed
    assert {one.code for one in failed} == {"overloaded"}
    assert all(one.retry_after_s is not None for one in failed)
    inbox.gate.set()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_policy_holds_is_held_until_a_time(kind: str) -> None:
    """It is an outcome of its own, raises when unwrapped, and can be answered later."""
    ruling = Ruling()
    hold = Hold("a person looks first", 60_000_000_000)
    ruling.message = lambda action, message: yes(
        ruling.revision,
        hold=hold if message.subject == "risky" else None,
        action=action,
    )
    async with face(kind, RuledBus(authorizer=ruling)) as there:
        inbox = Inbox()
        await there.subscribe("worker", "risky", inbox)
        planner = await there.agent("planner")
        outcome = await planner.publish("risky", 1)
        assert isinstance(outcome, Held)
        assert outcome.reason == "a person looks first"
        assert outcome.until_ns == there.bus.clock.now_ns() + 60_000_000_000
        with pytest.raises(HeldError):
            outcome.unwrap()
        assert inbox.got == []
        await there.bus.agent("critic").release(outcome.id.hex(), "looked at")
        await until(lambda: inbox.got)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_stage_drops_names_the_stage(kind: str) -> None:
    """And its reason."""
    bus = RuledBus(stages=[("a", Drops())])
    async with face(kind, bus) as there:
        await there.subscribe("worker", "a", Inbox())
        planner = await there.agent("planner")
        outcome = await planner.publish("a", 1)
        assert isinstance(outcome, Dropped)
        assert (outcome.by, outcome.reason) == ("drops", "no more of these")
        with pytest.raises(DroppedError, match="no more of these"):
            await planner.request("a", 1)


async def test_many_are_published_in_order_with_an_outcome_each(here: Face) -> None:
    """A wrong one among them ends alone."""
    inbox = Inbox()
    await here.subscribe("worker", "a", inbox)
    planner = await here.agent("planner")
    items: list[Any] = [("a", number) for number in range(60)]
    items[7] = ("a b", 7)
    items[8] = 5
    outcomes = await planner.publish_many(items)
    assert len(outcomes) == 60
    assert [type(outcomes[7]), type(outcomes[8])] == [Rejected, Rejected]
    assert sum(isinstance(one, Accepted) for one in outcomes) == 58
    await until(lambda: len(inbox.got) == 58)
    assert inbox.got == [number for number in range(60) if number not in {7, 8}]
    with pytest.raises(UsageError, match="dedup"):
        await planner.publish_many([("a", 1)], dedup="d")


async def test_a_request_returns_the_reply_in_its_type(here: Face) -> None:
    """A return value is the reply."""

    async def add(numbers: list[int]) -> Sum:
        return Sum(sum(numbers))

    await here.subscribe("worker", "add", add)
    planner = await here.agent("planner")
    assert await planner.request("add", [1, 2], returns=Sum) == Sum(3)
    assert await planner.request("add", [1, 2]) == {"total": 3}
    with pytest.raises(BodyTypeError):
        await planner.request("add", [1], returns=int)


async def test_a_handler_may_answer_before_it_returns(here: Face) -> None:
    """`reply` has an outcome, and nothing is answered twice."""
    outcomes: list[Any] = []

    async def work(body: Any, delivery: Delivery) -> None:
        outcomes.append(await delivery.reply({"got": body}))

    await here.subscribe("worker", "ask", work)
    planner = await here.agent("planner")
    assert await planner.request("ask", 5) == {"got": 5}
    await until(lambda: outcomes)
    assert isinstance(outcomes[0], Accepted)


async def test_requests_that_cannot_be_answered_raise_why(here: Face) -> None:
    """Nobody there, refused, given up, or wrong."""

    async def give_up(body: Any, delivery: Delivery) -> None:
        del body
        delivery.term("cannot do that")

    await here.subscribe("worker", "hopeless", give_up)
    planner, intern = await here.agent("planner"), await here.agent("intern")
    with pytest.raises(NoRespondersError):
        await planner.request("nobody.there", 1)
    with pytest.raises(RemoteFaultError, match="gave up"):
        await planner.request("hopeless", 1)
    with pytest.raises(DeniedError):
        await intern.request("hopeless", 1)
    with pytest.raises(SubjectError):
        await planner.request("a..b", 1)
    with pytest.raises(MalformedMessageError):
        await planner.request("hopeless", 1, timeout=0)
    with pytest.raises(MalformedMessageError):
        await planner.request("hopeless", 1, dedup="d")
    with pytest.raises(BodyTypeError):
        await planner.request("hopeless", object())


async def test_a_reply_that_is_late_times_the_request_out(here: Face) -> None:
    """By the clock of the bus."""
    inbox = Inbox(held=True)
    await here.subscribe("worker", "slow", inbox)
    planner = await here.agent("planner")
    async with Background() as background:
        asking = background.run(planner.request("slow", 1, timeout=5))
        await until(lambda: inbox.got)
        await here.advance(6)
        error = await asking
    assert isinstance(error, RequestTimeoutError)
    inbox.gate.set()


async def test_a_queue_group_shares_what_comes(here: Face) -> None:
    """Each message goes to one member, and to everybody outside."""
    first, second, other = Inbox(), Inbox(), Inbox()
    await here.subscribe("worker", "a", first, queue="group")
    await here.subscribe("critic", "a", second, queue="group")
    await here.subscribe("critic", "a", other)
    planner = await here.agent("planner")
    outcomes = await planner.publish_many([("a", number) for number in range(20)])
    assert {one.deliveries for one in outcomes} == {2}
    await until(lambda: len(first.got) + len(second.got) == 20)
    assert sorted(first.got + second.got) == list(range(20))
    assert first.got
    assert second.got
    await until(lambda: len(other.got) == 20)


async def test_what_a_handler_fails_on_comes_again_and_then_dies(here: Face) -> None:
    """After the waits that were asked for, with the attempt counted."""
    attempts: list[int] = []

    async def fail(body: Any, delivery: Delivery) -> None:
        del body
        attempts.append(delivery.attempt)
        raise ValueError("not today")

    await here.subscribe("worker", "a", fail, max_deliver=3, backoff=[1, 2])
    planner = await here.agent("planner")
    await planner.publish("a", 1)
    await until(lambda: attempts == [1])
    await here.advance(1.1)
    await until(lambda: attempts == [1, 2])
    await here.advance(2.1)
    await until(lambda: attempts == [1, 2, 3])
    await until(lambda: here.bus.dead_letters)
    assert here.bus.dead_letters[0].message.sender == "planner"


def settle_as_told(body: int, delivery: Delivery) -> None:
    """Ack 1, nak the first 2, terminate 3."""
    if body == 1:
        delivery.ack()
    elif body == 2 and delivery.attempt == 1:
        delivery.nak(5)
    elif body == 3:
        delivery.in_progress()
        delivery.term("no use")


async def test_a_handler_settles_as_it_says(here: Face) -> None:
    """Ack, nak with a delay, term; and none of them twice."""
    got: list[tuple[int, int]] = []
    raised: list[Exception] = []

    async def work(body: int, delivery: Delivery) -> None:
        got.append((body, delivery.attempt))
        settle_as_told(body, delivery)
        if (body, delivery.attempt) == (2, 2):
            return
        for again in (delivery.ack, delivery.nak, delivery.term, delivery.in_progress):
            try:
                again()
            except AlreadySettledError as error:
                raised.append(error)

    await here.subscribe("worker", "a", work)
    planner = await here.agent("planner")
    for number in (1, 2, 3):
        await planner.publish("a", number)
    await until(lambda: len(got) == 3)
    assert len(raised) == 12
    await until(lambda: here.bus.dead_letters)
    assert here.bus.dead_letters[0].reason == "no use"
    await here.advance(5.1)
    await until(lambda: (2, 2) in got)
    assert [one for one in got if one[0] in {1, 3}] == [(1, 1), (3, 1)]


async def test_a_body_of_another_type_dies_at_once(here: Face) -> None:
    """No attempt can help it."""
    got: list[Any] = []

    async def work(task: Task) -> None:
        got.append(task)

    await here.subscribe("worker", "a", work)
    planner = await here.agent("planner")
    await planner.publish("a", {"number": "seven"})
    await until(lambda: here.bus.dead_letters)
    assert "bad_body" in here.bus.dead_letters[0].reason
    assert got == []


async def test_what_comes_of_a_message_descends_from_it(here: Face) -> None:
    """Root, parent and depth are the bus's, not the handler's."""
    seen: list[Any] = []

    async def pass_on(body: Any, delivery: Delivery) -> None:
        agent = await here.agent("worker")
        seen.append(delivery.message)
        await agent.publish("second", body)

    async def keep(delivery: Delivery) -> None:
        seen.append(delivery.message)

    await here.subscribe("worker", "first", pass_on)
    await here.subscribe("critic", "second", keep)
    planner = await here.agent("planner")
    outcome = await planner.publish("first", 1)
    await until(lambda: len(seen) == 2)
    child = seen[1]
    assert (child.root, child.parent, child.depth) == (outcome.id, outcome.id, 1)
    assert child.authors == ("planner",)
    assert child.sender == "worker"


async def test_an_ordering_key_goes_one_at_a_time(here: Face) -> None:
    """Also where many handlers run at once."""
    running: list[int] = []
    most: list[int] = []
    done: list[int] = []

    async def work(body: int) -> None:
        running.append(body)
        most.append(len(running))
        await asyncio.sleep(0.001)
        running.remove(body)
        done.append(body)

    await here.subscribe("worker", "a", work, max_in_flight=8)
    planner = await here.agent("planner")
    for number in range(10):
        await planner.publish("a", number, ordering_key="k")
    await until(lambda: len(done) == 10)
    assert done == list(range(10))
    assert max(most) == 1


async def test_tenants_are_walls(here: Face) -> None:
    """What is another tenant's does not arrive, and nobody acts as somebody else."""
    mine, theirs = Inbox(), Inbox()
    await here.subscribe("worker", ">", mine)
    await here.subscribe("spy", ">", theirs)
    planner = await here.agent("planner")
    outcome = await planner.publish("a", 1)
    assert outcome.deliveries == 1
    await until(lambda: mine.got)
    await here.rest()
    assert theirs.got == []
    with pytest.raises(UnknownAgentError):
        (here.remotes["planner"] if here.remote else here.bus).agent("nobody")
