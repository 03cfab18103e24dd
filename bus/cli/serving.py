"""The work of `assent up`.

Rule: the endpoint and the control channel are there before the bus and after it, so
that whoever asks learns that it is starting or draining; it says ready only in between.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from bus.adapters import control
from bus.adapters.http.server import Check, Render, serve
from bus.adapters.metrics import Metrics
from bus.app import Bus
from bus.cli.output import emit, say
from bus.cli.version import distribution_version
from bus.config import Settings

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Up(msgspec.Struct, frozen=True):
    """A bus that runs."""

    url: str
    revision: str
    constitution: str
    audit: str
    control: str | None = None


def run(settings: Settings, announce: Callable[[Up], None]) -> None:
    """Run a bus until a signal comes; `announce` is called when it is ready.

    Raises:
        ConfigurationError: the settings cannot be honoured, or the port is taken.
    """
    # Both are made before the loop runs, because they read files.
    bus = Bus(settings=settings)
    metrics = Metrics(bus.stats, distribution_version())
    asyncio.run(_serve(bus, metrics.render, announce))


def announce(up: Up, *, as_json: bool) -> None:
    """Say that the bus runs, at once: who reads a pipe waits for it."""
    emit(
        up,
        lambda: say(
            f"up: {up.url}/readyz and /metrics, policy {up.revision}, "
            f"constitution {up.constitution}, audit {up.audit}, "
            f"control {up.control or 'off'}; Ctrl-C stops it"
        ),
        as_json=as_json,
    )
    sys.stdout.flush()


def url_of(host: str, port: int) -> str:
    """Return where the endpoint is; an IPv6 address stands in brackets (RFC 3986)."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _serve(bus: Bus, render: Render, announce: Callable[[Up], None]) -> None:
    """Serve until told to stop; cancelling it stops the bus like a signal."""
    host, file = bus.settings.http.host, bus.settings.audit.file
    socket = bus.settings.control.socket
    with _stop_signals() as told:
        endpoint = serve(_checks(bus), render, host, bus.settings.http.port)
        orders = control.serve(socket, bus.commands())
        async with endpoint as port, orders, bus:
            announce(
                Up(
                    url=url_of(host, port),
                    revision=bus.revision,
                    constitution=bus.constitution,
                    audit=str(file) if file is not None else "in memory",
                    control=str(socket) if socket is not None else None,
                )
            )
            await told.wait()
            _usual_signals()


def _checks(bus: Bus) -> dict[str, Check]:
    def check(name: str) -> Check:
        return lambda: bus.health()[name]

    return {name: check(name) for name in bus.health()}


@contextmanager
def _stop_signals() -> Iterator[asyncio.Event]:
    """Give what is set by a signal, from before the start on."""
    told = asyncio.Event()
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
