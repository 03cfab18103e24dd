"""Standby: the first subscription takes everything, the others wait for it to go."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from bus.core.message import Message
from bus.ports import Candidate


class StandbyOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """`prefer` names an agent that goes first while it subscribes."""

    prefer: str = ""


class Standby:
    """Candidates come in the order in which they subscribed."""

    Options: ClassVar = StandbyOptions
    name = "standby"

    def __init__(self, options: StandbyOptions) -> None:
        self._prefer = options.prefer

    def fixed(self, candidates: Sequence[Candidate]) -> bool:
        """Tell whether there is nobody to choose between."""
        return len(candidates) <= 1

    def plan(
        self, message: Message, candidates: Sequence[Candidate]
    ) -> Sequence[Candidate]:
        """Return the preferred agent's first subscription, or the first of all."""
        del message
        preferred = [c for c in candidates if c.agent == self._prefer]
        return (preferred or candidates)[:1]
