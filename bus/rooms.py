"""Room for one message with all its takers at once.

Rule: a publisher waits for one full taker at a time and holds nothing meanwhile, so a
slow taker costs the others no room, and two publishers never wait for each other.
"""

import asyncio
from collections.abc import Sequence

from bus.core.errors import NoRespondersError, OverloadedError
from bus.core.limits import RETRY_AFTER_S
from bus.ports import Clock
from bus.subscription import Subscription


async def take_rooms(
    takers: Sequence[Subscription], wait_s: float, clock: Clock
) -> None:
    """Return when every taker has room; the caller puts its deliveries at once.

    Between the return and the caller's `put` nothing else runs, so room found is
    room kept. A taker that asked for it gives up its oldest message instead.

    Raises:
        OverloadedError: a taker refuses, or no room within `wait_s` seconds.
        NoRespondersError: a taker was closed meanwhile.
    """
    wait = _Wait()
    timer = clock.call_after(wait_s, wait.give_up)
    granted: Subscription | None = None
    try:
        while True:
            full = _first_full(takers, granted, wait_s)
            if granted is not None:
                granted.hold(-1)
            if full is None:
                break
            if granted is not None:
                granted.grant()
                granted = None
            wait.taker = full
            await full.room(wait.watch)
            granted = full
    finally:
        timer.cancel()
    for taker in takers:
        if taker.spec.overflow == "drop_oldest":
            taker.make_room()


def _first_full(
    takers: Sequence[Subscription], granted: Subscription | None, wait_s: float
) -> Subscription | None:
    """Return a taker to wait for, or None; `granted` has given its room already."""
    found = None
    for taker in takers:
        if taker.closed:
            _return_room(granted)
            raise NoRespondersError(f"{taker.name} was closed")
        if taker is granted or taker.spec.overflow == "drop_oldest" or not taker.full:
            continue
        if taker.spec.overflow == "refuse" or wait_s <= 0:
            _return_room(granted)
            raise OverloadedError(taker.name, retry_after_s=RETRY_AFTER_S)
        found = found or taker
    return found


def _return_room(granted: Subscription | None) -> None:
    if granted is not None:
        granted.give_up_room()


class _Wait:
    """The wait of one publisher: at any time for one taker."""

    def __init__(self) -> None:
        self.taker: Subscription | None = None
        self.future: asyncio.Future[None] | None = None

    def watch(self, future: asyncio.Future[None]) -> None:
        """Be told what is waited for."""
        self.future = future

    def give_up(self) -> None:
        """End the wait: its time is over."""
        if self.future is not None and not self.future.done() and self.taker:
            self.taker.forget(self.future)
            self.future.set_exception(
                OverloadedError(self.taker.name, retry_after_s=RETRY_AFTER_S)
            )
