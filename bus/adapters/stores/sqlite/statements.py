"""Statements over many rows in one step.

Each step of a statement gives up the interpreter's lock, and beside a busy event loop
it takes long to get it back. So many rows are one step: rows to write are padded to a
power of two, so that few texts are compiled; rows to read come as one row of JSON.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from bus.adapters.stores.sqlite.layout import Connection

VARIABLES_MAX: Final = 32_000  # SQLite takes 32,766 unless it was built for fewer
ROWS_MAX: Final = 4_096
TEXTS_KEPT: Final = 256

_decode: Final = msgspec.json.Decoder(list[Any]).decode


class Many:
    """A statement that takes rows of `width` values as `{rows}`."""

    __slots__ = ("_rows_max", "_text", "_width")

    def __init__(self, text: str, width: int) -> None:
        self._text = text
        self._width = width
        fits = VARIABLES_MAX // width
        self._rows_max = min(ROWS_MAX, 1 << (fits.bit_length() - 1))

    def run(self, connection: Connection, flat: list[Any], *before: Any) -> int:
        """Run it for all rows; return how many rows it changed.

        `before` are values of the text that come before the rows.
        """
        changed = 0
        step = self._rows_max * self._width
        for start in range(0, len(flat), step):
            part = flat[start : start + step] if len(flat) > step else flat
            changed += connection.execute(*self._call(part, before)).rowcount
        return changed

    def ask(self, connection: Connection, flat: Sequence[Any]) -> list[Any]:
        """Return what it answers for all rows: it yields one list in JSON."""
        found: list[Any] = []
        step = self._rows_max * self._width
        for start in range(0, len(flat), step):
            part = list(flat[start : start + step])
            found += listed(connection, *self._call(part, ()))
        return found

    def _call(self, part: list[Any], before: Sequence[Any]) -> tuple[str, list[Any]]:
        width = self._width
        rows = len(part) // width
        size = 1 << (rows - 1).bit_length()
        padding = [None] * ((size - rows) * width)
        return _text(self._text, width, size), [*before, *part, *padding, rows]


@lru_cache(TEXTS_KEPT)
def _text(text: str, width: int, rows: int) -> str:
    row = "(" + ",".join("?" * width) + ")"
    values = ",".join([row] * rows)
    return text.replace("{rows}", f"(SELECT * FROM (VALUES {values}) LIMIT ?)")  # noqa: S608 - marks and commas


def listed(
    connection: Connection, sql: str, parameters: Sequence[Any] = ()
) -> list[Any]:
    """Return the list that a statement yields as JSON in its one row."""
    rows = connection.execute(sql, parameters).fetchall()
    return _decode(rows[0][0])
