"""Tables as the longer commands print them: no lines, 80 columns, odd text harmless."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bus.cli.checks import Check
from bus.cli.output import printable


def headed(title: str, table: RenderableType) -> list[RenderableType]:
    """Return a table under a title, with a line before it."""
    return [Text(), Text(title, style="bold"), table]


def checks_table(checks: Sequence[Check]) -> Table:
    """Return checks as a table; a failed one stands out."""
    table = plain_table(("", "check", "found"))
    for check in checks:
        good = check.state == "ok"
        mark = Text("ok" if good else "FAILED", style="green" if good else "bold red")
        table.add_row(mark, check.name, Text(printable(check.text)))
    return table


def plain_table(columns: Sequence[str], *, numbers_from: int = 99) -> Table:
    """Return an empty table; columns from `numbers_from` on are right-aligned."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        right = place >= numbers_from
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table
