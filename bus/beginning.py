"""Attempts that a process may not survive: noted for good before they are made."""

import asyncio

from bus.core.errors import StoreUnavailableError
from bus.pauses import pause
from bus.ports import Clock
from bus.settling import Settling
from bus.subscription import Delivery


async def begins(delivery: Delivery, settling: Settling, clock: Clock) -> bool:
    """Note that an attempt begins, where an earlier process may have died on the message.

    Tells whether it may go on; if not, it has ended, or waits to be tried again.
    """
    sub = delivery.subscription
    if delivery.attempt > sub.spec.max_deliver:
        delivery.attempt -= 1  # this one is not made
        died = f"its process ended while it was handled (attempt {delivery.attempt})"
        settling.give_up(delivery, died)
        return False
    try:
        await settling.rows.begun(delivery)
    except StoreUnavailableError:
        await pause(clock)
        if not sub.ended:
            sub.put_back(delivery)
        return False
    except asyncio.CancelledError:
        if not sub.ended:
            sub.put_back(delivery)
        raise
    return not sub.ended
