"""Accepting on a bus with a store: kept first, then handed over, then told.

Rule: a message is accepted when its entry is committed. Until then nobody receives it,
nothing of it is recorded, and its room is held. Who published it may be gone by then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec

from bus.consumers import Consumer
from bus.core import subject as grammar
from bus.core.changes import Trimmed
from bus.core.decision import Decision
from bus.core.entries import Sealer
from bus.core.errors import (
    LimitExceededError,
    StoreBrokenError,
    StoreUnavailableError,
)
from bus.core.features import DEDUP_HEADER, due_ns_of
from bus.core.message import Message
from bus.core.outcome import Accepted, Outcome
from bus.kept import Kept, Numbers
from bus.outbox import outbox
from bus.ports import AuditLog, AuditRecord, Clock
from bus.remembering import Remembered
from bus.routes import Origin, Route
from bus.storing import Store
from bus.streams import Stream, Streams
from bus.subscription import Delivery, Subscription

Ended = Callable[[Message, Origin, Outcome], Outcome]
"""Counts and records an ending other than Accepted; the pipeline's."""


class Keeping:
    """Keeps what the pipeline lets in, in a store."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        streams: Streams,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self.store = store
        self.sealer = sealer
        self.streams = streams
        self.numbers = Numbers()
        self.remembered = Remembered()
        self.record: Callable[[AuditRecord], None] = audit.append
        self.ended: Ended
        self.woken: Callable[[int], None]
        self.refused: Callable[[Exception], None] = _nobody_asks
        self.fed: Callable[[Consumer], None]
        self.lost: Callable[[Delivery], None]
        self.cut_away: Callable[[Trimmed], None]
        self.start: Callable[[Coroutine[Any, Any, None], str], None]
        self.unplaced: dict[Kept, None] = {}
        self._clock = clock

    def keep(
        self,
        message: Message,
        decision: Decision,
        takers: Sequence[Subscription],
        place: tuple[Route, Origin],
    ) -> Awaitable[Outcome]:
        """Submit a message; await the result for its outcome once it is kept for good.

        Cancelling that does not take back what was submitted: it may be accepted.

        Raises:
            ProtocolError, UnavailableError: nothing was kept; the text says why. Also
                when awaited.
        """
        route, origin = place
        stream = route.stream
        if stream is None:
            stream = self.streams.of(message.tenant, route.tokens)
            route.stream = stream
        kept = Kept(self, (message, decision), (route, origin, stream), takers)
        if message.headers or stream.full(len(message.body)) or outbox.get():
            return self._slowly(kept)
        return self._submitted(kept)

    async def _slowly(self, kept: Kept) -> Outcome:
        """Keep a message that asks for more, or whose stream must be cut first."""
        message, stream = kept.message, kept.stream
        kept.wait()
        try:
            kept.due_ns = due_ns_of(message)
            if DEDUP_HEADER in message.headers:
                before = await self._before(kept)
                if before is not None:
                    kept.drop()
                    return before
            if stream.full(len(message.body)):
                await self.cut(stream, len(message.body))
        except BaseException:
            kept.drop()
            raise
        box = outbox.get()
        return await self._submitted(kept) if box is None else box.put(kept)

    async def _before(self, kept: Kept) -> Outcome | None:
        """Return the outcome of a message that has its name; if none has, it has now."""
        message, remembered = kept.message, self.remembered
        scope, box = remembered.scope(message), outbox.get()
        if box is not None and (twin := box.named(scope)) is not None:
            return msgspec.structs.replace(twin.accepted(), duplicate=True)
        await remembered.settled(scope)
        now_ns = self._clock.now_ns()
        key = remembered.find(scope, now_ns)
        if key is not None:
            return await self._again(message, kept.decision, key)
        remembered.begin(scope, now_ns)
        kept.scope, kept.until_ns = scope, now_ns + kept.stream.spec.dedup_ns
        return None

    def _submitted(self, kept: Kept) -> "asyncio.Future[Outcome]":
        # Made without the loop's own method: that is a call more for each message.
        future: asyncio.Future[Outcome] = asyncio.Future()
        kept.future = future
        self.store.submit(kept.changes(), kept)
        return future

    def bring(self, taker: Subscription) -> None:
        """Bring what was let in and has no place in its stream yet to one more.

        It begins with what is kept; what is kept after that must reach it all the same.
        """
        for kept in self.unplaced:
            message = kept.message
            if message.tenant == taker.spec.tenant and grammar.matches(
                taker.tokens, kept.route.tokens
            ):
                kept.also(taker)

    def hand(self, taker: Subscription, message: Message, decision: Decision) -> None:
        """Give a message to a taker for which nothing is kept."""
        if taker.closed:
            self.lost(Delivery(message, decision, taker))
            return
        taker.put(message, decision)
        taker.arrived()

    async def cut(self, stream: Stream, size: int) -> None:
        """Make room in a stream for so many bytes.

        Raises:
            LimitExceededError: it never takes as many.
            OverloadedError: nothing that is there may make way.
        """
        while stream.full(size):
            if size > stream.spec.max_bytes:
                raise LimitExceededError(
                    f"body bytes in stream {stream.name}",
                    actual=size,
                    allowed=stream.spec.max_bytes,
                )
            if stream.spec.discard == "refuse":
                raise stream.refuse()
            cutting = stream.cutting
            if cutting is None:
                cutting = asyncio.get_running_loop().create_future()
                stream.cutting = cutting
                work = self._cut(stream, size, cutting)
                self.start(work, f"assent cut of stream {stream.name}")
            await asyncio.wait([cutting])
            if not cutting.result():
                raise stream.refuse()

    async def _cut(self, stream: Stream, size: int, cut: asyncio.Future[int]) -> None:
        """Cut a stream for all who wait for that, whoever of them is cancelled."""
        try:
            bounds = stream.bounds(size, self._clock.now_ns())
            told = await self.store.trim(stream.id, bounds)
            stream.trimmed(told)
            self.cut_away(told)
            cut.set_result(told.messages)
        except (StoreUnavailableError, StoreBrokenError) as error:
            cut.set_exception(error)
        finally:
            stream.cutting = None
            if not cut.done():
                cut.set_exception(StoreUnavailableError("the bus was closed meanwhile"))
            cut.exception()  # seen, also where nobody waits any more

    async def _again(self, message: Message, decision: Decision, key: int) -> Outcome:
        """Return the outcome of a message that was kept before under this name."""
        found = await self.store.entries(key, key, 1)
        if not found:  # the stream has given it up since
            return Accepted(message.id, decision, 0, duplicate=True)
        entry = self.sealer.open(*found[0])
        return Accepted(
            entry.message.id, entry.decision, len(entry.plan), duplicate=True
        )


def _nobody_asks(error: Exception) -> None:
    """Nobody supervises the store: who published is told, and that is all."""
    del error
