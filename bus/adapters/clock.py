"""The system clock."""

import asyncio
import time
from collections.abc import Callable

from bus.ports import Timer


class SystemClock:
    """Wall clock in nanoseconds; waits run on the loop's monotonic clock."""

    now_ns = staticmethod(time.time_ns)

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back in the running loop after `delay_s` seconds."""
        return asyncio.get_running_loop().call_later(delay_s, callback)
