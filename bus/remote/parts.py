"""What a link needs from outside: a way to its node, and who takes what comes over it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from bus.core import serverframes as told
from bus.core.errors import BusError
from bus.ports import Clock
from bus.remote.line import Line


class Party(Protocol):
    """Who takes what a node sends unasked. Nothing here fails or waits."""

    def arrived(self, frame: told.Message) -> None:
        """Take a delivery."""

    def ended(self, frame: told.Ended) -> None:
        """Be told that the node ended a subscription."""

    def missed(self, frame: told.Missed) -> None:
        """Be told that deliveries gave way to newer ones."""

    def stale(self, frame: told.Error) -> None:
        """Be told that the node did not take a settling, or a credit."""

    def gone(self) -> None:
        """Be told that what the line delivered cannot be settled any more."""

    def back(self) -> None:
        """Subscribe again, over another line."""

    def failed(self, failure: BusError) -> None:
        """Be told that there will be no other line, and why."""

    def settled(self) -> list[bytes]:
        """Return what was settled since, encoded."""


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """How a link reaches its node: `dial` takes the session of the line before.

    A node is looked for without end; calls wait for `patience_s` seconds.
    """

    dial: Callable[[str | None], Awaitable[tuple[Line, told.Connected]]]
    clock: Clock
    draw: Callable[[], float]
    patience_s: float
