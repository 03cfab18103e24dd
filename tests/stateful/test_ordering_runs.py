"""Whole runs of a bus with keys: whatever handlers do, order, bounds and endings hold."""

import asyncio
from collections import defaultdict

from hypothesis import HealthCheck, given, settings, strategies as st

from bus.subscription import Delivery, Subscription
from tests.fakes.buses import at_rest, new_bus, totals

MAX_DELIVER = 3
messages = st.lists(
    st.tuples(
        st.sampled_from(["", "k", "l"]),
        st.integers(0, 3),  # priority
        st.lists(st.sampled_from(["ack", "nak", "raise", "early"]), max_size=2),
        st.integers(0, 3),  # turns of the loop before it says so
    ),
    min_size=1,
    max_size=25,
)


class Watch:
    """A handler that does as each message says, and looks at who else is out."""

    def __init__(self) -> None:
        self.sub: Subscription | None = None
        self.out: set[int] = set()
        self.busy: dict[str, int] = {}
        self.first: dict[str, list[int]] = defaultdict(list)

    async def __call__(self, body: list[object], delivery: Delivery) -> None:
        """Check, wait, and end as told; what is left of the script is an ack."""
        number, key, script, turns = body
        assert isinstance(number, int)
        assert isinstance(key, str)
        assert isinstance(script, list)
        assert isinstance(turns, int)
        sub = self.sub
        assert sub is not None
        self.out.add(number)
        assert len(self.out) <= sub.spec.max_ack_pending
        if key:
            assert self.busy.setdefault(key, number) == number
            if delivery.attempt == 1:
                self.first[key].append(number)
        for _ in range(turns):
            await asyncio.sleep(0)
        attempt = delivery.attempt
        said = script[attempt - 1] if attempt <= len(script) else "ack"
        last = attempt == MAX_DELIVER
        if said in {"ack", "early"} or last:
            self.out.remove(number)
            self.busy.pop(key, None)
        if said == "early":
            delivery.ack()
            await asyncio.sleep(0)
        elif said == "nak":
            delivery.nak(0.3)
        elif said == "raise":
            raise ValueError(number)


async def run(
    sent: list[tuple[str, int, list[str], int]], at_once: int, pending: int
) -> None:
    """Publish everything, let time pass, and look at what came of it."""
    watch = Watch()
    async with new_bus() as bus:
        sub = watch.sub = bus.agent("worker").subscribe(
            "a",
            watch,
            max_in_flight=at_once,
            max_ack_pending=pending,
            max_deliver=MAX_DELIVER,
            backoff=[0.2, 0.1],
        )
        accepted: dict[str, list[int]] = defaultdict(list)
        for number, (key, priority, script, turns) in enumerate(sent):
            body = (number, key, script, turns)
            outcome = await bus.agent("planner").publish(
                "a", body, priority=priority, ordering_key=key or None
            )
            outcome.unwrap()
            if key:
                accepted[key].append(number)
            if number % 3 == 0:
                await asyncio.sleep(0)
        await bus.advance(2.0 * len(sent))
        assert not bus.dead_letters, bus.dead_letters[0].reason
        assert totals(bus).delivered == len(sent)
        assert watch.first == accepted
        assert watch.out == set()
        assert at_rest(sub)
        assert not sub.keyed
        assert sub.aside == 0


@given(sent=messages, at_once=st.integers(1, 4), pending=st.integers(1, 4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_run_with_keys_keeps_order_and_bounds_and_ends(
    sent: list[tuple[str, int, list[str], int]], at_once: int, pending: int
) -> None:
    """One of a key at a time, in the order of acceptance; no more out than may be."""
    asyncio.run(run(sent, at_once, pending))
