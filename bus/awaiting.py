"""Outcomes of many publishes, of which a store may still have to tell some."""

import asyncio

from bus.core.limits import PUBLISHES_UNDER_WAY_MAX
from bus.core.outcome import Outcome

Coming = Outcome | asyncio.Future[Outcome]
"""An outcome, or one that a store will tell."""


async def breathe(outcomes: list[Coming]) -> None:
    """Let others have their turn; not too much is on its way to a store at once."""
    await asyncio.sleep(0)
    if len(outcomes) > PUBLISHES_UNDER_WAY_MAX:
        await ended(outcomes[-PUBLISHES_UNDER_WAY_MAX])


async def ended(outcome: Coming) -> Outcome:
    """Return an outcome, once there is one."""
    return await outcome if isinstance(outcome, asyncio.Future) else outcome
