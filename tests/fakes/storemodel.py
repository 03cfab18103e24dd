"""A plain model of a store: dictionaries, copied before each submission.

It knows no batches, indexes, journals or files, only what each change means.
"""

import dataclasses
from collections.abc import Sequence
from functools import singledispatchmethod
from typing import Any

import msgspec

from bus.core.changes import (
    Append,
    Bounds,
    Bury,
    Change,
    ConsumerRow,
    Contents,
    Deliver,
    DeliveryRow,
    DropLetter,
    DueRow,
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
from bus.core.entries import SEQUENCE_BITS, SEQUENCE_MAX
from tests.fakes.storekit import Picture


class Refused(Exception):  # noqa: N818 - an ending, not an error
    """The submission cannot be carried out."""


def _need(condition: bool) -> None:  # noqa: FBT001 - it is all there is to say
    if not condition:
        raise Refused


@dataclasses.dataclass
class Model:
    """What a store holds. A submission is `applied` to a copy."""

    streams: dict[int, PutStream] = dataclasses.field(default_factory=dict)
    last: dict[int, int] = dataclasses.field(default_factory=dict)
    messages: dict[int, Append] = dataclasses.field(default_factory=dict)
    consumers: dict[int, ConsumerRow] = dataclasses.field(default_factory=dict)
    pending: dict[tuple[int, int], tuple[int, int, int]] = dataclasses.field(
        default_factory=dict
    )
    waiting: dict[tuple[int, int, int], int] = dataclasses.field(default_factory=dict)
    kept_letters: dict[int, Letter] = dataclasses.field(default_factory=dict)
    names: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    next_number: int = 1
    next_letter: int = 1

    def copy(self) -> "Model":
        """Return a model that changes by itself."""
        own: dict[str, Any] = {
            name: value.copy()
            for name, value in vars(self).items()
            if isinstance(value, dict)
        }
        return dataclasses.replace(self, **own)

    def applied(self, changes: Sequence[Change]) -> "Model | None":
        """Return what a submission makes of it, or None if it is refused."""
        after = self.copy()
        try:
            for change in changes:
                after.apply(change)
        except Refused:
            return None
        return after

    @singledispatchmethod
    def apply(self, change: Change) -> None:
        """Carry out one change."""
        raise NotImplementedError(change)

    @apply.register
    def _(self, change: Append) -> None:
        stream = change.key >> SEQUENCE_BITS
        _need(change.key & SEQUENCE_MAX > self.last.get(stream, SEQUENCE_MAX))
        self.messages[change.key] = change
        self.last[stream] = change.key & SEQUENCE_MAX
        for consumer, number, due_ns in change.deliveries:
            self._deliver(consumer, number, change.key, due_ns)
        if change.dedup is not None:
            name, until_ns = change.dedup
            self.names[name] = (change.key, until_ns)

    @apply.register
    def _(self, change: Settle) -> None:
        self.pending.pop((change.consumer, change.number), None)

    @apply.register
    def _(self, change: Retry) -> None:
        row = self.pending.get((change.consumer, change.number))
        if row is not None:
            again = (row[0], change.attempt, change.due_ns)
            self.pending[change.consumer, change.number] = again

    @apply.register
    def _(self, change: Wake) -> None:
        place = (change.due_ns, change.consumer, change.number)
        if place in self.waiting:
            self._deliver(change.consumer, change.fresh, self.waiting.pop(place), 0)

    @apply.register
    def _(self, change: Bury) -> None:
        _need(change.letter.id not in self.kept_letters)
        self.pending.pop((change.consumer, change.number), None)
        self.kept_letters[change.letter.id] = change.letter
        self.next_letter = max(self.next_letter, change.letter.id + 1)

    @apply.register
    def _(self, change: DropLetter) -> None:
        self.kept_letters.pop(change.id, None)

    @apply.register
    def _(self, change: PutConsumer) -> None:
        self.consumers[change.row.id] = change.row

    @apply.register
    def _(self, change: Forget) -> None:
        gone = change.consumer
        self.consumers.pop(gone, None)
        self.pending = {k: v for k, v in self.pending.items() if k[0] != gone}
        self.waiting = {k: v for k, v in self.waiting.items() if k[1] != gone}

    @apply.register
    def _(self, change: Deliver) -> None:
        _need(change.consumer in self.consumers)
        if change.key in self.messages:
            self._deliver(change.consumer, change.number, change.key, 0)

    @apply.register
    def _(self, change: PutStream) -> None:
        self.streams.setdefault(change.id, change)
        self.last.setdefault(change.id, 0)

    def _deliver(self, consumer: int, number: int, key: int, due_ns: int) -> None:
        _need(consumer in self.consumers)
        if due_ns:
            _need((due_ns, consumer, number) not in self.waiting)
            self.waiting[due_ns, consumer, number] = key
        else:
            _need((consumer, number) not in self.pending)
            self.pending[consumer, number] = (key, 0, 0)
        self.next_number = max(self.next_number, number + 1)

    def takers(self, key: int) -> list[tuple[int, int]]:
        """Return the deliveries (consumer, number) of a message that have not ended."""
        found = [place for place, row in self.pending.items() if row[0] == key]
        return found + [place[1:] for place, of in self.waiting.items() if of == key]

    def trim(self, stream: int, bounds: Bounds) -> Trimmed:
        """Cut a stream, and say what went."""
        went: list[Append] = []
        evicted: list[tuple[int, int]] = []
        for key in self.keys(stream):
            row, message = self.row(stream), self.messages[key]
            over = row.messages > bounds.messages or row.bytes > bounds.bytes
            if not over and message.time_ns >= bounds.before_ns:
                break
            if bounds.settled_only and self.takers(key):
                break
            evicted += self.takers(key)
            self.pending = {k: v for k, v in self.pending.items() if v[0] != key}
            self.waiting = {k: v for k, v in self.waiting.items() if v != key}
            went.append(self.messages.pop(key))
        size = sum(len(message.entry) for message in went)
        return Trimmed(self.row(stream), len(went), size, tuple(sorted(evicted)))

    def keys(self, stream: int) -> list[int]:
        """Return the keys of what is in a stream, the oldest first."""
        return sorted(key for key in self.messages if key >> SEQUENCE_BITS == stream)

    def row(self, stream: int) -> StreamRow:
        """Return a stream's row."""
        keys, last = self.keys(stream), self.last[stream]
        return StreamRow(
            stream,
            self.streams[stream].tenant,
            self.streams[stream].name,
            messages=len(keys),
            bytes=sum(len(self.messages[key].entry) for key in keys),
            first=keys[0] & SEQUENCE_MAX if keys else last + 1,
            last=last,
        )

    def at(self, stream: int, time_ns: int) -> int:
        """Return the sequence that a time stands for."""
        if stream not in self.streams:
            return 1
        later = [k for k in self.keys(stream) if self.messages[k].time_ns >= time_ns]
        return later[0] & SEQUENCE_MAX if later else self.last[stream] + 1

    def due(self) -> list[DueRow]:
        """Return what waits, the soonest first."""
        rows = sorted(self.waiting.items())
        return [DueRow(*place, key, self.messages[key].entry) for place, key in rows]

    def deliveries(self, consumer: int) -> list[DeliveryRow]:
        """Return what a consumer has to do, in order."""
        return [
            DeliveryRow(*place, *row, self.messages[row[0]].entry)
            for place, row in sorted(self.pending.items())
            if place[0] == consumer
        ]

    def picture(self, consumers: range) -> Picture:
        """Return what `storekit.picture` reads of a store that holds the same."""
        found: Picture = {
            "entries": [(key, of.entry) for key, of in sorted(self.messages.items())],
            "due": self.due(),
            "next_due_ns": min(self.waiting)[0] if self.waiting else 0,
            "letters": [letter for _, letter in sorted(self.kept_letters.items())],
        }
        for number in consumers:
            found[f"of {number}"] = self.deliveries(number)
        return found

    def contents(self, epoch: int, now_ns: int, *, clean: bool) -> Contents:
        """Return what a store that holds the same tells when it is opened."""
        names = sorted(self.names.items())
        return Contents(
            epoch=epoch,
            clean=clean,
            next_number=self.next_number,
            next_letter=self.next_letter,
            streams=tuple(self.row(stream) for stream in sorted(self.streams)),
            consumers=tuple(
                msgspec.structs.replace(row, pending=len(self.deliveries(number)))
                for number, row in sorted(self.consumers.items())
            ),
            dedup=tuple((name, *kept) for name, kept in names if kept[1] > now_ns),
            letters=len(self.kept_letters),
            next_due_ns=min(self.waiting)[0] if self.waiting else 0,
        )
