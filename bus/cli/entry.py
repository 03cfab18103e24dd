"""The entry point: which commands there are, and errors turned into exit codes."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer

from bus.cli import (
    audit,
    bench,
    bundle,
    chaos,
    cheat,
    completion,
    config,
    contexts,
    demo,
    desk,
    doctor,
    hook,
    keys,
    mcp,
    messages,
    policy,
    recovery,
    replay,
    simulate,
    store,
    stories,
    streams,
    token,
    top,
    up,
)
from bus.cli.output import (
    FAULT,
    INTERRUPTED,
    OK,
    UNAVAILABLE,
    WRONG_USAGE,
    complain,
    exit_code,
)
from bus.core.errors import BusError

COMMANDS: Final[tuple[Callable[[typer.Typer], None], ...]] = (
    up.register,
    messages.register,
    streams.register,
    stories.register,
    desk.register,
    top.register,
    recovery.register,
    chaos.register,
    demo.register,
    replay.register,
    policy.register,
    bundle.register,
    config.register,
    audit.register,
    bench.register,
    simulate.register,
    store.register,
    keys.register,
    token.register,
    hook.register,
    mcp.register,
    contexts.register,
    cheat.register,
    completion.register,
    doctor.register,
)
"""In the order of the help. A module adds its commands to the application it is given."""


def application() -> typer.Typer:
    """Return the application with every command."""
    app = typer.Typer(
        name="assent",
        help="A message bus for AI agents on which nothing moves without permission.",
        add_completion=False,
        rich_markup_mode=None,  # formatting help with rich doubles the start-up time
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for register in COMMANDS:
        register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = typer.main.get_command(application())
    try:
        ended = command.main(
            args=given or ["--help"], prog_name="assent", standalone_mode=False
        )
        sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has had enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNAVAILABLE
    except Exception as error:  # noqa: BLE001 - the last resort: say it, fail, no traceback
        return _failed(error)
    return ended if isinstance(ended, int) else OK


def _failed(error: Exception) -> int:
    if isinstance(error, BusError):
        complain(str(error))
        return exit_code(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        complain(f"{place}{error.strerror or error}")
        return exit_code(error)
    # Wrong usage is told by what it can do: the class moved between typer's releases.
    said = getattr(error, "format_message", None)
    if said is None:
        complain(f"internal error, please report it: {error!r}")
        return FAULT
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "assent"
    complain(f"{said().rstrip('.')}. Try '{path} --help'.")
    return WRONG_USAGE


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        from bus.cli.version import distribution_version  # noqa: PLC0415 - see bus.cli

        typer.echo(distribution_version())
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    del version  # its callback has ended the program
