"""What publishers called their messages: a name that was kept is not kept again.

Rule: a name belongs to its sender, and is remembered for the window of the stream. While
a message is on its way into the store, another of its name waits for how that ends; but
two handlers with once=True never wait for each other: the later one is tried again.
"""

import asyncio
import heapq
from collections.abc import Sequence
from typing import Final

from bus.core.errors import OverloadedError
from bus.core.features import DEDUP_HEADER
from bus.core.limits import RETRY_AFTER_S
from bus.core.message import Message
from bus.core.storelimits import DEDUP_IDS_MAX, TENANT_SHARES
from bus.core.validation import check_claim
from bus.outbox import Outbox, outbox

_PURGED_AT_ONCE: Final = 16


class Remembered:
    """Names by scope: tenant, sender and name in one."""

    __slots__ = ("_holders", "_known", "_pending", "_theirs", "_until", "_waits")

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int]] = {}
        self._until: list[tuple[int, str]] = []  # a heap: windows differ by stream
        self._theirs: dict[str, int] = {}  # names by tenant, those on their way too
        self._pending: dict[str, asyncio.Future[None]] = {}
        self._holders: dict[str, Outbox] = {}  # names that go with a transaction
        self._waits: dict[Outbox, list[str]] = {}

    @staticmethod
    def scope(message: Message) -> str:
        """Return what a message is remembered under.

        Raises:
            MalformedMessageError, LimitExceededError: it is no short printable name.
        """
        name = message.headers[DEDUP_HEADER]
        check_claim("dedup name", name)
        return f"{message.tenant} {message.sender} {name}"

    def restore(self, rows: Sequence[tuple[str, int, int]]) -> None:
        """Take over what a store remembers: (scope, key, until_ns)."""
        for scope, key, until_ns in rows:
            self._know(scope, key, until_ns)

    async def settled(self, scope: str) -> None:
        """Wait until no message of that name is on its way.

        Raises:
            OverloadedError: the one that has it waits for the transaction at hand, which
                is undone, and tried again.
        """
        box = outbox.get()
        while (pending := self._pending.get(scope)) is not None:
            if box is None:
                await asyncio.wait([pending])
                continue
            if self._in_a_circle(box, scope):
                box.undone = OverloadedError(
                    "a dedup name in another transaction", retry_after_s=RETRY_AFTER_S
                )
                raise box.undone
            waits = self._waits.setdefault(box, [])
            waits.append(scope)
            try:
                await asyncio.wait([pending])
            finally:
                waits.remove(scope)
                if not waits:
                    self._waits.pop(box, None)

    def find(self, scope: str, now_ns: int) -> int | None:
        """Return the key of the message that had a name, within its window."""
        known = self._known.get(scope)
        if known is None or known[1] <= now_ns:
            return None
        return known[0]

    def begin(self, scope: str, now_ns: int) -> None:
        """Note that a message of that name is on its way; `end` must follow.

        Raises:
            OverloadedError: too many names are remembered.
        """
        self._purge(now_ns)
        tenant = scope.partition(" ")[0]
        share = DEDUP_IDS_MAX // TENANT_SHARES
        if self._theirs.get(tenant, 0) >= share:
            raise OverloadedError(
                f"what is deduplicated of tenant {tenant}", retry_after_s=RETRY_AFTER_S
            )
        self._pending[scope] = asyncio.get_running_loop().create_future()
        if (box := outbox.get()) is not None:
            self._holders[scope] = box
        self._count(scope, 1)

    def end(self, scope: str, key: int | None, until_ns: int) -> None:
        """Note how that ended: kept under a key, or not at all."""
        self._count(scope, -1)
        if key is not None:
            self._know(scope, key, until_ns)
        self._holders.pop(scope, None)
        self._pending.pop(scope).set_result(None)

    def _in_a_circle(self, box: Outbox, scope: str) -> bool:
        """Tell whether who has a name waits for `box`, or for who waits for it."""
        looked: set[Outbox] = set()
        found = [scope]
        while found:
            holder = self._holders.get(found.pop())
            if holder is box:
                return True
            if holder is not None and holder not in looked:
                looked.add(holder)
                found += self._waits.get(holder, ())
        return False

    def _purge(self, now_ns: int) -> None:
        """Forget a few whose window is over."""
        for _ in range(_PURGED_AT_ONCE):
            if not self._until or self._until[0][0] > now_ns:
                return
            until_ns, scope = heapq.heappop(self._until)
            if scope in self._known and self._known[scope][1] == until_ns:
                del self._known[scope]
                self._count(scope, -1)

    def _know(self, scope: str, key: int, until_ns: int) -> None:
        if scope not in self._known:
            self._count(scope, 1)
        self._known[scope] = (key, until_ns)
        heapq.heappush(self._until, (until_ns, scope))

    def _count(self, scope: str, step: int) -> None:
        tenant = scope.partition(" ")[0]
        self._theirs[tenant] = self._theirs.get(tenant, 0) + step
        if not self._theirs[tenant]:
            del self._theirs[tenant]
