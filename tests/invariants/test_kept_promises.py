"""What a store must not let happen, whoever tries: lost, doubled, or seen by others."""

import asyncio
import contextvars
from typing import Any

import msgspec
import pytest

from bus.config.keeping import StoreSettings, StreamSettings
from bus.core.decision import Decision, Hold
from bus.core.errors import LimitExceededError, UsageError
from bus.core.outcome import Accepted, Held, Outcome, Rejected
from bus.crew import Crew
from bus.outbox import Outbox, outbox
from bus.subscription import Delivery
from bus.testing import TestBus
from tests.fakes.buses import data, new_bus, reload, totals

MEMORY = StoreSettings(kind="memory")


def kept(policy: Any = None, **sections: Any) -> TestBus:
    """Return a bus that keeps its messages."""
    return new_bus(policy, store=MEMORY, **sections)


async def dies(body: Any, delivery: Delivery) -> None:
    """Give up whatever comes."""
    delivery.term(f"no use for {body}")


async def unused(body: Any) -> None:
    """Take whatever comes."""
    del body


def holding(bus: TestBus, subject: str) -> None:
    """Let policy hold what is sent to a subject."""
    pipeline = bus._host.pipeline  # noqa: SLF001 - the decisions as the pipeline sees them
    decide = pipeline._decide_now  # noqa: SLF001 - as above

    def held(action: Any, message: Any) -> Decision | None:
        found = decide(action, message)
        if found is None or message.subject != subject:
            return found
        hold = Hold("to be looked at", 60_000_000_000)
        return msgspec.structs.replace(found, hold=hold, plain=False)

    pipeline._decide_now = held  # noqa: SLF001 - as above


async def test_a_letter_that_cannot_be_published_ends_nobody_elses_bus() -> None:
    """A dead message with as long a lineage as there may be has no room for one more."""
    count = 65
    policy = data()
    names = [f"link{number}" for number in range(count + 1)]
    policy["agents"].update({n: {"tenant": "acme", "roles": ["all"]} for n in names})
    async with kept(policy) as bus:

        def passing(number: int) -> Any:
            async def handle(body: Any, delivery: Delivery) -> None:
                if len(delivery.message.authors) >= count - 1:
                    delivery.term("the end of the line")
                else:
                    await bus.agent(names[number]).publish(f"step{number + 1}", body)

            return handle

        for number in range(1, count + 1):
            bus.agent(names[number]).subscribe(f"step{number}", passing(number))
        bus.agent("critic").subscribe("$DEAD.>", unused)
        await bus.agent(names[0]).publish("step1", 1)
        for _ in range(count):
            await bus.settle()
        assert bus.stats().dead_letters_unpublished == 1
        assert bus.running


@pytest.mark.parametrize("what", ["resend", "release", "reply", "hold"])
async def test_once_refuses_what_it_could_not_take_back(  # noqa: PLR0915 - four of a kind
    what: str,
) -> None:
    """A handler that fails after it has left all of it as it was."""
    async with kept() as bus:
        planner, worker = bus.agent("planner"), bus.agent("worker")
        worker.subscribe("orders", dies)
        await planner.publish("orders", 1)
        await bus.settle()
        (letter,) = await worker.dead_letters()
        holding(bus, "risky")
        outcome = await planner.publish("risky", 1)
        assert isinstance(outcome, Held)
        seen: list[object] = []

        async def job(body: int, delivery: Delivery) -> None:
            del body
            try:
                if what == "resend":
                    await worker.resend(letter.id)
                elif what == "release":
                    await worker.release(outcome.id.hex(), "why not")
                elif what == "reply":
                    await delivery.reply("early")
                else:
                    (await worker.publish("risky", 2)).unwrap()
            except Exception as error:
                seen.append(error)
                raise

        worker.subscribe("job", job, once=True, max_deliver=1)
        asking = asyncio.get_running_loop().create_task(_asked(planner))
        await bus.settle()
        asking.cancel()
        assert [type(error).__name__ for error in seen] in (
            ["UsageError"],
            ["MalformedMessageError"],
        )
        assert len(bus.held) == 1
        assert letter.id in [one.id for one in await worker.dead_letters()]


async def _asked(agent: Any) -> None:
    await agent.request("job", 1, timeout=60)


async def test_a_letter_is_sent_once_more_once() -> None:
    """Two who do it at the same time: one is told that it is under way."""
    async with kept() as bus:
        got: list[int] = []

        async def later(body: int) -> None:
            if len(bus.dead_letters) == 0:
                raise ValueError("not yet")
            got.append(body)

        planner, worker = bus.agent("planner"), bus.agent("worker")
        worker.subscribe("orders", later, max_deliver=1)
        await planner.publish("orders", 7)
        await bus.settle()
        (letter,) = await worker.dead_letters()
        loop = asyncio.get_running_loop()
        both: list[asyncio.Task[Outcome]] = [
            loop.create_task(agent.resend(letter.id)) for agent in (planner, worker)
        ]
        await asyncio.wait(both)
        await bus.settle()
        endings = sorted(type(t.exception() or t.result()).__name__ for t in both)
        assert endings == ["Accepted", "UsageError"]
        assert got == [7]
        assert await worker.dead_letters() == []


async def test_what_no_limit_can_take_makes_nothing_else_go() -> None:
    """A body larger than its stream is refused before anything is cut for it."""
    small = StreamSettings(
        name="small", subjects=("small",), max_bytes=20_000, discard="old"
    )
    async with kept(streams=(small,)) as bus:
        planner = bus.agent("planner")
        for number in range(20):
            (await planner.publish("small", number)).unwrap()
        outcome = await planner.publish("small", bytes(50_000))
        assert isinstance(outcome, Rejected)
        assert isinstance(outcome.error, LimitExceededError)
        assert len([entry async for entry in planner.replay("small")]) == 20


