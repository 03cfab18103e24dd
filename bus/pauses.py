"""Waiting by the bus's own clock, which a test may move."""

import asyncio

from bus.core.limits import POLICY_RETRY_S
from bus.ports import Clock


async def pause(clock: Clock, delay_s: float = POLICY_RETRY_S) -> None:
    """Return after `delay_s` seconds of the clock; cancelling it leaves no timer."""
    future = asyncio.get_running_loop().create_future()

    def over() -> None:
        if not future.done():
            future.set_result(None)

    timer = clock.call_after(delay_s, over)
    try:
        await future
    finally:
        timer.cancel()
