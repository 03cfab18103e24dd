"""Policy's word on one subscription, for those who wait for it.

Rule: who waits is always told: let in, turned away, or closed meanwhile.
"""

import asyncio

from bus.core.errors import BusError


class Admission:
    """What policy was asked about a subscription, and who waits for the answer."""

    __slots__ = ("_again", "_first", "turned_away")

    def __init__(self) -> None:
        self.turned_away: BusError | None = None
        self._first: asyncio.Event | None = None
        self._again: list[asyncio.Future[None]] = []

    def wait_for_policy(self) -> None:
        """Be told that the first answer takes time."""
        self._first = asyncio.Event()

    def answered(self) -> None:
        """Let those go on who wait for any answer."""
        if self._first is not None:
            self._first.set()
        while self._again:
            future = self._again.pop()
            if not future.done():
                future.set_result(None)

    async def first(self) -> None:
        """Wait for the first answer; raise what turned the subscription away."""
        if self._first is not None:
            await self._first.wait()
        if self.turned_away is not None:
            raise self.turned_away

    async def next(self) -> None:
        """Wait for the next answer, whatever it is."""
        future = asyncio.get_running_loop().create_future()
        self._again.append(future)
        await future
