"""Sticky: like direct, but messages with one key go to one member of a queue group.

Rule: there is nothing to remember, see `rendezvous`. What has an ordering key goes by
that: its order is a promise of the bus.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from bus.core.errors import ConfigurationError
from bus.core.message import Message
from bus.ports import Candidate
from processors.strategies.groups import all_alone, one_per_group
from processors.strategies.rendezvous import chosen


class StickyOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """`header` names the header with the key.

    Where it is not set, or a message does not have it, the key is the correlation,
    and where there is none, the sender.
    """

    header: str | None = None


class Sticky:
    """Keeps no state: the same members and key make the same choice anywhere."""

    Options: ClassVar = StickyOptions
    name: Final = "sticky"
    __slots__ = ("_header",)

    def __init__(self, options: StickyOptions | None = None) -> None:
        self._header = options.header if options is not None else None
        if self._header == "":
            raise ConfigurationError("sticky: header is the empty string")

    def fixed(self, candidates: Sequence[Candidate]) -> bool:
        """Tell whether no two candidates share a queue group."""
        return all_alone(candidates)

    def plan(
        self, message: Message, candidates: Sequence[Candidate]
    ) -> Sequence[Candidate]:
        """Return every plain subscription and each group's member for the key."""
        key = self._key_of(message)
        return one_per_group(message, candidates, lambda members: chosen(members, key))

    def _key_of(self, message: Message) -> bytes:
        found = None
        if self._header is not None:
            found = message.headers.get(self._header)
        if found is None:
            found = message.correlation
        return (found if found is not None else message.sender).encode()
