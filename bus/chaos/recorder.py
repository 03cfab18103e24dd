"""An audit record that is slow, or stalls.

Rule: a fault loses no record. What is appended is kept by the record itself; a fault
only says that there is no room, as a slow or full disk would.
"""

import asyncio
from typing import Final

from bus.chaos.seam import Seam
from bus.core.errors import AuditStalledError
from bus.core.faults import Strike
from bus.core.operatinglimits import CHAOS_CHECK_S
from bus.core.stats import AuditStats
from bus.ports import AuditLog, AuditRecord

COMPONENT: Final = "audit"


class ChaosAudit:
    """An `AuditLog` around another."""

    def __init__(self, inner: AuditLog, seam: Seam) -> None:
        self._inner = inner
        self._seam = seam
        self._drawn: Strike | None = None
        self._waited = False

    @property
    def full(self) -> bool:
        """Whether publishing must wait for `room`."""
        if self._inner.full:
            return True
        if self._waited:
            return False
        if not self._seam.hit:
            self._drawn = None  # what was drawn under a fault that is over
            return False
        if self._drawn is None:
            self._drawn = self._seam.strike()
        return self._drawn is not None

    def append(self, record: AuditRecord) -> None:
        """Take a record."""
        self._inner.append(record)

    async def room(self) -> None:
        """Wait until there is room, late or never where this wait is hit."""
        strike, self._drawn = self._drawn, None
        await self._seam.suffer(strike, AuditStalledError, CHAOS_CHECK_S)
        if self._inner.full:
            await self._inner.room()
        # Who has waited looks again at once, and is not hit a second time for it.
        self._waited = True
        asyncio.get_running_loop().call_soon(self._forget)

    def _forget(self) -> None:
        self._waited = False

    async def open(self) -> None:
        """Start writing."""
        await self._inner.open()

    async def close(self) -> None:
        """Write everything that was taken, then stop."""
        await self._inner.close()

    def stats(self) -> AuditStats:
        """Return the counts since the start."""
        return self._inner.stats()
