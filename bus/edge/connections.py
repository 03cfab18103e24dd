"""The long-lived connections of a node: who has them, how many, and how they are ended.

Rule: every door that keeps a connection open has a place here for it, and gives it back.
Whoever ends a connection says why; the door tells the peer, in its own words.
"""

from collections.abc import Callable, Iterator
from typing import Final, Literal, Protocol

import msgspec

from bus.core.edgelimits import CONNECTIONS_MAX, CONNECTIONS_OF_AGENT_MAX
from bus.core.errors import OverloadedError
from bus.edge.caller import Caller

_RETRY_S: Final = 1.0

Why = Literal["unauthenticated", "quarantined", "going_away"]


class Ending(msgspec.Struct, frozen=True):
    """Why a connection ends: a code for the peer's program, a text for a person."""

    code: Why
    text: str


class Connection(Protocol):
    """An open connection, as its door makes it. Neither method waits or raises."""

    def draining(self, seconds: float) -> None:
        """Tell the peer that the node stops within `seconds` and takes nothing new."""

    def end(self, ending: Ending) -> None:
        """End it: tell the peer why, and close. It stays registered until `leave`."""


class Place:
    """A connection's place in the registry; `caller` is whose it is."""

    __slots__ = ("__weakref__", "caller", "connection", "ending")

    def __init__(self, caller: Caller, connection: Connection) -> None:
        self.caller = caller
        self.connection = connection
        self.ending = False


class Connections:
    """All of a node's long-lived connections, bounded in all and for each agent."""

    def __init__(
        self,
        most: int = CONNECTIONS_MAX,
        most_of_agent: int = CONNECTIONS_OF_AGENT_MAX,
    ) -> None:
        self._most = most
        self._most_of_agent = most_of_agent
        self._all: dict[Place, None] = {}
        self._of_agent: dict[str, int] = {}
        self._drain_s: float | None = None
        self.require: Callable[[Caller], None] = _anybody
        """Raises `UnauthenticatedError` for who may not be here any more."""

    def enter(self, caller: Caller, connection: Connection) -> Place:
        """Give a connection its place.

        Who was let in is asked about once more: what ended while it came in (a token
        that was revoked before its first frame) ends nothing that is not here yet.

        Raises:
            UnauthenticatedError: its credential has ended meanwhile.
            OverloadedError: the node or the agent has as many as it may, or it drains.
        """
        self.require(caller)
        count = self._of_agent.get(caller.agent, 0)
        if self._drain_s is not None:
            raise OverloadedError(
                "the node stops, and its place", retry_after_s=self._drain_s
            )
        if len(self._all) >= self._most:
            raise OverloadedError("the node", retry_after_s=_RETRY_S)
        if count >= self._most_of_agent:
            raise OverloadedError(
                f"the place for connections of {caller.agent}", retry_after_s=_RETRY_S
            )
        place = Place(caller, connection)
        self._all[place] = None
        self._of_agent[caller.agent] = count + 1
        return place

    def leave(self, place: Place) -> None:
        """Give a place back; doing so twice does nothing."""
        if place not in self._all:
            return
        del self._all[place]
        left = self._of_agent[place.caller.agent] - 1
        if left:
            self._of_agent[place.caller.agent] = left
        else:
            del self._of_agent[place.caller.agent]

    def of(self, agent: str) -> int:
        """Return how many connections an agent has."""
        return self._of_agent.get(agent, 0)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Place]:
        return iter(list(self._all))

    def end(self, which: Callable[[Caller], bool], ending: Ending) -> int:
        """End the connections of callers that `which` holds for; return how many."""
        chosen = [place for place in self._all if which(place.caller)]
        return sum(self.end_one(place, ending) for place in chosen)

    def end_one(self, place: Place, ending: Ending) -> bool:
        """End one connection; tell whether it was not ending before."""
        if place.ending or place not in self._all:
            return False
        place.ending = True
        place.connection.end(ending)
        return True

    def drain(self, seconds: float) -> None:
        """Take no more connections, and tell those that are there."""
        self._drain_s = seconds
        for place in list(self._all):
            place.connection.draining(seconds)


def _anybody(caller: Caller) -> None:
    """Let everybody be here: nobody looks after these connections."""
    del caller
