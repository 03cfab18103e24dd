"""`assent top`: how far behind the consumers of a running bus are, and how it stands."""

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from bus.cli.control import Socket, order, place
from bus.cli.output import AsJson, ConfigFile, Flags, emit
from bus.cli.server import ContextName, Server, Token, where
from bus.core.operatinglimits import (
    TOP_REFRESH_S_MAX,
    TOP_REFRESH_S_MIN,
)

_EVERY_S = 1.0

Once = Annotated[bool, typer.Option("--once", help="Show it once and end.")]
Every = Annotated[
    float,
    typer.Option(
        min=TOP_REFRESH_S_MIN, max=TOP_REFRESH_S_MAX, help="Seconds between pictures."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("top")(top)


def top(  # noqa: PLR0913 - one parameter for each option
    socket: Socket = None,
    every: Every = _EVERY_S,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    once: Once = False,
    context: ContextName = None,
    server: Server = None,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Show lag, work in flight, redeliveries and streams of a running bus until Ctrl-C.

    With --context or --server a node is asked over HTTP, else the bus of the control
    socket. Where the output is no terminal, or with `--json`, it is shown once.
    """
    from bus.cli import picture  # noqa: PLC0415 - see bus.cli
    from bus.watching import Top  # noqa: PLC0415 - see bus.cli

    look: Callable[[], Top]
    if any(given is not None for given in (context, server, token)):
        from bus.cli.overlooking import seen_of  # noqa: PLC0415 - see bus.cli

        node = where(context, server, token)
        look = partial(seen_of, node)
    else:
        look = partial(order, place(socket, config, flags), "top", Top)
    console = picture.console()
    if once or as_json or not console.is_terminal:
        seen = look()
        emit(seen, lambda: console.print(picture.drawn(seen, None)), as_json=as_json)
        return
    before: Top | None = None
    try:
        with picture.live(console) as live:
            while True:
                seen = look()
                live.update(picture.drawn(seen, before), refresh=True)
                before = seen
                time.sleep(every)
    except KeyboardInterrupt:
        return  # how one leaves it
