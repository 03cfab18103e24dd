"""What commands print, and how they end.

Rule: with `--json` stdout holds one JSON document and nothing else. Errors are one
line on stderr. Exit codes: 0 done, 1 a check failed, 2 wrong usage or settings,
3 something is unavailable, 70 a fault of ours.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, NoReturn

import msgspec
import typer

from bus.core.edgeerrors import NotFoundError, UnauthenticatedError
from bus.core.errors import (
    BusError,
    ConfigurationError,
    ProtocolError,
    UnavailableError,
    UsageError,
)

OK: Final = 0
CHECK_FAILED: Final = 1
WRONG_USAGE: Final = 2
UNAVAILABLE: Final = 3
FAULT: Final = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED: Final = 130

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.")
]
ConfigFile = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="Settings; ./assent.toml if there."),
]
Flags = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Overrides one setting."),
]


def add_group(
    app: typer.Typer, name: str, text: str, commands: Mapping[str, Callable[..., None]]
) -> None:
    """Add commands that are called as `assent NAME COMMAND`; `text` is the group's help."""
    group = typer.Typer(rich_markup_mode=None)
    for command, function in commands.items():
        group.command(command)(function)
    app.add_typer(group, name=name, help=text)


def fail() -> NoReturn:
    """End the command: what it checked does not hold."""
    raise typer.Exit(CHECK_FAILED) from None


def emit(document: object, human: Callable[[], None], *, as_json: bool) -> None:
    """Print `document` as JSON, or let `human` print for a person."""
    if as_json:
        builtins = msgspec.to_builtins(document, enc_hook=str)
        sys.stdout.write(json.dumps(builtins, indent=2, allow_nan=False) + "\n")
    else:
        human()


def say(text: str) -> None:
    """Print a line on stdout."""
    typer.echo(text)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table as wide as it needs; cut by nothing when it goes to a file."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, rarely needed
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        # Text, not str: what is shown may come from outside and is no markup.
        made.add_row(*(Text(printable(str(cell))) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    console.print(made)


def complain(text: str) -> None:
    """Print one line on stderr, whatever is in `text`."""
    sys.stderr.write(f"assent: {printable(text)}\n")


def printable(text: str) -> str:
    """Return `text` as one line that cannot control a terminal."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def exit_code(error: BusError | OSError) -> int:
    """Return the exit code of an error that a command did not expect."""
    if isinstance(error, (ConfigurationError, UsageError, ProtocolError)):
        return WRONG_USAGE
    if isinstance(error, (UnauthenticatedError, NotFoundError)):
        return WRONG_USAGE
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError)):
        return WRONG_USAGE
    if isinstance(error, (UnavailableError, OSError)):
        return UNAVAILABLE
    return CHECK_FAILED
