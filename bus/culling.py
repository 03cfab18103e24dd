"""Dead letters in a store: a tenant that has many gives way before anybody else does.

Rule: before the store is full of letters, those of the tenants that have most go, their
oldest first, until all have their part; who has no more than that loses none.
"""

import logging
from array import array
from collections.abc import Callable, Mapping
from typing import Final

from bus.core.changes import DropLetter
from bus.core.errors import StoreBrokenError, StoreUnavailableError
from bus.core.storelimits import (
    LETTERS_CULLED_SHARE,
    LETTERS_KEPT_MAX,
    LETTERS_LEFT_SHARE,
    LETTERS_READ_MAX,
    STORE_BATCH_CHANGES_MAX,
)
from bus.feeding import StartTask, committed
from bus.storing import Store

_log: Final = logging.getLogger("assent.store")
_IDS: Final = "q"

Gone = Callable[[str, int], None]
"""Told how many letters of a tenant gave way."""


class Culling:
    """Keeps the letters of one store below their bound; `gone` is told who gave way."""

    def __init__(self, store: Store, start: StartTask, gone: Gone) -> None:
        self._store = store
        self._start = start
        self._gone = gone
        self._at_work = False
        self.stopped = False

    def look(self) -> None:
        """Begin to make room if there are too many; never waits."""
        if self._at_work or self.stopped:
            return
        if self._store.stats().letters >= LETTERS_KEPT_MAX * LETTERS_CULLED_SHARE:
            self._at_work = True
            self._start(self._cull(), "assent cull of dead letters")

    async def _cull(self) -> None:
        try:
            theirs = await self._whose()
            level = level_of(
                [len(ids) for ids in theirs.values()],
                int(LETTERS_KEPT_MAX * LETTERS_LEFT_SHARE),
            )
            for tenant, ids in theirs.items():
                if len(ids) > level:
                    await self._drop(tenant, ids[: len(ids) - level])
        except (StoreUnavailableError, StoreBrokenError) as error:
            _log.warning("dead letters: %s", error)  # looked at with the next one
        finally:
            self._at_work = False

    async def _whose(self) -> Mapping[str, "array[int]"]:
        """Return the ids of all letters by tenant, the oldest first."""
        theirs: dict[str, array[int]] = {}
        after = 0
        while rows := await self._store.letters(after, LETTERS_READ_MAX):
            for row in rows:
                theirs.setdefault(row.tenant, array(_IDS)).append(row.id)
            after = rows[-1].id
        return theirs

    async def _drop(self, tenant: str, ids: "array[int]") -> None:
        for first in range(0, len(ids), STORE_BATCH_CHANGES_MAX):
            batch = ids[first : first + STORE_BATCH_CHANGES_MAX]
            await committed(self._store, [DropLetter(one) for one in batch])
            self._gone(tenant, len(batch))


def level_of(counts: list[int], total: int) -> int:
    """Return how many each may have at most, so that all together have `total` at most.

    Who has less than that keeps all it has.
    """
    left = total
    for number, count in enumerate(sorted(counts)):
        part = left // (len(counts) - number)
        if count > part:
            return part
        left -= count
    return max(counts, default=0)
