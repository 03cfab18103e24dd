"""`assent store check|head|letters`: a store file that nobody has open."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bus.cli.output import (
    AsJson,
    ConfigFile,
    Flags,
    add_group,
    complain,
    emit,
    fail,
    say,
    table,
)
from bus.core.errors import StoreBrokenError
from bus.core.storelimits import LETTERS_READ_MAX

File = Annotated[
    Path | None, typer.Argument(help="The store; the one in the settings if left out.")
]
Count = Annotated[
    int, typer.Option("--count", "-n", min=1, max=LETTERS_READ_MAX, help="How many.")
]
After = Annotated[int, typer.Option(min=0, help="Those with an id above it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "store",
        "Check or read a message store that no bus has open.",
        {"check": check, "head": head, "letters": letters},
    )


def check(
    file: File = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check every row, seal and count of a store; nothing is changed.

    Exit code 1, and the place, if something is not what was kept.
    """
    from bus.cli import storing  # noqa: PLC0415 - see bus.cli

    _told(lambda: storing.check(storing.opened(file, config, flags)), as_json=as_json)


def head(
    file: File = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make the head of a store anew where it is lost, after a check of every row.

    Whether something is missing at the end of the store cannot be told any more.
    """
    from bus.cli import storing  # noqa: PLC0415 - see bus.cli

    _told(lambda: storing.head(storing.opened(file, config, flags)), as_json=as_json)


def letters(
    file: File = None,
    after: After = 0,
    count: Count = 20,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List dead letters, oldest first: whose, why, after how many attempts."""
    from bus.cli import storing  # noqa: PLC0415 - see bus.cli

    found = storing.letters(storing.opened(file, config, flags), after, count)
    emit(
        {"letters": found},
        lambda: table(
            ("id", "tenant", "consumer", "subject", "attempts", "reason"),
            [
                (
                    one.id,
                    one.tenant,
                    one.consumer,
                    one.subject,
                    one.attempts,
                    one.reason,
                )
                for one in found
            ],
        ),
        as_json=as_json,
    )


def _told(work: Callable[[], str], *, as_json: bool) -> None:
    try:
        said = work()
    except StoreBrokenError as error:
        emit({"ok": False, "reason": str(error)}, lambda: None, as_json=as_json)
        complain(str(error))
        fail()
    emit({"ok": True, "holds": said}, lambda: say(said), as_json=as_json)
