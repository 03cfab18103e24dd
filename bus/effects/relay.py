"""The relay: from the outbox's table to the bus, in order.

Rule: what the bus will never take is refused, kept and counted; what it cannot take now
holds up what is behind it, and is tried again.
"""

import asyncio
import logging
from typing import Any, Final, assert_never

import msgspec

from bus.core.delivery import backoff_ms
from bus.core.errors import NoRespondersError, ProcessingError, ProtocolError
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.outcome import Accepted, Denied, Dropped, Failed, Held, Outcome, Rejected
from bus.core.storelimits import OUTBOX_ATTEMPTS_MAX
from bus.effects import waiting
from bus.effects.publishing import Publisher, descending
from bus.effects.rows import Row, arguments
from bus.effects.sessions import Session
from bus.effects.stats import OutboxStats
from bus.ports import Clock

_log: Final = logging.getLogger("assent.outbox")

# Failures that are the message's own: the same message may meet them for ever.
_ITS_OWN: Final = (NoRespondersError, ProcessingError)


class _Endings(msgspec.Struct):
    """What became of the rows of one turn."""

    gone: list[int] = []
    refused: list[tuple[int, str]] = []
    tried: list[int] = []


class Relay:
    """Publishes an agent's rows as that agent."""

    def __init__(
        self, agent: Publisher, sender: str, clock: Clock, stats: OutboxStats
    ) -> None:
        self._agent = agent
        self._sender = sender
        self._clock = clock
        self._stats = stats
        self._woken = asyncio.Event()

    async def turn(self, session: Session) -> float | None:
        """Publish the rows that are next, and note their endings.

        Returns 0.0 if there may be more, None if there are none, else the seconds after
        which the first of them is to be tried again.
        """
        rows = await session.read(waiting.take(self._sender))
        if not rows:
            return None
        endings = _Endings()
        try:
            for row in rows:
                wait_s = await self._offer(row, endings)
                if wait_s:
                    return wait_s
        finally:
            await self._note(session, endings)
        return 0.0

    async def idle(self, seconds: float) -> None:
        """Wait by the clock, or until `wake`, also where that came before."""
        await self._wait(seconds, self._woken)
        self._woken.clear()

    async def pause(self, seconds: float) -> None:
        """Wait by the clock."""
        await self._wait(seconds, asyncio.Event())

    def wake(self) -> None:
        """End `idle`."""
        self._woken.set()

    async def _wait(self, seconds: float, over: asyncio.Event) -> None:
        timer = self._clock.call_after(seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    async def _note(self, session: Session, endings: _Endings) -> None:
        if not (endings.gone or endings.refused or endings.tried):
            return
        ended = (endings.gone, endings.refused, endings.tried)
        try:
            evicted = await session.write(waiting.settle(self._sender, *ended))
        except asyncio.CancelledError:
            # What was accepted is better noted than published again at the next start.
            await session.write(waiting.settle(self._sender, *ended))
            raise
        self._stats.evicted += evicted

    async def _offer(self, row: Row, endings: _Endings) -> float:
        """Publish a row; return 0.0 if it has ended, else when to try again."""
        try:
            told = arguments(self._agent, row, self._clock.now_ns())
        except ProtocolError as error:
            self._refuse(row, f"{error.code}: {error}", endings)
            return 0.0
        outcome = await self._publish(row, told)
        match outcome:
            case Accepted():
                self._stats.published += 1
                endings.gone.append(row.id)
            case Held():
                self._stats.held += 1
                endings.gone.append(row.id)
            case Denied() | Dropped() | Rejected():
                self._refuse(row, f"{outcome.code}: {outcome.reason}", endings)
            case Failed():
                return self._retry(row, outcome, endings)
            case _:
                assert_never(outcome)
        return 0.0

    async def _publish(self, row: Row, told: dict[str, Any]) -> Outcome:
        with descending(row.lineage):
            return await self._agent.publish(row.subject, row.body, **told)

    def _retry(self, row: Row, outcome: Failed, endings: _Endings) -> float:
        attempt = row.attempts + 1
        reason = f"{outcome.code}: {outcome.reason}"
        if isinstance(outcome.error, _ITS_OWN) and attempt >= OUTBOX_ATTEMPTS_MAX:
            self._refuse(row, f"{reason} (attempt {attempt})", endings)
            return 0.0
        self._stats.retried += 1
        endings.tried.append(row.id)
        if attempt == 1:
            _log.info("outbox row %d of %s waits: %s", row.id, self._sender, reason)
        return outcome.retry_after_s or backoff_ms(attempt) / 1000

    def _refuse(self, row: Row, reason: str, endings: _Endings) -> None:
        self._stats.refused += 1
        told = _storable(reason[:ERROR_CHARS_MAX])
        endings.refused.append((row.id, told))
        _log.warning("outbox row %d of %s refused: %s", row.id, self._sender, told)


def _storable(text: str) -> str:
    """Return text without what a column of text cannot hold."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")
