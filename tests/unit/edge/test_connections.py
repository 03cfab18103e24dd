"""Long-lived connections: how many there are, whose, and how they end."""

import asyncio

import pytest

from bus.core.edgeerrors import UnauthenticatedError
from bus.core.errors import OverloadedError
from bus.edge.caller import Caller
from bus.edge.care import Care
from bus.edge.connections import Connections, Ending
from tests.fakes.identities import Desk

PLANNER = Caller(agent="planner", tenant="acme")
WORKER = Caller(agent="worker", tenant="acme")
GONE = Ending("going_away", "the node stops")


class Line:
    """A connection that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[float | Ending] = []

    def draining(self, seconds: float) -> None:
        """Note it."""
        self.told.append(seconds)

    def end(self, ending: Ending) -> None:
        """Note it."""
        self.told.append(ending)


def test_places_are_counted_by_agent_and_given_back() -> None:
    """Giving one back twice does nothing."""
    connections = Connections()
    places = [connections.enter(PLANNER, Line()) for _ in range(3)]
    other = connections.enter(WORKER, Line())
    assert (len(connections), connections.of("planner")) == (4, 3)
    assert list(connections) == [*places, other]
    for place in (*places, places[0]):
        connections.leave(place)
    assert (len(connections), connections.of("planner")) == (1, 0)
    assert connections.of("worker") == 1


def test_past_its_bounds_nobody_enters() -> None:
    """Neither an agent's nor the node's; a place that is given back is free."""
    connections = Connections(most=3, most_of_agent=2)
    first = connections.enter(PLANNER, Line())
    connections.enter(PLANNER, Line())
    with pytest.raises(OverloadedError, match="planner"):
        connections.enter(PLANNER, Line())
    connections.enter(WORKER, Line())
    with pytest.raises(OverloadedError, match="the node"):
        connections.enter(WORKER, Line())
    connections.leave(first)
    connections.enter(PLANNER, Line())


def test_those_that_are_chosen_end_once() -> None:
    """They stay registered until their door gives the place back."""
    connections = Connections()
    lines = [Line(), Line()]
    place = connections.enter(PLANNER, lines[0])
    connections.enter(WORKER, lines[1])
    assert connections.end(lambda caller: caller is PLANNER, GONE) == 1
    assert connections.end(lambda caller: caller is PLANNER, GONE) == 0
    assert [line.told for line in lines] == [[GONE], []]
    assert len(connections) == 2
    connections.leave(place)
    assert not connections.end_one(place, GONE)


def test_draining_tells_all_and_lets_nobody_in() -> None:
    """Whoever comes learns when to come again."""
    connections = Connections()
    line = Line()
    connections.enter(PLANNER, line)
    connections.drain(5.0)
    assert line.told == [5.0]
    with pytest.raises(OverloadedError) as caught:
        connections.enter(PLANNER, Line())
    assert caught.value.retry_after_s == 5.0


async def test_what_ended_on_the_way_in_lets_nobody_stay() -> None:
    """A token that is revoked between the request and its first frame is no way in."""
    desk, connections = await asyncio.to_thread(Desk), Connections()
    Care(desk.identity, connections, lambda: "1", desk.clock.now_ns)
    token_id, text = await desk.token()
    caller = await desk.ask(text)
    connections.leave(connections.enter(caller, Line()))
    await desk.identity.revoke(token_id)
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        connections.enter(caller, Line())
    assert len(connections) == 0
