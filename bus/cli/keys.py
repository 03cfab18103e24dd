"""`assent keys new`: a document with one new stamp key."""

from pathlib import Path
from typing import Annotated

import typer

from bus.cli.output import AsJson, add_group, emit, say
from bus.core.errors import ConfigurationError

File = Annotated[Path, typer.Argument(help="The file to make; it must not be there.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_group(app, "keys", "Make stamp keys.", {"new": new})


def new(file: File, *, as_json: AsJson = False) -> None:
    """Make a file with one new stamp key, for its owner only: set stamp.keys_file to it."""
    from policy.keys import write_new  # noqa: PLC0415 - see bus.cli

    try:
        write_new(file)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{file} is there already; it is left alone"
        ) from error
    emit(
        {"file": str(file)},
        lambda: say(f"made {file}: set stamp.keys_file to it, and keep a copy"),
        as_json=as_json,
    )
