"""The table of `python -m benchmarks.durable` as it fills.

Rule: figures are shown with three digits and judged with all they have.
"""

import msgspec

from benchmarks.__main__ import Row


class Size(msgspec.Struct, frozen=True):
    """How much of everything a round asks, and whether targets are judged."""

    rounds: int
    messages: int
    stored: int
    judged: bool = True


class Table:
    """The rows so far, what was absent and why, and the failures."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.rows: list[Row] = []
        self.absent: dict[str, str] = {}
        self.failures = 0

    def at_most(self, what: str, figure: float, most: float, unit: str = "x") -> None:
        """Add a figure that has an upper target."""
        self._add(Row(what, figure, unit, f"<= {most:g}", figure <= most))

    def at_least(self, what: str, figure: float, least: float, unit: str = "x") -> None:
        """Add a figure that has a lower target."""
        self._add(Row(what, figure, unit, f">= {least:g}", figure >= least))

    def told(self, what: str, figure: float, unit: str) -> None:
        """Add a figure that has no target."""
        self._add(Row(what, figure, unit))

    def _add(self, row: Row) -> None:
        met = row.met if self.size.judged else None
        change = {"figure": round(row.figure, 3), "met": met}
        self.rows.append(msgspec.structs.replace(row, **change))
