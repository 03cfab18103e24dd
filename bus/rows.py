"""Where deliveries leave what becomes of them: at a desk, and in the rows of a store."""

from typing import Protocol

from bus.core.errors import IllegalTransitionError
from bus.core.outcome import Outcome
from bus.subscription import Delivery


class Desk(Protocol):
    """Sends on what deliveries leave behind."""

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Keep a dead delivery, with its reason."""

    def fault(self, delivery: Delivery) -> None:
        """Tell whoever waits for its reply that there is none."""

    async def reply(self, delivery: Delivery, body: object) -> Outcome:
        """Publish a handler's answer."""


class Rows(Protocol):
    """Keeps what becomes of deliveries that a store has rows of (`number` is not 0)."""

    def handed(self, delivery: Delivery) -> None:
        """Give it its fencing token: it is about to be handed over."""

    async def begun(self, delivery: Delivery) -> None:
        """Return once it is noted for good that this attempt begins."""

    def over(self, delivery: Delivery) -> None:
        """Note that it has ended."""

    def again(self, following: Delivery, delay_s: float) -> None:
        """Note that it is tried again."""

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Note that it was given up."""


class NoRows:
    """The rows of a bus without a store: there are none."""

    def handed(self, delivery: Delivery) -> None:
        """Refuse: no delivery here has a number, and only those that have are asked for."""
        raise IllegalTransitionError(f"{delivery.message.id.hex()} has no row")

    async def begun(self, delivery: Delivery) -> None:
        """Refuse likewise."""
        self.handed(delivery)

    def over(self, delivery: Delivery) -> None:
        """Refuse likewise."""
        self.handed(delivery)

    def again(self, following: Delivery, delay_s: float) -> None:
        """Refuse likewise."""
        del delay_s
        self.handed(following)

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Refuse likewise."""
        del reason
        self.handed(delivery)
