"""The bus against a plain model: whatever is done in whatever order, both agree.

The model knows no queues, priorities or tasks: only, for each message and each
subscription, whether it is to come, in hand, waiting for its next attempt, or ended.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from bus import Accepted, Denied, Failed
from bus.core.errors import PolicyLoadError
from bus.subscription import Delivery, Subscription
from tests.fakes.buses import at_rest, data, new_bus, reload, totals

T = TypeVar("T")
SUBJECTS = ["a", "b", "a.b", "a.c"]
PATTERNS = {"a": {"a"}, "a.*": {"a.b", "a.c"}, ">": set(SUBJECTS), "b": {"b"}}
MAX_DELIVER = 3


class Ending:
    """What the handler does with its delivery; it waits until the machine says."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.number: int = delivery.message.body[0]
        self.attempt = delivery.attempt
        self.say: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class Taker:
    """A subscription, and what the model knows of it."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.subscription: Subscription | None = None
        self.in_hand: list[Ending] = []
        self.to_come: dict[int, int] = {}  # message → attempts so far
        self.ended: dict[int, str] = {}

    async def __call__(self, delivery: Delivery) -> None:
        """Show the delivery to the machine and do as told."""
        ending = Ending(delivery)
        self.in_hand.append(ending)
        said = await ending.say
        if said == "ack":
            delivery.ack()
        elif said == "nak":
            delivery.nak(0.5)
        elif said == "term":
            delivery.term("told to")
        elif said == "crash":
            raise RuntimeError("crashed")


class BusMachine(RuleBasedStateMachine):
    """Publish, subscribe, unsubscribe, ack, nak, crash, reload; then compare."""

    takers: Bundle[Taker] = Bundle("takers")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.policy = data()
        self.live: list[Taker] = []
        self.all: list[Taker] = []
        self.number = 0
        self.expected = {"accepted": 0, "denied": 0, "failed": 0, "recalled": 0}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end on the machine's own loop."""
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self) -> None:
        """Start a bus of one's own."""
        self.bus = new_bus(self.policy)
        self.run(self.bus.__aenter__())

    @rule(
        target=takers,
        pattern=st.sampled_from(sorted(PATTERNS)),
        capacity=st.integers(1, 3),
        at_once=st.integers(1, 2),
    )
    def subscribe(self, pattern: str, capacity: int, at_once: int) -> Taker:
        """Subscribe; what was published before does not come."""
        taker = Taker(pattern)

        async def add() -> None:
            taker.subscription = self.bus.agent("worker").subscribe(
                pattern,
                taker,
                capacity=capacity,
                max_in_flight=at_once,
                max_deliver=MAX_DELIVER,
                ack_wait=3_600,
            )

        self.run(add())
        self.live.append(taker)
        self.all.append(taker)
        return taker

    @rule(taker=consumes(takers))
    def unsubscribe(self, taker: Taker) -> None:
        """End a subscription: what had not ended is a dead letter now."""
        assert taker.subscription is not None
        left = self.run(self._unsubscribe(taker.subscription))
        assert left == len(taker.to_come)
        for number in taker.to_come:
            taker.ended[number] = "dead"
        taker.to_come.clear()
        taker.in_hand.clear()
        self.live.remove(taker)

    async def _unsubscribe(self, subscription: Subscription) -> int:
        left = await self.bus.agent("worker").unsubscribe(subscription, drain=0)
        await self.bus.settle()
        return left

    @rule(subject=st.sampled_from(SUBJECTS), priority=st.integers(0, 3))
    def publish(self, subject: str, priority: int) -> None:
        """Publish without waiting: accepted if all who want it have room."""
        self.number = (self.number + 1) % 256  # one byte is enough to tell them apart
        wanting = [t for t in self.live if subject in PATTERNS[t.pattern]]
        allowed = bool(self.policy["agents"]["planner"]["roles"])
        room = all(not _full(taker) for taker in wanting)
        outcome = self.run(self._publish(subject, priority))
        if not allowed:
            assert isinstance(outcome, Denied)
            self.expected["denied"] += 1
        elif not wanting or not room:
            assert isinstance(outcome, Failed)
            assert outcome.code == ("overloaded" if wanting else "no_responders")
            self.expected["failed"] += 1
        else:
            assert isinstance(outcome, Accepted)
            assert outcome.deliveries == len(wanting)
            self.expected["accepted"] += 1
            for taker in wanting:
                assert self.number not in taker.to_come
                taker.to_come[self.number] = 0
                taker.ended.pop(self.number, None)

    async def _publish(self, subject: str, priority: int) -> Any:
        outcome = await self.bus.agent("planner").publish(
            subject, bytes([self.number]), priority=priority, wait=0
        )
        await self.bus.settle()
        return outcome

    @rule(taker=takers, said=st.sampled_from(["ack", "return", "nak", "term", "crash"]))
    def handle(self, taker: Taker, said: str) -> None:
        """Let the handler that has waited longest say something."""
        if not taker.in_hand:
            return
        ending = taker.in_hand.pop(0)
        assert ending.number in taker.to_come
        assert ending.attempt == taker.to_come[ending.number] + 1
        taker.to_come[ending.number] += 1
        last = ending.attempt == MAX_DELIVER
        if said in {"ack", "return"}:
            taker.ended[ending.number] = "delivered"
        elif said == "term" or last:
            taker.ended[ending.number] = "dead"
        if ending.number in taker.ended:
            del taker.to_come[ending.number]
        ending.say.set_result(said)
        self.run(self.bus.settle())
        self._recall()

    def _recall(self) -> None:
        """What waits while the planner may not publish ends when a worker takes it."""
        if self.policy["agents"]["planner"]["roles"]:
            return
        for taker in self.live:
            sub = taker.subscription
            assert sub is not None
            if len(taker.in_hand) == sub.spec.max_in_flight:
                continue
            held = {ending.number for ending in taker.in_hand}
            held |= {delivery.message.body[0] for delivery in sub.delayed}
            for number in set(taker.to_come) - held:
                del taker.to_come[number]
                taker.ended[number] = "recalled"
                self.expected["recalled"] += 1

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass: redeliveries come back."""
        self.run(self.bus.advance(seconds))
        self._recall()

    @rule(allowed=st.booleans())
    def change_policy(self, *, allowed: bool) -> None:
        """Reload with or without the planner's right to publish."""
        self.policy["agents"]["planner"]["roles"] = ["all"] if allowed else []
        self.run(reload(self.bus))

    @rule()
    def load_a_bad_policy(self) -> None:
        """It is refused, and nothing changes."""
        before = self.bus.revision
        roles = self.policy["agents"]["critic"]["roles"]
        self.policy["agents"]["critic"]["roles"] = ["nobody"]
        with pytest.raises(PolicyLoadError, match="nobody"):
            self.run(reload(self.bus))
        self.policy["agents"]["critic"]["roles"] = roles
        assert self.bus.revision == before

    @invariant()
    def counts_agree(self) -> None:
        """Each ending is counted once, and never another."""
        if not hasattr(self, "bus"):
            return
        counts = totals(self.bus)
        for name, number in self.expected.items():
            assert getattr(counts, name) == number, name
        for taker in self.live:
            sub = taker.subscription
            assert sub is not None
            assert sub.load == len(taker.to_come)
            assert sub.size + sub.in_flight + len(sub.delayed) == len(taker.to_come)
            assert sub.in_flight == len(taker.in_hand)
            assert sub.extra == len(sub.delayed)
            assert sub.limit == sub.capacity - sub.extra
            assert sub.size + sub.extra <= sub.capacity + sub.spec.max_in_flight
            if not taker.to_come:
                assert at_rest(sub)

    def teardown(self) -> None:
        """Close: what has not ended is a dead letter, and everything is accounted for."""
        if hasattr(self, "bus"):
            left = self.run(self.bus.close(drain=0))
            assert left == sum(len(taker.to_come) for taker in self.live)
            self.run(self.bus.__aexit__(None, None, None))
            counts = totals(self.bus)
            assert counts.refused == counts.expired == counts.evicted == 0
            meter = self.bus.stats().meter
            assert meter.sent == meter.metered == self.expected["accepted"]
        self.loop.close()


def _full(taker: Taker) -> bool:
    sub = taker.subscription
    assert sub is not None
    in_hand = len(taker.in_hand)
    return len(taker.to_come) - in_hand >= sub.capacity


BusMachine.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestBusMachine = BusMachine.TestCase
