"""What the inbox needs to know of a delivery."""

from typing import Protocol

from bus.core.message import Message


class Handed(Protocol):
    """A message in the hands of a handler: `bus.Delivery` is one."""

    @property
    def message(self) -> Message:
        """The message; its id is 16 bytes, time-ordered."""

    @property
    def token(self) -> int:
        """The fencing token: it rises with every hand-over, also over restarts."""

    @property
    def consumer(self) -> str:
        """The durable name of who takes the message."""
