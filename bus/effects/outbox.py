"""The outbox: messages that are published if, and only if, a transaction commits.

Rule: a row goes after the bus has accepted it, never before; a crash in between means
that it is published again, under the same dedup id.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Unpack, overload

from bus.adapters.clock import SystemClock
from bus.core.storelimits import OUTBOX_POLL_S, OUTBOX_POLL_S_MAX, OUTBOX_REFUSED_MAX
from bus.core.validation import check_seconds
from bus.effects import dialects, waiting
from bus.effects.connections import AsyncConnection, SyncConnection
from bus.effects.door import AsyncDoor
from bus.effects.doors import door_of
from bus.effects.publishing import Publisher
from bus.effects.relay import Relay
from bus.effects.rows import PutOptions, Refused, make
from bus.effects.sessions import Session, open_session
from bus.effects.stats import OutboxStats
from bus.effects.transactions import run, run_awaited
from bus.ports import Clock

_log: Final = logging.getLogger("assent.outbox")
_DEDUP_BYTES: Final = 16
_CLOCK: Final = SystemClock()


class Outbox:
    """One agent's outbox. `connect` makes the relay's own connection, or awaits one.

    `put` is called in the user's transactions; `run` publishes what they committed. Let
    one relay run for an agent: two would publish in each other's way.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        agent: Publisher,
        *,
        poll_s: float = OUTBOX_POLL_S,
        clock: Clock = _CLOCK,
    ) -> None:
        self._connect = connect
        self._agent = agent
        self._clock = clock
        self._poll_s = check_seconds("poll", poll_s, OUTBOX_POLL_S_MAX)
        self._sender = f"{agent.tenant}/{agent.name}"
        self.stats = OutboxStats()
        self._relay = Relay(agent, self._sender, clock, self.stats)

    @overload
    def put(
        self,
        connection: AsyncConnection,
        subject: str,
        body: object,
        **options: Unpack[PutOptions],
    ) -> Coroutine[Any, Any, bool]: ...

    @overload
    def put(
        self,
        connection: SyncConnection,
        subject: str,
        body: object,
        **options: Unpack[PutOptions],
    ) -> bool: ...

    def put(
        self,
        connection: Any,
        subject: str,
        body: object,
        **options: Unpack[PutOptions],
    ) -> Any:
        """Put a message into the outbox, in whatever transaction is open.

        It descends from the message whose handler is running. Returns False, and adds
        nothing, if one waits under its dedup id already.

        Raises:
            ProtocolError: something given breaks a rule of publishing.
            OverloadedError: `OUTBOX_ROWS_MAX` messages wait.
        """
        now_ns = self._clock.now_ns()
        options.setdefault("dedup", secrets.token_hex(_DEDUP_BYTES))
        row = make(self._agent, subject, body, now_ns, options)
        steps = waiting.put(self._sender, row, now_ns)
        door = door_of(connection)
        if isinstance(door, AsyncDoor):
            return run_awaited(door, connection, steps)
        return run(door, connection, steps)

    async def run(self) -> None:
        """Publish what is put, in order, until cancelled.

        A fault of the database is logged and counted, and a new connection made. Cancelled,
        it notes what was accepted, and leaves the rest for the next start.

        Raises:
            BusNotStartedError: the bus is not running.
            Exception: what `connect` raises the first time.
        """
        faults: tuple[type[Exception], ...] = ()
        while True:
            try:
                async with self._session() as session:
                    faults = session.faults
                    await self._serve(session)
            except faults as fault:
                self.stats.faults += 1
                _log.warning(
                    "outbox of %s: the database failed: %r", self._sender, fault
                )
            await self._relay.pause(self._poll_s)

    def wake(self) -> None:
        """Have `run` look at once, in the loop it runs in: something was committed."""
        self._relay.wake()

    async def drain(self) -> int:
        """Publish what waits now; return how many were accepted.

        It ends at the first that must be tried again later. Raises as `run`, and what
        the database raises.
        """
        before = self.stats.published
        async with self._session() as session:
            while await self._relay.turn(session) == 0.0:
                pass
        return self.stats.published - before

    async def waiting(self) -> int:
        """Return how many messages wait to be published."""
        async with self._session() as session:
            return await session.read(waiting.waiting(self._sender))

    async def refused(self) -> list[Refused]:
        """Return what was refused, oldest first: at most `OUTBOX_REFUSED_MAX`."""
        async with self._session() as session:
            return await session.read(waiting.refused(self._sender, OUTBOX_REFUSED_MAX))

    async def reoffer(self, id: int) -> bool:  # noqa: A002 - the field's name in `Refused`
        """Have a refused message published after all; tell whether it was there."""
        return await self._change(dialects.REOFFER, id)

    async def discard(self, id: int) -> bool:  # noqa: A002 - as above
        """Delete a refused message; tell whether it was there."""
        return await self._change(dialects.DISCARD, id)

    async def _change(self, statement: str, id_: int) -> bool:
        async with self._session() as session:
            return await session.write(waiting.change(statement, self._sender, id_))

    async def _serve(self, session: Session) -> None:
        while True:
            wait_s = await self._relay.turn(session)
            if wait_s is None:
                await self._relay.idle(self._poll_s)
            elif wait_s:
                await self._relay.pause(wait_s)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        session = await open_session(self._connect)
        try:
            yield session
        finally:
            await session.close()