async def test_a_tenant_takes_its_share_of_names_and_consumers_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another one still has room."""
    monkeypatch.setattr("bus.remembering.DEDUP_IDS_MAX", 8)
    monkeypatch.setattr("bus.membership.CONSUMERS_MAX", 8)
    async with kept() as bus:
        planner, spy = bus.agent("planner"), bus.agent("spy")
        endings = [
            type(await planner.publish("a", n, dedup=f"name-{n}")).__name__
            for n in range(3)
        ]
        assert endings == ["Accepted", "Accepted", "Failed"]
        assert isinstance(await spy.publish("a", 1, dedup="name"), Accepted)
        for number in range(2):
            planner.subscribe(f"s{number}", unused)
        with pytest.raises(LimitExceededError, match="acme"):
            planner.subscribe("s2", unused)
        spy.subscribe("s", unused)


async def test_a_name_by_header_is_held_to_the_same_rules() -> None:
    """Short and printable, whoever sets it."""
    async with kept() as bus:
        outcome = await bus.agent("planner").publish(
            "a", 1, headers={"assent-dedup": "x" * 300}
        )
        assert isinstance(outcome, Rejected)


async def test_letters_of_others_hide_nothing() -> None:
    """However many there are, one's own are found, and a limit is of them."""
    async with kept() as bus:
        bus.agent("spy").subscribe("theirs", dies)
        bus.agent("worker").subscribe("mine", dies)
        for number in range(20):
            await bus.agent("spy").publish("theirs", number)
        await bus.agent("planner").publish("mine", 1)
        await bus.settle()
        assert totals(bus).dead == 21
        assert len(await bus.agent("planner").dead_letters(limit=5)) == 1


async def test_what_is_read_back_is_what_policy_lets_be_seen_now() -> None:
    """Headers that are to go are gone, and what is denied is left out."""
    policy = data()
    async with kept(policy) as bus:
        planner, worker = bus.agent("planner"), bus.agent("worker")
        worker.subscribe("a", dies)
        await planner.publish("a", 1, headers={"cost": "5"})
        await bus.settle()
        policy["roles"]["all"]["redact_headers"] = ["cost"]
        await reload(bus)
        (entry,) = [entry async for entry in worker.replay("a")]
        (letter,) = await worker.dead_letters()
        assert entry.message.headers == {}
        assert letter.message is not None
        assert letter.message.headers == {}
        policy["agents"]["planner"]["enabled"] = False
        await reload(bus)
        assert [entry async for entry in worker.replay("a")] == []
        (letter,) = await worker.dead_letters()
        assert letter.message is None


async def test_a_group_cannot_take_the_name_of_an_agents_own() -> None:
    """Whatever it is called."""
    async with kept() as bus:
        bus.agent("critic").subscribe("orders", unused, queue="worker")
        bus.agent("worker").subscribe("orders", unused)
        outcome = await bus.agent("planner").publish("orders", 1)
        assert outcome.unwrap().deliveries == 2


async def test_only_who_made_a_consumer_removes_it_and_that_is_recorded() -> None:
    """Joining a group is no right to throw away what waits for it."""
    async with kept() as bus:
        first = bus.agent("worker").subscribe("orders", unused, queue="crew")
        await bus.agent("worker").unsubscribe(first)
        for number in range(3):
            await bus.agent("planner").publish("orders", number)

        async def never(body: int) -> None:
            del body
            await asyncio.Event().wait()

        second = bus.agent("critic").subscribe("orders", never, queue="crew")
        with pytest.raises(UsageError, match="worker's to remove"):
            await bus.agent("critic").unsubscribe(second, forget=True)


async def test_tasks_of_the_bus_have_nothing_open_that_a_handler_had() -> None:
    """A worker that is started from within a transaction is no part of it."""
    seen: list[object] = []

    async def look() -> None:
        seen.append(outbox.get())

    async def work() -> None:
        outbox.set(Outbox())
        crew = Crew(lambda _: None)
        crew.start(look(), "a task of the bus")
        await asyncio.sleep(0)
        await crew.end(1.0)

    await asyncio.get_running_loop().create_task(
        work(), context=contextvars.copy_context()
    )
    assert seen == [None]


async def test_looking_for_what_is_too_old_costs_few_transactions() -> None:
    """A twentieth of the age lies between two looks."""
    aged = StreamSettings(name="aged", subjects=("aged",), max_age_seconds=100)
    async with kept(streams=(aged,)) as bus:
        await bus.agent("planner").publish("aged", 1)
        await bus.settle()
        store = bus.stats().store
        assert store is not None
        before = store.commits
        await bus.advance(20)
        after = bus.stats().store
        assert after is not None
        assert after.commits - before <= 5


async def test_many_messages_cannot_have_one_name() -> None:
    """All but the first would be taken for it."""
    async with kept() as bus:
        with pytest.raises(UsageError, match="one message"):
            await bus.agent("planner").publish_many([("a", 1), ("a", 2)], dedup="n")


async def test_a_request_takes_nothing_that_would_not_be_done() -> None:
    """It cannot wait for its time, nor be the second of its name."""
    async with kept() as bus:
        bus.agent("worker").subscribe("a", unused)
        for extra in ({"dedup": "n"}, {"delay": 1.0}):
            with pytest.raises(Exception, match="neither dedup nor delay"):
                await bus.agent("planner").request("a", 1, **extra)
