"""`assent hook`: coding agents' calls of tools through a node, and their settings.

Rule: settings are shown as a difference before they are written, and what else is in
them stays as it is.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from bus.cli.output import AsJson, add_group

_SETTINGS: Final = Path(".claude/settings.json")

Server = Annotated[
    str, typer.Option("--server", metavar="URL", help="The node, as http://HOST:PORT.")
]
TokenFile = Annotated[
    Path,
    typer.Option("--token-file", metavar="FILE", help="Holds the agent's token alone."),
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    commands: dict[str, Callable[..., None]] = {
        "claude-code": claude_code,
        "install": install,
        "remove": remove,
    }
    add_group(app, "hook", "Govern the tool calls of a coding agent.", commands)


def claude_code(
    server: Server,
    token_file: TokenFile,
    ca_file: Annotated[
        str,
        typer.Option("--ca-file", metavar="FILE", help="Who signed the node's TLS."),
    ] = "",
) -> None:
    """Read a hook's event from standard input and write the verdict.

    Ends with 0 and a verdict, or with 2, which blocks the call, and why on standard
    error. The agent's hooks call this; `assent hook install` sets that up.
    """
    from bus.cli import hooking  # noqa: PLC0415 - see bus.cli

    given = ["--server", server, "--token-file", str(token_file)]
    raise typer.Exit(hooking.main([*given, "--ca-file", ca_file] if ca_file else given))


def install(
    server: Server,
    token_file: TokenFile,
    settings: Annotated[
        Path, typer.Option("--settings", metavar="FILE", help="The agent's settings.")
    ] = _SETTINGS,
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", metavar="FILE", help="Who signed the node's TLS."),
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let the coding agent ask the node before and after each call of a tool."""
    from bus.cli import hooksettings  # noqa: PLC0415 - see bus.cli

    command = hooksettings.command(server, token_file, ca_file)
    hooksettings.change(
        settings,
        lambda found: hooksettings.added(found, command),
        yes=yes,
        as_json=as_json,
    )


def remove(
    settings: Annotated[
        Path, typer.Option("--settings", metavar="FILE", help="The agent's settings.")
    ] = _SETTINGS,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take the hooks out of the agent's settings again."""
    from bus.cli import hooksettings  # noqa: PLC0415 - see bus.cli

    hooksettings.change(settings, hooksettings.removed, yes=yes, as_json=as_json)
