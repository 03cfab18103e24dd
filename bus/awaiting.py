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


async def all_ended(outcomes: list[Coming]) -> list[Outcome]:
    """Return outcomes in their order, once there are all."""
    found: list[Outcome] = []
    for outcome in outcomes:
        # No coroutine for each: the first of a commit is waited for, the rest is there.
        if not isinstance(outcome, asyncio.Future):
            found.append(outcome)
        elif outcome.done():
            found.append(outcome.result())
        else:
            found.append(await outcome)
    return found
