"""TestBus and its clock: the same engine, with time that moves when it is told to."""

from bus.app import Bus
from bus.testing import START_NS, FakeClock, TestBus
from tests.fakes.buses import Inbox, new_bus


async def test_it_is_the_bus_itself_with_another_clock() -> None:
    """Not a look-alike: the same class, the same parts, the same checks."""
    async with new_bus() as bus:
        assert isinstance(bus, Bus)
        inbox = Inbox()
        bus.agent("worker").subscribe("a", inbox)
        await bus.agent("planner").publish("a", 1)
        await bus.settle()
        assert inbox.done == [1]


def test_only_the_clock_and_the_steps_are_its_own() -> None:
    """Everything else it does is inherited."""
    own = {name for name in vars(TestBus) if not name.startswith("__")}
    assert own == {"advance", "settle"}


def test_calls_are_made_in_the_order_they_fall_due() -> None:
    """Equal times in the order they were asked for; a cancelled one not at all."""
    clock = FakeClock()
    made: list[str] = []
    clock.call_after(2, lambda: made.append("second"))
    clock.call_after(1, lambda: made.append("first"))
    clock.call_after(2, lambda: made.append("third"))
    clock.call_after(1.5, lambda: made.append("never")).cancel()
    until = START_NS + 3_000_000_000
    while clock.step(until):
        pass
    assert made == ["first", "second", "third"]
    assert clock.now_ns() == until


def test_the_clock_shows_the_time_a_call_was_due() -> None:
    """Not the time it was advanced to."""
    clock = FakeClock()
    seen: list[int] = []
    clock.call_after(1, lambda: seen.append(clock.now_ns()))
    while clock.step(START_NS + 10_000_000_000):
        pass
    assert seen == [START_NS + 1_000_000_000]


def test_time_does_not_go_back() -> None:
    """Stepping to the past changes nothing."""
    clock = FakeClock()
    assert not clock.step(0)
    assert clock.now_ns() == START_NS
    assert clock.next_due_ns() is None
