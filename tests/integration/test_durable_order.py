"""Ordering keys with a store: one in flight per key, in the order of acceptance."""

import pytest

from tests.fakes.buses import Background, at_rest, lower_bound
from tests.fakes.durable import Place, Takes

PAGE = 100


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pages of a hundred, so that hundreds of messages are many."""
    lower_bound(monkeypatch, "FEED_MESSAGES_MAX", PAGE)
    lower_bound(monkeypatch, "FEED_MESSAGES_LOW", PAGE // 4)


async def test_one_of_a_key_is_in_flight_also_after_a_restart(place: Place) -> None:
    """The others of the key wait for it; other keys do not."""
    bus, takes = place.bus(), Takes()
    takes.gate.clear()
    bus.agent("critic").subscribe("a", takes, max_in_flight=4)
    async with bus:
        await bus.keep("a", "k1", "k2", "k3", ordering_key="k")
        await bus.keep("a", "l1", ordering_key="l")
        await bus.settle()
        assert takes.bodies == ["k1", "l1"]
        await place.crash(bus)
    again, later = place.bus(), Takes()
    later.gate.clear()
    again.agent("critic").subscribe("a", later, max_in_flight=4)
    async with again:
        await again.settle()
        assert sorted(later.bodies) == ["k1", "l1"]
        later.gate.set()
        await again.settle()
        assert [body for body in later.bodies if body[0] == "k"] == ["k1", "k2", "k3"]


async def test_a_redelivery_keeps_its_place_before_later_ones(place: Place) -> None:
    """They wait while it waits for its next attempt, over a restart too."""
    bus, takes = place.bus(), Takes("k1")
    bus.agent("critic").subscribe(
        "a", takes, max_in_flight=3, max_deliver=3, backoff=[30]
    )
    async with bus:
        await bus.keep("a", "k1", "k2", ordering_key="k")
        await bus.keep("a", "free")
        await bus.settle()
        assert takes.bodies == ["k1", "free"]
        await place.crash(bus)
    again, later = place.bus(), Takes("k1")
    sub = again.agent("critic").subscribe(
        "a", later, max_in_flight=3, max_deliver=3, backoff=[30]
    )
    async with again:
        await again.keep("a", "k3", ordering_key="k")
        await again.advance(29)
        assert later.bodies == []
        await again.advance(70)
        assert later.bodies == ["k1", "k1", "k2", "k3"]
        assert at_rest(sub)


async def test_a_group_has_one_of_a_key_in_flight_among_all(place: Place) -> None:
    """Also of what waited in the store when they came."""
    bus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes(), queue="q")
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        for number in range(4):
            await bus.keep("a", f"k{number}", ordering_key="k")
            await bus.keep("a", f"l{number}", ordering_key="l")
    again, one, other = place.bus(), Takes(), Takes()
    for takes in (one, other):
        takes.gate.clear()
    again.agent("critic").subscribe("a", one, queue="q", max_in_flight=3)
    again.agent("worker").subscribe("a", other, queue="q", max_in_flight=3)
    async with again:
        await again.keep("a", "k4", ordering_key="k")
        await again.settle()
        assert sorted([*one.bodies, *other.bodies]) == ["k0", "l0"]
        for takes in (one, other):
            takes.gate.set()
        await again.settle()
        for key in "kl":
            theirs = [
                [body for body in takes.bodies if body[0] == key]
                for takes in (one, other)
            ]
            assert sorted(map(len, theirs)) in ([0, 4], [0, 5])
            assert all(bodies == sorted(bodies) for bodies in theirs)


async def test_who_takes_over_has_them_in_order(place: Place) -> None:
    """What waited for its next attempt comes before what came after it."""
    bus, left, stays = place.bus(), Takes("k0"), Takes()
    first = bus.agent("critic").subscribe("a", left, queue="q", backoff=[60])
    async with bus:
        await bus.keep("a", "k0", "k1", "k2", ordering_key="k")
        await bus.settle()
        assert left.bodies == ["k0"]
        bus.agent("worker").subscribe("a", stays, queue="q")
        await bus.keep("a", "k3", ordering_key="k")
        await bus.agent("critic").unsubscribe(first)
        await bus.keep("a", "k4", ordering_key="k")
        await bus.settle()
        assert stays.bodies == ["k0", "k1", "k2", "k3", "k4"]


async def test_what_is_on_its_way_goes_to_who_has_its_key_by_then(place: Place) -> None:
    """Two members must not have one key, whoever it was planned for."""
    bus = place.bus()
    sub = bus.agent("critic").subscribe("a", Takes(), queue="q")
    async with bus, Background() as background:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep("a", "k0", ordering_key="k")
        bus.line.held = True
        coming = background.run(
            bus.agent("planner").publish("a", "k1", ordering_key="k")
        )
        await bus.settle()
        one, other = Takes(), Takes()
        for who, takes in (("critic", one), ("worker", other)):
            takes.gate.clear()
            bus.agent(who).subscribe("a", takes, queue="q")
        await bus.settle()
        late = [
            background.run(bus.agent("planner").publish("a", f"k{n}", ordering_key="k"))
            for n in range(2, 5)
        ]
        await bus.settle()
        bus.line.release()
        for publishing in (coming, *late):
            await publishing
        await bus.settle()
        assert [*one.bodies, *other.bodies] == ["k0"]
        for takes in (one, other):
            takes.gate.set()
        await bus.settle()
        assert one.bodies + other.bodies == ["k0", "k1", "k2", "k3", "k4"]


async def test_one_busy_key_does_not_fill_the_memory(place: Place) -> None:
    """What stands aside for its key counts like what waits in the queue."""
    bus, takes = place.bus(), Takes()
    sub = bus.agent("critic").subscribe("a", takes)
    async with bus:
        await bus.agent("critic").unsubscribe(sub)
        await bus.keep_all("a", range(3 * PAGE), ordering_key="k")
        takes.gate.clear()
        back = bus.agent("critic").subscribe("a", takes, max_in_flight=4)
        most = 0
        for _ in range(5):
            takes.gate.set()
            await bus.line.inner.room()
            takes.gate.clear()
            await bus.settle()
            most = max(most, back.load)
        assert PAGE <= most <= 2 * PAGE
        takes.gate.set()
        await bus.settle()
        assert takes.bodies == list(range(3 * PAGE))
        assert takes.most_at_once == 1
