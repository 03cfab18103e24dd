"""What an in-memory store holds, and what each change does to it.

Rule: every change goes through the journal, so that a submission that is refused
half-way leaves no trace.
"""

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bus.adapters.stores.rows import Journal, SortedRows
from bus.core.changes import (
    Append,
    Bounds,
    Bury,
    Change,
    ConsumerRow,
    Deliver,
    DropLetter,
    Forget,
    Letter,
    PutConsumer,
    PutStream,
    Retry,
    Settle,
    StreamRow,
    Trimmed,
    Wake,
)
from bus.core.entries import SEQUENCE_BITS, SEQUENCE_MAX, key_of
from bus.core.errors import StoreUnavailableError
from bus.core.storelimits import LETTERS_KEPT_MAX, STORE_TRIM_ROWS_MAX

Place = tuple[int, int, int]
"""(due_ns, consumer, number); due_ns is 0 for a delivery that is pending."""


class Tables:
    """The rows of a store. `apply` and `trim` change them, all else only reads."""

    def __init__(self) -> None:
        self.streams: dict[int, StreamRow] = {}
        """Their names only; `stream` returns the row with its counts."""
        self.messages: dict[int, SortedRows[int, tuple[int, bytes]]] = {}
        """By stream, then by sequence: (time_ns, entry)."""
        self.consumers: dict[int, ConsumerRow] = {}
        self.pending: dict[int, SortedRows[int, tuple[int, int, int]]] = {}
        """By consumer, then by number: (key, attempt, due_ns)."""
        self.waiting: SortedRows[Place, int] = SortedRows()
        self.letters: SortedRows[int, Letter] = SortedRows()
        self.dedup: dict[str, tuple[int, int]] = {}
        self.counts = {"number": 1, "letter": 1, "evicted": 0, "appended": 0}
        self._bytes: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._takers: dict[int, dict[Place, None]] = {}
        self._until: list[tuple[int, str]] = []
        self._journal = Journal()
        self._appliers: dict[type[Change], Callable[[Any], None]] = {
            Append: self._append,
            Settle: self._settle,
            Retry: self._retry,
            Wake: self._wake,
            Bury: self._bury,
            DropLetter: self._drop_letter,
            PutConsumer: self._put_consumer,
            Forget: self._forget,
            Deliver: self._read_back,
            PutStream: self._put_stream,
        }

    def apply(self, changes: Sequence[Change]) -> None:
        """Carry out the changes of one submission, all or none.

        Raises:
            StoreUnavailableError: one of them cannot be; nothing was changed.
        """
        try:
            for change in changes:
                self._appliers[type(change)](change)
        except BaseException:
            self._journal.undo()
            raise
        self._journal.keep()

    def trim(self, stream: int, bounds: Bounds) -> Trimmed:
        """Cut a stream, as `MessageStore.trim` says."""
        rows, before = self._stream(stream), self._bytes[stream]
        count, size = len(rows), before
        evicted: list[tuple[int, int]] = []
        for _ in range(STORE_TRIM_ROWS_MAX):
            first = rows.first()
            if first is None:
                break
            time_ns, entry = rows[first]
            key = key_of(stream, first)
            within = len(rows) <= bounds.messages and size <= bounds.bytes
            if within and time_ns >= bounds.before_ns:
                break
            if bounds.settled_only and key in self._takers:
                break
            evicted += self._evict(key)
            size -= len(entry)
            del rows[first]
        self._bytes[stream] = size
        return Trimmed(
            self.stream(stream), count - len(rows), before - size, tuple(evicted)
        )

    def stream(self, stream: int) -> StreamRow:
        """Return a stream's row as it is now."""
        rows, last = self.messages[stream], self._last[stream]
        first = rows.first()
        return msgspec.structs.replace(
            self.streams[stream],
            messages=len(rows),
            bytes=self._bytes[stream],
            first=last + 1 if first is None else first,
            last=last,
        )

    def consumer(self, consumer: int) -> ConsumerRow:
        """Return a consumer's row as it is now."""
        row, pending = self.consumers[consumer], len(self.pending[consumer])
        return msgspec.structs.replace(row, pending=pending)

    def entry(self, key: int) -> bytes:
        """Return the entry kept under a key that is there."""
        return self.messages[key >> SEQUENCE_BITS][key & SEQUENCE_MAX][1]

    @property
    def size(self) -> int:
        """The bytes of all entries together."""
        return sum(self._bytes.values())

    def forget_ids(self, now_ns: int) -> None:
        """Drop the publishers' ids whose time is over."""
        until = self._until
        while until and until[0][0] <= now_ns:
            end_ns, name = heapq.heappop(until)
            if name in self.dedup and self.dedup[name][1] == end_ns:
                del self.dedup[name]

    def _append(self, change: Append) -> None:
        key = change.key
        stream, sequence = key >> SEQUENCE_BITS, key & SEQUENCE_MAX
        rows, journal = self._stream(stream), self._journal
        if sequence <= self._last[stream]:
            raise StoreUnavailableError(
                f"message {stream}/{sequence} comes after {self._last[stream]}"
            )
        journal.put(rows, sequence, (change.time_ns, change.entry))
        journal.put(self._bytes, stream, self._bytes[stream] + len(change.entry))
        journal.put(self._last, stream, sequence)
        for consumer, number, due_ns in change.deliveries:
            self._deliver(consumer, number, key, due_ns)
        if change.dedup is not None:
            name, until_ns = change.dedup
            journal.put(self.dedup, name, (key, until_ns))
            heapq.heappush(self._until, (until_ns, name))
        self._count("appended", self.counts["appended"] + 1)

    def _settle(self, change: Settle) -> None:
        self._end(change.consumer, change.number)

    def _retry(self, change: Retry) -> None:
        rows = self.pending.get(change.consumer)
        if rows is not None and change.number in rows:
            key = rows[change.number][0]
            again = (key, change.attempt, change.due_ns)
            self._journal.put(rows, change.number, again)

    def _wake(self, change: Wake) -> None:
        place = (change.due_ns, change.consumer, change.number)
        key = self._journal.take(self.waiting, place)
        if key is not None:
            self._untie(key, place)
            self._deliver(change.consumer, change.fresh, key, 0)

    def _bury(self, change: Bury) -> None:
        letter = change.letter
        if letter.id in self.letters:
            raise StoreUnavailableError(f"letter {letter.id} is there already")
        self._end(change.consumer, change.number)
        self._journal.put(self.letters, letter.id, letter)
        self._count("letter", letter.id + 1)
        if len(self.letters) > LETTERS_KEPT_MAX:
            self._journal.take(self.letters, self.letters.first())
            self._count("evicted", self.counts["evicted"] + 1)

    def _drop_letter(self, change: DropLetter) -> None:
        self._journal.take(self.letters, change.id)

    def _put_consumer(self, change: PutConsumer) -> None:
        row = change.row
        if row.id not in self.consumers:
            self._journal.put(self.pending, row.id, SortedRows())
        self._journal.put(self.consumers, row.id, row)

    def _forget(self, change: Forget) -> None:
        consumer = change.consumer
        if self._journal.take(self.consumers, consumer) is None:
            return
        for number, row in self._journal.take(self.pending, consumer).items():
            self._untie(row[0], (0, consumer, number))
        for place in [p for p in self.waiting if p[1] == consumer]:
            self._untie(self._journal.take(self.waiting, place), place)

    def _read_back(self, change: Deliver) -> None:
        key = change.key
        self._consumer(change.consumer)
        if key & SEQUENCE_MAX in self.messages.get(key >> SEQUENCE_BITS, ()):
            self._deliver(change.consumer, change.number, key, 0)

    def _put_stream(self, change: PutStream) -> None:
        stream = change.id
        if stream in self.streams:
            return
        row = StreamRow(stream, change.tenant, change.name)
        self._journal.put(self.streams, stream, row)
        self._journal.put(self.messages, stream, SortedRows())
        self._journal.put(self._bytes, stream, 0)
        self._journal.put(self._last, stream, 0)

    def _stream(self, stream: int) -> SortedRows[int, tuple[int, bytes]]:
        rows = self.messages.get(stream)
        if rows is None:
            raise StoreUnavailableError(f"there is no stream {stream}")
        return rows

    def _consumer(self, consumer: int) -> SortedRows[int, tuple[int, int, int]]:
        rows = self.pending.get(consumer)
        if rows is None:
            raise StoreUnavailableError(f"there is no consumer {consumer}")
        return rows

    def _deliver(self, consumer: int, number: int, key: int, due_ns: int) -> None:
        rows, place = self._consumer(consumer), (due_ns, consumer, number)
        if (place in self.waiting) if due_ns else (number in rows):
            raise StoreUnavailableError(
                f"delivery {number} to consumer {consumer} is there already"
            )
        if due_ns:
            self._journal.put(self.waiting, place, key)
        else:
            self._journal.put(rows, number, (key, 0, 0))
        if key not in self._takers:
            self._journal.put(self._takers, key, {})
        self._journal.put(self._takers[key], place, None)
        self._count("number", number + 1)

    def _end(self, consumer: int, number: int) -> None:
        row = self._journal.take(self.pending.get(consumer, {}), number)
        if row is not None:
            self._untie(row[0], (0, consumer, number))

    def _untie(self, key: int, place: Place) -> None:
        takers = self._takers[key]
        self._journal.take(takers, place)
        if not takers:
            self._journal.take(self._takers, key)

    def _evict(self, key: int) -> list[tuple[int, int]]:
        taken = list(self._takers.pop(key, ()))
        for due_ns, consumer, number in taken:
            if due_ns:
                del self.waiting[due_ns, consumer, number]
            else:
                del self.pending[consumer][number]
        return [place[1:] for place in taken]

    def _count(self, name: str, value: int) -> None:
        if value > self.counts[name]:
            self._journal.put(self.counts, name, value)
