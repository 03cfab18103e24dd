"""Stands before the HTTP server: how many connect, and how long they may say nothing.

Rule: a connection that sends no whole request head within HTTP_HEAD_S is closed, however
it dribbles, and so is one past the bounds; nothing of it is parsed or answered. Once a
head is there, the server's own times hold, and nothing stands in the way any more.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from bus.core.edgelimits import HTTP_HEAD_S, SOCKETS_MAX, SOCKETS_OF_ADDRESS_MAX

Factory = Callable[[], asyncio.Protocol]

_END_OF_HEAD: Final = b"\r\n\r\n"
_UNKNOWN: Final = ""
_HANDED_ON: Final = ("data_received", "eof_received", "pause_writing", "resume_writing")


class Guard:
    """Counts the sockets of a node, all of them and those of each address."""

    def __init__(
        self,
        most: int = SOCKETS_MAX,
        most_of_address: int = SOCKETS_OF_ADDRESS_MAX,
        head_s: float = HTTP_HEAD_S,
    ) -> None:
        self._most = most
        self._most_of_address = most_of_address
        self.head_s = head_s
        self._all = 0
        self._of_address: dict[str, int] = {}

    def __len__(self) -> int:
        return self._all

    def factory(self, inner: Factory) -> Factory:
        """Return what makes a guarded connection around one that `inner` makes."""
        return lambda: _Guarded(self, inner)

    def enter(self, address: str) -> bool:
        """Count a connection; False if there is no room for it."""
        count = self._of_address.get(address, 0)
        if self._all >= self._most or count >= self._most_of_address:
            return False
        self._all += 1
        self._of_address[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection no more."""
        self._all -= 1
        left = self._of_address[address] - 1
        if left:
            self._of_address[address] = left
        else:
            del self._of_address[address]


class _Guarded(asyncio.Protocol):
    """One connection: what comes is handed on as it is, to nobody if it was refused."""

    def __init__(self, guard: Guard, make: Factory) -> None:
        self._guard = guard
        self._make = make
        self._inner: asyncio.Protocol | None = None
        self._address = _UNKNOWN
        self._tail = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection on if there is room, and wait for its head."""
        abort = cast("asyncio.WriteTransport", transport).abort
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) and peer else _UNKNOWN
        if not self._guard.enter(self._address):
            abort()
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._guard.head_s, abort)
        self._inner = self._make()
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand it on, and give the place back."""
        if self._inner is None:
            return
        self._heard()
        self._guard.leave(self._address)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on what comes; the end of a head may come in two parts."""
        if self._inner is None:
            return
        if self._timer is not None:
            seen = self._tail + data
            if _END_OF_HEAD in seen:
                self._heard()
            self._tail = seen[1 - len(_END_OF_HEAD) :]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand it on."""
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        """Hand it on."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand it on."""
        if self._inner is not None:
            self._inner.resume_writing()

    def _heard(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._tail = None, b""
            for name in _HANDED_ON:  # from here on without a step in between
                setattr(self, name, getattr(self._inner, name))
