"""What the flow needs of a store that keeps messages. As in `bus.ports`: a docstring is a promise."""

from collections.abc import Callable, Sequence
from typing import Protocol

from bus.core.changes import (
    Bounds,
    Change,
    Contents,
    DeliveryRow,
    DueRow,
    Letter,
    Trimmed,
)
from bus.core.stats import StoreStats

Done = Callable[[Exception | None], None]
"""Told how a submission ended: None once it is kept for good."""


class MessageStore(Protocol):
    """Keeps what is accepted until it may go.

    The changes of one submission are kept together or not at all. Submissions are
    carried out in order; `done` of each is called in that order, in the running loop,
    never from within `submit`. With a durable store it is called after the commit is
    on disk, else with `StoreUnavailableError`: then nothing of it was kept.
    """

    full: bool
    """True when publishing must wait for `room`. An attribute: it is read per message."""

    def submit(self, changes: Sequence[Change], done: Done) -> None:
        """Take a submission. Never waits. With no changes it marks a place in the order."""

    async def room(self) -> None:
        """Wait until it is not full; raise `StoreUnavailableError` when that takes long."""

    async def trim(self, stream: int, bounds: Bounds) -> Trimmed:
        """Cut a stream to its bounds, at most `STORE_TRIM_ROWS_MAX` messages at a time.

        In order with the submissions. Raises `StoreUnavailableError`.
        """


class StoreReader(Protocol):
    """Reads a store. All answers are in ascending order and at most `limit` long.

    They are shorter where `limit` is more than `STORE_PAGE_ROWS_MAX`, or the entries
    together are more than `STORE_PAGE_BYTES_MAX` bytes: what follows is asked for next.
    An answer is empty only if there is nothing.

    What was submitted before and is not done yet may be missing. Entries are as they
    were kept: who reads opens them with the sealer. Raises `StoreUnavailableError`, and
    `StoreBrokenError` where what is there cannot be what was kept.
    """

    async def deliveries(
        self, consumer: int, after: int, limit: int
    ) -> list[DeliveryRow]:
        """Return a consumer's pending deliveries whose number is above `after`."""

    async def due(self, until_ns: int, limit: int) -> list[DueRow]:
        """Return deliveries that waited for a time that has come."""

    async def next_due_ns(self) -> int:
        """Return when the next delivery that waits is due; 0 if none waits."""

    async def entries(
        self, first: int, last: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """Return the entries (key, bytes) from one key to another, both included."""

    async def at(self, stream: int, time_ns: int) -> int:
        """Return the sequence of the first message kept at or after a time.

        One past the last if there is none.
        """

    async def letters(self, after: int, limit: int) -> list[Letter]:
        """Return dead letters whose id is above `after`."""


class StoreLife(Protocol):
    """Opens and closes a store."""

    async def open(self) -> Contents:
        """Check what is there and return it; a new store is empty.

        Raises:
            ConfigurationError: it cannot be kept there, or is another program's.
            StoreBrokenError: what is there was changed or cut short.
        """

    async def reopen(self) -> None:
        """Be able again after a fault, with what is on disk. Raises as `open`.

        What was refused meanwhile stays refused: none of it is found there afterwards.
        """

    async def close(self) -> None:
        """Carry out what was submitted, then stop. Raises if that could not be done."""

    def health(self) -> tuple[bool, str]:
        """Tell whether it can keep messages, and a word on it."""

    def stats(self) -> StoreStats:
        """Return the counts since the opening."""


class Store(MessageStore, StoreReader, StoreLife, Protocol):
    """All three, as an adapter has them."""
