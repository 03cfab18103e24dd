"""What every section of the settings is made of."""

from typing import Annotated

import msgspec

from bus.core.limits import DECISION_TTL_S_MAX, SETTING_WAIT_S_MAX

Wait = Annotated[float, msgspec.Meta(ge=0, le=SETTING_WAIT_S_MAX)]
Ttl = Annotated[float, msgspec.Meta(ge=0, le=DECISION_TTL_S_MAX)]
Name = Annotated[str, msgspec.Meta(min_length=1)]


class Secret:
    """A text that neither `repr`, `str` nor an error shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def reveal(self) -> str:
        """Return the text."""
        return self._text


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections: frozen, by keyword, nothing unknown."""
