"""What a transaction is to do: pieces that are carried out in order.

Rows come flat, as statements take them.
"""

from typing import Any, Final

import msgspec

from bus.adapters.stores.sqlite.checksums import AGAIN, DELIVERY, checksum, crc, encode
from bus.adapters.stores.sqlite.state import Draft
from bus.core.changes import Deliver, Wake

MESSAGE_VALUES: Final = 5
Flat = list[Any]
"""Rows one after the other, as a statement takes them."""


class Rows:
    """A piece of rows to add, change and take away. Lists are flat."""

    __slots__ = (
        "added",
        "again",
        "deliveries",
        "dropped",
        "later",
        "letters",
        "messages",
        "retried",
        "settled",
    )

    def __init__(self) -> None:
        self.messages: Flat = []
        self.added: dict[int, dict[int, int]] = {}
        """By consumer, then by number: the key."""
        self.settled: dict[int, list[int]] = {}
        self.retried: dict[tuple[int, int], tuple[int, int]] = {}
        self.later: Flat = []
        self.letters: Flat = []
        self.dropped: list[int] = []
        self.deliveries: Flat = []
        self.again: Flat = []

    def empty(self) -> bool:
        """Tell whether there is nothing in it."""
        return not any(getattr(self, name) for name in self.__slots__)

    def close(self) -> None:
        """Make `deliveries` of what is added, and `again` of what is tried again."""
        self.deliveries = [
            value
            for consumer, numbers in self.added.items()
            for number, key in numbers.items()
            for value in (
                consumer,
                number,
                key,
                crc(encode((DELIVERY, consumer, number, key))),
            )
        ]

        self.again = [
            value
            for place, retry in self.retried.items()
            for value in (*place, *retry, checksum(AGAIN, *place, *retry))
        ]


class Wakes(msgspec.Struct):
    """Deliveries whose time has come."""

    wakes: list[Wake]


class Delivers(msgspec.Struct):
    """Deliveries of messages that are there already."""

    delivers: list[Deliver]


class Forgets(msgspec.Struct):
    """A consumer that goes."""

    consumer: int


Piece = Rows | Wakes | Delivers | Forgets


class Plan(msgspec.Struct):
    """A transaction to be: its pieces, and the figures as they will be."""

    draft: Draft
    pieces: list[Piece]
    dedup: Flat
    appended: int
    """Messages that are added."""
    purge_ns: int = 0
    """Publishers' ids whose time ended by then go; 0 for none."""
