"""An event loop whose time is virtual: it moves to what is due next, and never waits.

Rule: nothing outside the process is looked at, so a run is decided by its seed alone.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, Final

from bus.core.errors import IllegalTransitionError
from bus.ports import Timer

START_NS: Final = 1_700_000_000_000_000_000
_NS_PER_S: Final = 1_000_000_000


class _Selector(selectors.SelectSelector):
    """Lets time pass instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return at once; `timeout` seconds have passed."""
        if timeout is None:
            raise IllegalTransitionError("nothing is due, and somebody still waits")
        self.now_s += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that starts at 0 s and jumps from one due call to the next."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the seconds since it was made."""
        return self._virtual.now_s


class VirtualClock:
    """The clock of a simulated bus. `skew_s` is how far its wall clock was set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.skew_s = 0.0

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return START_NS + int((self._loop.time() + self.skew_s) * _NS_PER_S)

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back after so many virtual seconds."""
        return self._loop.call_later(delay_s, callback)
