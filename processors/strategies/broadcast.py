"""Broadcast: every subscription of every agent but the sender's own."""

from collections.abc import Sequence
from typing import ClassVar, Final

from bus.core.message import Message
from bus.ports import Candidate
from processors.strategies.groups import NoOptions


class Broadcast:
    """Ignores queue groups: each of their members gets a copy."""

    Options: ClassVar = NoOptions
    name: Final = "broadcast"
    __slots__ = ()

    def __init__(self, options: NoOptions | None = None) -> None:
        del options

    def fixed(self, candidates: Sequence[Candidate]) -> bool:
        """Tell whether there is nobody: anybody may turn out to be the sender."""
        return not candidates

    def plan(
        self, message: Message, candidates: Sequence[Candidate]
    ) -> Sequence[Candidate]:
        """Return the candidates that are not the sender's."""
        sender = message.sender
        return [candidate for candidate in candidates if candidate.agent != sender]
