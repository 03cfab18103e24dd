"""Numbers as they are written: a signature covers the digits, not the value."""


class Numeral(str):
    """The text of a JSON number."""

    __slots__ = ()
