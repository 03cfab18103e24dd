"""Reading what streams keep: for whoever asks, and for a consumer that begins in the past.

Rule: what is read back was accepted under the decision that is kept with it, and is
checked like any delivery. A consumer's part is written down page by page, so that it
goes on where it was after a restart.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from bus.consumers import BEFORE_ALL, Consumer, putting
from bus.core import subject as grammar
from bus.core.changes import Change, Deliver, Retry
from bus.core.entries import Entry, Sealer, key_of
from bus.core.errors import MessageExpiredError, StoreBrokenError, StoreUnavailableError
from bus.core.features import due_ns_of
from bus.core.storelimits import FEED_MESSAGES_MAX, FEED_RETRY_S, STORE_PAGE_ROWS_MAX
from bus.feeding import committed
from bus.pauses import pause
from bus.ports import Clock, Validator
from bus.storing import Store
from bus.streams import Stream
from bus.wants import Start

_NS_PER_S: Final = 1_000_000_000
_PAUSE_S: Final = 0.05
Pattern = tuple[str, ...]
Page = list[tuple[int, bytes]]


class Position(msgspec.Struct, array_like=True):
    """Where a consumer is in reading back: the ranges to read, and its next number."""

    number: int
    since_ns: int
    ranges: list[tuple[int, int, int]]  # (stream, next sequence, last sequence)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Position).decode


class Rereading:
    """Reads back for one bus."""

    def __init__(
        self, store: Store, sealer: Sealer, validator: Validator, clock: Clock
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._check = validator.check
        self._constitution = validator.constitution
        self._clock = clock
        self.stopped = False

    async def entries(
        self, streams: Sequence[Stream], pattern: Pattern, start: Start
    ) -> AsyncIterator[list[Entry]]:
        """Yield what streams keep under a pattern by pages, one stream after the other.

        Up to what was kept when it is asked for; what has expired is left out.

        Raises:
            StoreBrokenError, ConstitutionalError: an entry is not what was kept.
            StoreUnavailableError: the store cannot be read now.
        """
        for stream in streams:
            last = key_of(stream.id, stream.last)
            first = key_of(stream.id, await self.first(stream, start))
            async for page in self._pages(first, last):
                yield self._opened(page, pattern)

    def _opened(self, page: Page, pattern: Pattern) -> list[Entry]:
        """Return the entries of a page that fall under a pattern and are not over.

        The seal covers a message with its stamp, so that need not be checked once more
        where nothing else is to be.
        """
        found: list[Entry] = []
        open_, constitution = self._sealer.open, self._constitution
        falls: dict[str, bool] = {}  # subjects are fewer than messages
        now_ns = self._clock.now_ns()
        for key, sealed in page:
            entry = open_(key, sealed)
            message = entry.message
            subject = message.subject
            if subject not in falls:
                tokens = tuple(subject.split("."))
                falls[subject] = grammar.matches(pattern, tokens)
            if not falls[subject]:
                continue
            if message.expires_ns is not None or message.constitution != constitution:
                try:
                    self._check(message, now_ns)
                except MessageExpiredError:
                    continue
            found.append(entry)
        return found

    async def _pages(self, first: int, last: int) -> AsyncIterator[Page]:
        """Yield entries by pages; the next is read while one is looked at."""
        page: Page = []
        if first <= last:
            page = await self._store.entries(first, last, STORE_PAGE_ROWS_MAX)
        while page:
            rest = self._store.entries(page[-1][0] + 1, last, STORE_PAGE_ROWS_MAX)
            ahead = asyncio.get_running_loop().create_task(rest)
            try:
                yield page
                page = await ahead
            finally:
                ahead.cancel()  # whoever reads may have had enough

    async def first(self, stream: Stream, start: Start) -> int:
        """Return the sequence of a stream that a start means."""
        if isinstance(start, datetime):
            since_ns = int(start.timestamp() * _NS_PER_S)
            return await self._store.at(stream.id, since_ns)
        if isinstance(start, int):
            return max(start, stream.first)
        return stream.first if start == "all" else stream.last + 1

    @staticmethod
    def begin(consumer: Consumer, streams: Sequence[Stream], start: Start) -> None:
        """Note from where a new consumer reads back, up to what is accepted by now."""
        since_ns = (
            int(start.timestamp() * _NS_PER_S) if isinstance(start, datetime) else 0
        )
        ranges = []
        for stream in streams:
            first = max(start, stream.first) if isinstance(start, int) else stream.first
            if first <= stream.last:
                ranges.append((stream.id, first, stream.last))
        _note(consumer, Position(BEFORE_ALL + 1, since_ns, ranges))

    async def run(self, consumer: Consumer, feed: Callable[[Consumer], None]) -> None:
        """Write down what a consumer reads back, page by page, until it has caught up."""
        settled = False
        while consumer.row.replay and consumer.members and not self.stopped:
            if consumer.reread > FEED_MESSAGES_MAX:
                await pause(self._clock, _PAUSE_S)
                feed(consumer)
                continue
            try:
                if not settled:
                    await committed(self._store)  # what is on its way is there then
                    settled = True
                await self._page(consumer, _decode(consumer.row.replay))
            except StoreUnavailableError:
                await pause(self._clock, FEED_RETRY_S)
            feed(consumer)
        consumer.replaying = bool(consumer.row.replay)
        feed(consumer)

    async def _page(self, consumer: Consumer, position: Position) -> None:
        before, first_number = consumer.row, position.number
        changes: list[Change] = []
        if position.ranges:
            stream, first, last = position.ranges[0]
            if position.since_ns:
                first = max(first, await self._store.at(stream, position.since_ns))
            page = await self._store.entries(
                key_of(stream, first), key_of(stream, last), FEED_MESSAGES_MAX
            )
            changes += self._delivering(consumer, position, page)
            if page:
                following = page[-1][0] - key_of(stream, 0) + 1
                position.ranges[0] = (stream, following, last)
            if not page or position.ranges[0][1] > last:
                position.ranges.pop(0)
        if consumer.forgotten:
            return
        _note(consumer, position)
        try:
            await committed(self._store, (*changes, putting(consumer)))
        except StoreUnavailableError:
            consumer.row = before
            raise
        count = position.number - first_number
        consumer.behind += count
        consumer.reread += count

    def _delivering(
        self, consumer: Consumer, position: Position, page: Page
    ) -> list[Change]:
        """Return what gives a consumer its part of a page; what has a time waits for it."""
        changes: list[Change] = []
        now_ns = self._clock.now_ns()
        for key, sealed in page:
            due_ns = self._due_ns(consumer, key, sealed)
            if due_ns is None:
                continue
            changes.append(Deliver(consumer.row.id, position.number, key))
            if due_ns > now_ns:
                changes.append(Retry(consumer.row.id, position.number, 0, due_ns))
            position.number += 1
        return changes

    def _due_ns(self, consumer: Consumer, key: int, sealed: bytes) -> int | None:
        """Return when a consumer may have an entry; None if it is not for it."""
        try:
            message = self._sealer.open(key, sealed).message
        except StoreBrokenError:
            return 0  # told, and kept as a letter, when it is to be delivered
        if not grammar.matches(consumer.tokens, tuple(message.subject.split("."))):
            return None
        return due_ns_of(message)


def _note(consumer: Consumer, position: Position) -> None:
    replay = _encode(position) if position.ranges else b""
    consumer.row = msgspec.structs.replace(consumer.row, replay=replay)
    consumer.replaying = bool(replay) or consumer.replaying
