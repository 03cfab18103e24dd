"""The sub-agents of one session: who began whom, how deep, and how many at once.

Rule: only what was asked for here and allowed may begin others. A sub-agent that is not
known, as after a restart of the node, begins none.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

import msgspec

from bus.core.edgelimits import HOOK_SPAWN_S, HOOK_SUBAGENTS_MAX

MAIN: Final = ""
"""The agent of the session itself, which has no id."""

_PENDING_NS: Final = HOOK_SPAWN_S * 1_000_000_000


class Bounds(msgspec.Struct, frozen=True):
    """How deep sub-agents go below the session's agent, and how many one has at once."""

    depth: int
    fan_out: int


class Place(msgspec.Struct, frozen=True):
    """Where an agent stands; `spawn` is the id of the message that asked for it."""

    parent: str
    depth: int
    spawn: bytes | None = None


class Spawn(msgspec.Struct, eq=False):
    """A sub-agent that was asked for and has not begun yet; `message` lets it."""

    parent: str
    kind: str
    call: str
    at_ns: int
    message: bytes | None = None


class Family:
    """The agents of one session. `request` is the last thing its user asked for."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._places = {MAIN: Place(MAIN, 0)}
        self._pending: list[Spawn] = []
        self.request = ""

    def cause(self, agent: str) -> bytes | None:
        """Return the id of the message that asked for an agent, if one did."""
        place = self._places.get(agent)
        return None if place is None else place.spawn

    def refusal(self, parent: str, now_ns: int) -> str:
        """Return why `parent` may begin no other agent now, or the empty string."""
        self._pending = [s for s in self._pending if now_ns - s.at_ns < _PENDING_NS]
        place = self._places.get(parent)
        if place is None:
            return f"sub-agent {parent} is not known here, so it may begin no other"
        if place.depth >= self._bounds.depth:
            return (
                f"sub-agents go {self._bounds.depth} deep at most "
                f"(hooks.depth), and this one is at {place.depth}"
            )
        if self._children(parent) >= self._bounds.fan_out:
            return (
                f"one agent has {self._bounds.fan_out} sub-agents at once at most "
                "(hooks.fan_out); wait for one to end"
            )
        if len(self._places) + len(self._pending) > HOOK_SUBAGENTS_MAX:
            return f"a session has {HOOK_SUBAGENTS_MAX} sub-agents at most"
        return ""

    @contextlib.contextmanager
    def asking(self, spawn: Spawn) -> Iterator[Spawn]:
        """Count a sub-agent while it is decided on; after that only if it is allowed."""
        self._pending.append(spawn)
        try:
            yield spawn
        finally:
            if spawn.message is None:
                self._pending = [one for one in self._pending if one is not spawn]

    def begun(self, agent: str, kind: str) -> None:
        """Note that a sub-agent has begun: the oldest that was asked for of its kind."""
        if agent in self._places:
            return
        for spawn in self._pending:
            if spawn.kind == kind and spawn.message is not None:
                self._pending.remove(spawn)
                depth = self._places[spawn.parent].depth + 1
                self._places[agent] = Place(spawn.parent, depth, spawn.message)
                return

    def ended(self, agent: str) -> None:
        """Note that a sub-agent has ended; what it began and still runs is not known any more."""
        if agent != MAIN:
            self._places.pop(agent, None)
            self._pending = [s for s in self._pending if s.parent != agent]

    def returned(self, call: str) -> None:
        """Note that the call which asked for a sub-agent is over, begun or not."""
        self._pending = [s for s in self._pending if s.call != call]

    def _children(self, parent: str) -> int:
        living = sum(
            1 for name, p in self._places.items() if name != MAIN and p.parent == parent
        )
        return living + sum(1 for spawn in self._pending if spawn.parent == parent)
