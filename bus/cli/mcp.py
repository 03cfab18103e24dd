"""`assent mcp`: a node's tools for agents that speak MCP.

Rule: with stdio nothing but the protocol goes to stdout.
"""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from bus.cli.output import AsJson, emit, say
from bus.cli.server import Where, at_server, done

_EXTRA: Final = "assent[mcp]"

Transport = Annotated[
    Literal["stdio", "streamable-http"],
    typer.Option("--transport", help="How the agent reaches this server."),
]
Host = Annotated[str, typer.Option(metavar="HOST", help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 is any that is free.")]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host", metavar="NAME", help="Another name that clients call it by."
    ),
]
CallersToken = Annotated[
    Path | None,
    typer.Option(
        "--callers-token-file",
        metavar="FILE",
        help="Holds the token alone that clients have to show.",
    ),
]
Pem = Annotated[
    Path | None, typer.Option(metavar="FILE", help="For TLS towards clients; PEM.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mcp")(at_server(serve))


def serve(  # noqa: PLR0913 - one parameter for each option
    at: Where,
    *,
    transport: Transport = "stdio",
    host: Host = "127.0.0.1",
    port: Port = 8765,
    allow_host: AllowHost = None,
    callers_token_file: CallersToken = None,
    certificate: Pem = None,
    key: Pem = None,
    as_json: AsJson = False,
) -> None:
    """Serve a node's tools over MCP, as the agent whose token is used there.

    With stdio, for the one client that starts it. With streamable-http, for whoever
    reaches it: from this machine, or with a token and over TLS.
    """
    from bus.edge.mcp.door import Door, checked  # noqa: PLC0415 - see bus.cli

    door = Door(
        host=host,
        port=port,
        names=tuple(allow_host or ()),
        token=None if callers_token_file is None else _token(callers_token_file),
        certificate=certificate,
        key=key,
    )
    if transport == "stdio":
        _require_plain(door == Door() and not as_json)
        _require_extra()
        done(_over_stdio(at))
    else:
        checked(door)
        _require_extra()
        done(_over_http(at, door, as_json=as_json))


async def _over_stdio(at: Where) -> None:
    from bus.cli.version import distribution_version  # noqa: PLC0415 - see bus.cli
    from bus.edge.mcp import server, serving  # noqa: PLC0415 - see bus.cli

    async with at.api() as api, server.serving(api, distribution_version()) as made:
        await serving.over_stdio(made)


async def _over_http(at: Where, door: Any, *, as_json: bool) -> None:
    from bus.cli.version import distribution_version  # noqa: PLC0415 - see bus.cli
    from bus.edge.mcp import server, serving  # noqa: PLC0415 - see bus.cli

    def ready(url: str) -> None:
        emit({"url": url}, lambda: say(f"MCP at {url}"), as_json=as_json)
        sys.stdout.flush()

    async with at.api() as api, server.serving(api, distribution_version()) as made:
        await serving.over_http(made, door, ready)


def _require_extra() -> None:
    """Raise `ConfigurationError` where the extra is not installed."""
    from bus.core.errors import ConfigurationError  # noqa: PLC0415 - see bus.cli

    try:
        importlib.import_module("bus.edge.mcp.serving")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "bus":
            raise
        raise ConfigurationError(
            f"assent mcp: the package {error.name} is not installed; "
            f"pip install '{_EXTRA}'"
        ) from None


def _require_plain(plain: bool) -> None:  # noqa: FBT001 - what it requires
    from bus.core.errors import UsageError  # noqa: PLC0415 - see bus.cli

    if not plain:
        raise UsageError("that option goes with --transport streamable-http")


def _token(file: Path) -> str:
    from bus.config.sources import read_bounded  # noqa: PLC0415 - see bus.cli
    from bus.core.edgelimits import CREDENTIAL_CHARS_MAX  # noqa: PLC0415 - see bus.cli
    from bus.core.errors import ConfigurationError  # noqa: PLC0415 - see bus.cli

    text = read_bounded(file, CREDENTIAL_CHARS_MAX).strip()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(f"{file}: one line with a token, and nothing else")
    return text
