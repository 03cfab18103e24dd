"""From what was submitted to rows: what a transaction is to do, before it begins.

Rule: a plan is made of pieces that are carried out in order. Within a piece changes
are sorted by table; a change that must see what came before it begins a new piece.
A delivery that is made and settled in one piece needs no row at all.
"""

from collections.abc import Callable, Iterable
from typing import Any

from bus.adapters.stores.sqlite.checksums import (
    DEDUP,
    LATER,
    LETTER,
    MESSAGE,
    checksum,
    crc,
    encode,
)
from bus.adapters.stores.sqlite.faults import Refused
from bus.adapters.stores.sqlite.pieces import (
    MESSAGE_VALUES,
    Delivers,
    Forgets,
    Piece,
    Plan,
    Rows,
    Wakes,
)
from bus.adapters.stores.sqlite.state import Draft, State, Stream
from bus.adapters.stores.sqlite.submissions import Submission
from bus.core.changes import (
    Append,
    Bury,
    Change,
    Deliver,
    DropLetter,
    Forget,
    PutConsumer,
    PutStream,
    Retry,
    Settle,
    Wake,
)
from bus.core.entries import SEQUENCE_BITS, SEQUENCE_MAX


class Planner:
    """Makes one plan. `add` raises `Refused`; then the plan is of no use."""

    __slots__ = (
        "_appliers",
        "_dedup",
        "_draft",
        "_next",
        "_pieces",
        "_rows",
        "_stream",
        "added",
    )

    def __init__(self, state: State) -> None:
        self.added = 0
        self._draft = Draft(state)
        self._next = self._draft.meta.next_number
        self._stream: Stream | None = None  # the last one that was added to
        self._dedup: dict[str, tuple[int, str, int, int]] = {}
        self._rows = Rows()
        self._pieces: list[Piece] = [self._rows]
        self._appliers: dict[type[Change], Callable[[Any], None]] = {
            Append: self._append,
            Settle: self._settle,
            Retry: self._retry,
            Wake: self._wake,
            Bury: self._bury,
            DropLetter: self._drop_letter,
            PutConsumer: self._put_consumer,
            Forget: self._forget,
            Deliver: self._deliver,
            PutStream: self._put_stream,
        }

    def add(self, submissions: Iterable[Submission]) -> None:
        """Add submissions; `added` is how many that are, up to one that is refused."""
        appliers = self._appliers
        for changes, _, _ in submissions:
            for change in changes:
                appliers[type(change)](change)
            self.added += 1

    def plan(self, purge_ns: int = 0) -> Plan:
        """Return what was added."""
        rows = [piece for piece in self._pieces if isinstance(piece, Rows)]
        for piece in rows:
            piece.close()
        appended = sum(len(piece.messages) for piece in rows) // MESSAGE_VALUES
        self._draft.meta.dedup += len(self._dedup)
        self._draft.meta.next_number = self._next
        dedup = [
            value
            for row in self._dedup.values()
            for value in (*row, checksum(DEDUP, *row))
        ]
        return Plan(self._draft, self._pieces, dedup, appended, purge_ns)

    def _append(self, change: Append) -> None:
        key = change.key
        stream = self._stream
        if stream is None or stream.id != key >> SEQUENCE_BITS:
            stream = self._stream = self._draft.stream(key >> SEQUENCE_BITS)
        sequence = key & SEQUENCE_MAX
        gap = sequence - stream.last
        if gap <= 0:
            raise Refused(
                f"message {stream.id}/{sequence} cannot follow {stream.id}/{stream.last}"
            )
        entry, time_ns = change.entry, change.time_ns
        if not stream.messages:
            stream.first = sequence
        stream.messages += 1
        stream.bytes += len(entry)
        stream.last = sequence
        total = crc(encode((MESSAGE, key, time_ns, gap)))
        self._rows.messages.extend((key, time_ns, gap, total, entry))
        for consumer, number, due_ns in change.deliveries:
            if due_ns:
                self._put_off(consumer, number, key, due_ns)
            else:
                self._add(consumer, number, key)
        if change.dedup is not None:
            name, until_ns = change.dedup
            self._dedup[name] = (until_ns, name, self._draft.meta.txn, key)

    def _add(self, consumer: int, number: int, key: int) -> None:
        numbers = self._rows.added.get(consumer)
        if numbers is None:
            self._draft.consumer(consumer)
            numbers = self._rows.added[consumer] = {}
        if number in numbers:
            raise Refused(f"delivery {number} to consumer {consumer} is there already")
        numbers[number] = key
        if number >= self._next:
            self._next = number + 1

    def _put_off(self, consumer: int, number: int, key: int, due_ns: int) -> None:
        self._draft.consumer(consumer)
        row = (due_ns, consumer, number, key)
        self._rows.later += (*row, checksum(LATER, *row))
        self._draft.meta.later += 1
        self._number(number)

    def _settle(self, change: Settle) -> None:
        self._end(change.consumer, change.number)

    def _end(self, consumer: int, number: int) -> None:
        rows = self._rows
        if rows.retried:
            rows.retried.pop((consumer, number), None)
        numbers = rows.added.get(consumer)
        if numbers is not None and numbers.pop(number, None) is not None:
            return
        settled = rows.settled.get(consumer)
        if settled is None:
            rows.settled[consumer] = [number]
        else:
            settled.append(number)

    def _retry(self, change: Retry) -> None:
        place = (change.consumer, change.number)
        self._rows.retried[place] = (change.attempt, change.due_ns)

    def _bury(self, change: Bury) -> None:
        self._end(change.consumer, change.number)
        letter, rows, meta = change.letter, self._rows, self._draft.meta
        data = encode(letter)
        rows.letters += (letter.id, data, checksum(LETTER, letter.id, data))
        meta.letters += 1
        meta.next_letter = max(meta.next_letter, letter.id + 1)

    def _drop_letter(self, change: DropLetter) -> None:
        if self._rows.letters:
            self._next_rows()
        self._rows.dropped.append(change.id)

    def _put_consumer(self, change: PutConsumer) -> None:
        self._draft.put_consumer(change.row)

    def _put_stream(self, change: PutStream) -> None:
        self._draft.put_stream(change.id, change.tenant, change.name)

    def _wake(self, change: Wake) -> None:
        if self._draft.known(change.consumer) is None:
            return  # it was forgotten, and its deliveries with it
        self._number(change.fresh)
        group = self._group()
        if isinstance(group, Wakes):
            group.wakes.append(change)
        else:
            self._turn(Wakes([change]))

    def _deliver(self, change: Deliver) -> None:
        self._draft.consumer(change.consumer)
        self._number(change.number)
        group = self._group()
        if isinstance(group, Delivers):
            group.delivers.append(change)
        else:
            self._turn(Delivers([change]))

    def _forget(self, change: Forget) -> None:
        if self._draft.forget(change.consumer):
            self._turn(Forgets(change.consumer))

    def _group(self) -> Piece | None:
        """Return the piece before the rows at hand, if nothing came after it."""
        if len(self._pieces) > 1 and self._rows.empty():
            return self._pieces[-2]
        return None

    def _next_rows(self) -> None:
        self._rows = Rows()
        self._pieces.append(self._rows)

    def _turn(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self._next_rows()

    def _number(self, number: int) -> None:
        if number >= self._next:
            self._next = number + 1
