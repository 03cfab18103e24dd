"""Where an agent's replies arrive: delivered in the turn they are published in.

Rule: a reply passes the same checks and is recorded like any delivery; only the queue
and the worker are spared, because whoever waits takes it at once.
"""

from typing import Any

from bus.core.decision import Decision
from bus.core.message import Message
from bus.core.stats import SubjectStats
from bus.handlers import inspect_handler
from bus.letters import Waiting
from bus.settling import Settling
from bus.subscription import Delivery, Subscription
from bus.wants import Spec

Waits = dict[str, Waiting]


class Inbox(Subscription):
    """A subscription whose messages resolve the requests that wait for them."""

    __slots__ = ("_arrived", "_settling", "_waits")

    def __init__(
        self, spec: Spec, settling: Settling, stats: SubjectStats, waits: Waits
    ) -> None:
        super().__init__(spec, settling, stats, _never)
        self._settling = settling
        self._waits = waits
        self._arrived: list[Delivery] = []

    def put(
        self,
        message: Message,
        decision: Decision,
        bodies: dict[Any, Any] | None = None,
    ) -> None:
        """Take a reply; `arrived` follows at once."""
        del bodies  # nothing is decoded here
        self._arrived.append(Delivery(message, decision, self))

    def arrived(self) -> None:
        """Deliver; a reply that nobody waits for any more ends here too."""
        while self._arrived:
            self._settling.hand(self._arrived.pop(), self._resolve)

    def _resolve(self, message: Message) -> None:
        waiting = self._waits.get(message.correlation or "")
        if waiting is not None and not waiting.future.done():
            waiting.future.set_result(message)


def inbox_spec(subject: str, agent: str, tenant: str) -> Spec:
    """Return the spec of an inbox: one subject, nothing queued."""
    return Spec(
        pattern=subject,
        tokens=tuple(subject.split(".")),
        agent=agent,
        tenant=tenant,
        handler=inspect_handler(_unused),
    )


async def _unused(delivery: Delivery) -> None:
    raise AssertionError(f"{delivery.message.id.hex()} was queued in an inbox")


def _never(subscription: Subscription) -> None:
    raise AssertionError(f"{subscription.name} has no workers")
