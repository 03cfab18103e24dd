"""Decisions kept: bounded, by action and key bytes, in two generations.

Rule: what is used stays. A full young generation becomes the old one, and the old
one's entries that nobody asked for meanwhile are evicted and counted. A hit in the
young generation is one lookup and moves nothing; an ordered dict's move to the end
would cost every hit 60 ns to choose its victims a little better.
"""

from typing import Final

from bus.core.decision import Decision
from bus.core.policylimits import POLICY_SLICE_ENTRIES
from policy.pacing import Steps

ACTIONS: Final = (
    "publish",
    "request",
    "reply",
    "dead_letter",
    "system_event",
    "connect",
    "subscribe",
    "cooldown",
    "release",
    "chaos",
)
Entry = tuple[Decision, int]
"""(decision, expires_ns)."""


class DecisionCache:
    """At most `entries` decisions.

    `young` may be read by whoever cannot afford a call; nobody else writes to it.
    """

    __slots__ = (
        "_generations",
        "_half",
        "_old",
        "_old_size",
        "_young_size",
        "evictions",
        "young",
    )

    def __init__(self, entries: int) -> None:
        if entries < 1:
            raise ValueError(f"a decision cache holds 1 entry or more, not {entries}")
        self._half = max(entries // 2, 1)
        self._generations = min(entries, 2)
        self.young = _empty()
        self._old = _empty()
        self._young_size = 0
        self._old_size = 0
        self.evictions = 0

    def __len__(self) -> int:
        return self._young_size + self._old_size

    def recall(self, action: str, key: bytes, now_ns: int) -> Decision | None:
        """Return a decision of either generation that has not expired."""
        entry = self.young[action].get(key)
        if entry is None:
            entry = self._old[action].pop(key, None)
            if entry is None:
                return None
            self._old_size -= 1
            if entry[1] > now_ns:
                self._keep(action, key, entry)
        return entry[0] if entry[1] > now_ns else None

    def store(self, action: str, key: bytes, entry: Entry) -> None:
        """Keep a decision, in place of an older one of its key."""
        if self._old[action].pop(key, None) is not None:
            self._old_size -= 1
        self._keep(action, key, entry)

    def emptying(self) -> Steps[None]:
        """Let go of everything, some entries in a step: all at once takes 20 ms and more.

        For a cache that nobody asks any more.
        """
        for kept in (*self.young.values(), *self._old.values()):
            while kept:
                for _ in range(min(POLICY_SLICE_ENTRIES, len(kept))):
                    kept.popitem()
                yield

    def _keep(self, action: str, key: bytes, entry: Entry) -> None:
        if key not in self.young[action]:
            if self._young_size >= self._half:
                self._turn()
            self._young_size += 1
        self.young[action][key] = entry

    def _turn(self) -> None:
        self.evictions += self._old_size
        self._old, self._old_size = self.young, self._young_size
        self.young, self._young_size = _empty(), 0
        if self._generations == 1:
            self.evictions += self._old_size
            self._old, self._old_size = _empty(), 0


def _empty() -> dict[str, dict[bytes, Entry]]:
    return {action: {} for action in ACTIONS}
