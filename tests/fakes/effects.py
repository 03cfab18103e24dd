"""Deliveries and agents, as inbox and outbox see them."""

import dataclasses
from collections import deque
from typing import Any

from bus.core.decision import Decision
from bus.core.message import Message
from bus.core.outcome import Accepted, Outcome
from bus.core.stamp import KeyRing
from bus.subscription import Delivery, handled
from tests.fakes.messages import full

RING = KeyRing({1: bytes(32)}, 1)
MS_NS = 1_000_000
DECISION = Decision(allow=True, reasons=(), revision="r1", digest="d1")


def id_of(number: int, at_ns: int = 1_700_000_000_000_000_000) -> bytes:
    """Return an id of a message made at a time, as the bus lays them out."""
    head = (at_ns // MS_NS) << 16 | 0x7000
    return head.to_bytes(8, "big") + (1 << 63 | number).to_bytes(8, "big")


@dataclasses.dataclass(frozen=True)
class Hand:
    """A message in the hands of a handler."""

    message: Message
    token: int = 1
    consumer: str = "worker/payments.>"


def hand(
    number: int = 1,
    token: int = 1,
    *,
    consumer: str = "worker/payments.>",
    at_ns: int = 1_700_000_000_000_000_000,
) -> Hand:
    """Return a hand-over of message `number`, made at a time."""
    message = full(id=id_of(number, at_ns))
    return Hand(message, token, consumer)


@dataclasses.dataclass
class Sent:
    """What an agent was asked to publish, and the message it then descends from."""

    subject: str
    body: object
    options: dict[str, Any]
    parent: Message | None


class FakeAgent:
    """Accepts what it is asked to publish, but for the endings it is given."""

    def __init__(self, name: str = "worker", tenant: str = "acme") -> None:
        self.name = name
        self.tenant = tenant
        self.ring = RING
        self.sent: list[Sent] = []
        self.endings: deque[Outcome | BaseException] = deque()

    async def publish(self, subject: str, body: object, **options: Any) -> Outcome:
        """Note it; end as the next of `endings`, else accepted."""
        self.sent.append(Sent(subject, body, options, handled.get()))
        ending = self.endings.popleft() if self.endings else accepted()
        if isinstance(ending, BaseException):
            raise ending
        return ending

    def vouch(self, data: bytes) -> bytes:
        """Seal bytes for this agent."""
        return self.ring.sign(self._bound(data))

    def vouched(self, data: bytes, seal: bytes) -> bool:
        """Tell whether this agent sealed them."""
        return self.ring.signed(self._bound(data), seal)

    def _bound(self, data: bytes) -> bytes:
        return f"agent {self.tenant}/{self.name} ".encode() + data


class Acting:
    """An agent of a real bus, with a seal of the tests' own for its outbox."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent
        self.name: str = agent.name
        self.tenant: str = agent.tenant

    async def publish(self, subject: str, body: object, **options: Any) -> Outcome:
        """Publish on the bus."""
        outcome: Outcome = await self._agent.publish(subject, body, **options)
        return outcome

    def vouch(self, given: bytes) -> bytes:
        """Seal bytes."""
        return RING.sign(given)

    def vouched(self, given: bytes, seal: bytes) -> bool:
        """Tell whether they were sealed."""
        return RING.signed(given, seal)


def handed(delivery: Delivery) -> Hand:
    """Return what the inbox needs to know."""
    return Hand(delivery.message, delivery.token, delivery.subscription.name)


def accepted() -> Accepted:
    """Return the ending of a message that got through."""
    return Accepted(id_of(0), DECISION, 1)
