"""Commands to a running bus: where its control socket is, and what it answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from bus.core.errors import ConfigurationError

Socket = Annotated[
    str | None,
    typer.Option(
        "--socket",
        metavar="PATH",
        help="The bus's control socket; the one in the settings if left out.",
    ),
]

T = TypeVar("T")


def place(socket: str | None, config: str | None, flags: list[str] | None) -> Path:
    """Return where the bus listens; raises `ConfigurationError` if nothing says so."""
    if socket is not None:
        return Path(socket)
    from bus.cli.settings import loaded  # noqa: PLC0415 - see bus.cli

    found = loaded(config, flags).settings.control.socket
    if found is None:
        raise ConfigurationError(
            "no control socket: name one with --socket, or set control.socket"
        )
    return found


def order(
    at: Path, name: str, kind: type[T], arguments: Mapping[str, Any] | None = None
) -> T:
    """Have a bus carry out a command; return its result. Raises as `control.ask`."""
    from bus.adapters.control import ask  # noqa: PLC0415 - see bus.cli

    return msgspec.json.decode(ask(at, name, arguments), type=kind)
