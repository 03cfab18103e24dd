"""The figures of a store: how far it got and how much is where.

Rule: a draft takes the changes of one transaction; the state takes the draft when that
is on disk. So no figure is ever ahead of the file.
"""

from typing import Final

import msgspec

from bus.adapters.stores.sqlite.checksums import FIGURES, checksum
from bus.adapters.stores.sqlite.faults import Refused
from bus.core.changes import ConsumerRow, StreamRow
from bus.core.errors import StoreBrokenError

KIND_META: Final = 0
KIND_STREAM: Final = 1
KIND_CONSUMER: Final = 2
VALUES: Final = 10
WIDTH: Final = 2 + VALUES + 1


class Meta(msgspec.Struct):
    """What there is one of. `clean` is 1 while nobody has the file open."""

    txn: int = 0
    epoch: int = 0
    clean: int = 1
    next_number: int = 1
    next_letter: int = 1
    letters: int = 0
    later: int = 0
    dedup: int = 0
    streams: int = 0
    consumers: int = 0


class Stream(msgspec.Struct):
    """A stream's figures, as `StreamRow` has them."""

    id: int
    tenant: str
    name: str
    messages: int = 0
    bytes: int = 0
    first: int = 1
    last: int = 0

    def row(self) -> StreamRow:
        """Return it as the bus sees it."""
        return StreamRow(
            self.id,
            self.tenant,
            self.name,
            self.messages,
            self.bytes,
            self.first,
            self.last,
        )

    def figures(self) -> tuple[int, ...]:
        """Return what changes of it."""
        return (self.messages, self.bytes, self.first, self.last)


class Consumer(msgspec.Struct):
    """A consumer and how many deliveries wait for it."""

    row: ConsumerRow
    pending: int = 0

    def told(self) -> ConsumerRow:
        """Return it as the bus sees it."""
        return msgspec.structs.replace(self.row, pending=self.pending)


class State:
    """What the file holds, as of the last transaction that is on disk."""

    def __init__(self) -> None:
        self.meta = Meta()
        self.streams: dict[int, Stream] = {}
        self.consumers: dict[int, Consumer] = {}

    def take(self, draft: "Draft") -> None:
        """Take over what a transaction changed."""
        self.meta = draft.meta
        self.streams.update(draft.streams)
        for consumer, found in draft.consumers.items():
            if found is None:
                self.consumers.pop(consumer, None)
            else:
                self.consumers[consumer] = found


class Draft:
    """A transaction's own copy of the figures it touches."""

    __slots__ = ("_state", "consumers", "evicted", "made", "meta", "named", "streams")

    def __init__(self, state: State) -> None:
        self._state = state
        self.meta = msgspec.structs.replace(state.meta, txn=state.meta.txn + 1)
        self.streams: dict[int, Stream] = {}
        self.consumers: dict[int, Consumer | None] = {}
        self.named: set[int] = set()
        """Consumers whose row is new or other."""
        self.made: set[int] = set()
        """Streams that are new."""
        self.evicted = 0

    def stream(self, stream: int) -> Stream:
        """Return a stream's figures to change; raise `Refused` if there is none."""
        found = self.streams.get(stream)
        if found is None:
            kept = self._state.streams.get(stream)
            if kept is None:
                raise Refused(f"there is no stream {stream}")
            found = self.streams[stream] = msgspec.structs.replace(kept)
        return found

    def put_stream(self, stream: int, tenant: str, name: str) -> None:
        """Make a stream, if it is not there."""
        if stream not in self.streams and stream not in self._state.streams:
            self.streams[stream] = Stream(stream, tenant, name)
            self.made.add(stream)
            self.meta.streams += 1

    def known(self, consumer: int) -> Consumer | None:
        """Return a consumer's figures to change, or None."""
        if consumer in self.consumers:
            return self.consumers[consumer]
        kept = self._state.consumers.get(consumer)
        if kept is None:
            return None
        found = self.consumers[consumer] = Consumer(kept.row, kept.pending)
        return found

    def consumer(self, consumer: int) -> Consumer:
        """Return a consumer's figures to change; raise `Refused` if there is none."""
        found = self.known(consumer)
        if found is None:
            raise Refused(f"there is no consumer {consumer}")
        return found

    def put_consumer(self, row: ConsumerRow) -> None:
        """Make a consumer, or note where it stands."""
        kept = self.known(row.id)
        if kept is None:
            self.meta.consumers += 1
        self.consumers[row.id] = Consumer(row, kept.pending if kept else 0)
        self.named.add(row.id)

    def forget(self, consumer: int) -> bool:
        """Take a consumer away; False if there is none."""
        if self.known(consumer) is None:
            return False
        self.consumers[consumer] = None
        self.meta.consumers -= 1
        self.named.discard(consumer)
        return True

    def rows(self) -> list[int]:
        """Return the rows of figures that change, one after the other."""
        rows = figures(KIND_META, 0, msgspec.structs.astuple(self.meta))
        for stream in self.streams.values():
            rows += figures(KIND_STREAM, stream.id, stream.figures())
        for number, consumer in self.consumers.items():
            if consumer is not None:
                rows += figures(KIND_CONSUMER, number, (consumer.pending,))
        return rows


def figures(kind: int, number: int, values: tuple[int, ...]) -> list[int]:
    """Return a row of figures."""
    row = [kind, number, *values, *((0,) * (VALUES - len(values)))]
    row.append(checksum(FIGURES, *row))
    return row


def read_figures(row: list[int]) -> list[int]:
    """Return the values of a row of figures.

    Raises:
        StoreBrokenError: its checksum is another.
    """
    if len(row) != WIDTH or checksum(FIGURES, *row[:-1]) != row[-1]:
        raise StoreBrokenError(f"table figures, row {row[0]}/{row[1]}: wrong checksum")
    return row[2:-1]
