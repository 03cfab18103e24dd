"""The work of `assent up`.

Rule: a signal begins the end: the node takes nothing new, tells who is connected, and
lets what is under way end. A second signal does not wait for that.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from bus.cli import loops
from bus.cli.output import emit, say
from bus.cli.version import distribution_version
from bus.config import Loaded
from bus.edge import defaults
from bus.edge.node import Node

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Up(msgspec.Struct, frozen=True, kw_only=True):
    """A node that runs. `admin_token` is shown this once, where there was no token yet."""

    url: str
    revision: str
    constitution: str
    audit: str
    control: str | None = None
    made: tuple[str, ...] = ()
    admin_token: str | None = None
    tokens: int = 0


def run(loaded: Loaded, announce: Callable[[Up], None]) -> None:
    """Run a node until a signal comes; `announce` is called when it is ready.

    Raises:
        ConfigurationError: the settings cannot be honoured, or the port is taken.
    """
    told = defaults.resolved(loaded)
    made = defaults.make(told)
    try:
        # Made before the loop runs, because it reads files.
        node = Node(told.settings, version=distribution_version())
    except BaseException:
        defaults.unmake(told)
        raise
    with loops.runner() as runner:
        runner.run(_serve(node, made, announce))


def announce(up: Up, *, as_json: bool) -> None:
    """Say that the node runs, at once: who reads a pipe waits for it."""
    emit(up, lambda: _tell(up), as_json=as_json)
    sys.stdout.flush()


def _tell(up: Up) -> None:
    for line in up.made:
        say(f"made {line}")
    if up.admin_token is not None:
        say(f"first admin token, shown this once: {up.admin_token}")
    elif not up.tokens:
        say("no token yet: nobody gets in; make one with 'assent token create AGENT'")
    say(
        f"up: {up.url}, with /readyz and /metrics, policy {up.revision}, "
        f"constitution {up.constitution}, audit {up.audit}, "
        f"control {up.control or 'off'}; Ctrl-C stops it"
    )


async def _serve(
    node: Node, made: tuple[str, ...], announce: Callable[[Up], None]
) -> None:
    """Serve until told to stop; cancelling it stops the node like a signal."""
    file, socket = node.settings.audit.file, node.settings.control.socket
    with _stop_signals(node.failed) as told:
        async with node:
            token = await node.first_token()
            announce(
                Up(
                    url=node.url,
                    revision=node.bus.revision,
                    constitution=node.bus.constitution,
                    audit=str(file) if file is not None else "in memory",
                    control=str(socket) if socket is not None else None,
                    made=made,
                    admin_token=token,
                    tokens=len(node.tokens.held.tokens),
                )
            )
            await told.wait()
            _usual_signals()


@contextmanager
def _stop_signals(told: asyncio.Event) -> Iterator[asyncio.Event]:
    """Have a signal set what is told, from before the start on."""
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    try:
        yield told
    finally:
        _usual_signals()


def _usual_signals() -> None:
    # While it drains, a second signal has its usual effect: it does not wait.
    for number in _SIGNALS:
        asyncio.get_running_loop().remove_signal_handler(number)
