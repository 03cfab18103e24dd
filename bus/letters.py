"""Answers and dead letters: what a delivery sends on, each published like anything else.

Rule: a dead letter is kept first (bounded: of the tenant that has most, the oldest gives
way and is counted), and then published under `$DEAD.` if anybody subscribes; whoever waits for a reply to it is
told at once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from bus.core.decision import Principal
from bus.core.errors import BusError, ProtocolError, RemoteFaultError, UsageError
from bus.core.limits import DEAD_LETTER_BYTES_MAX, DEAD_LETTERS_KEPT_MAX, REPLY_WAIT_S
from bus.core.message import RESPONSE, Message
from bus.core.names import SYSTEM_AGENT
from bus.core.outcome import Outcome
from bus.core.subject import DEAD_PREFIX, INBOX_PREFIX
from bus.draft import Author, Options, Terms, draft
from bus.pipeline import Pipeline
from bus.ports import Action
from bus.routes import Origin
from bus.subscription import Delivery, handled

_log: Final = logging.getLogger("assent.letters")
REASON_HEADER: Final = "assent-dead-reason"
ATTEMPTS_HEADER: Final = "assent-dead-attempts"
SUBSCRIPTION_HEADER: Final = "assent-dead-subscription"


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was given up for one subscription, and why.

    `number` counts the letters of this run, from 1.
    """

    message: Message
    subscription: str
    attempts: int
    reason: str
    number: int = 0


class Shelf:
    """Letters, the oldest first. Past a bound the tenant that takes most gives way."""

    __slots__ = ("_bytes", "_letters", "_theirs")

    def __init__(self) -> None:
        self._letters: deque[DeadLetter] = deque()
        self._bytes = 0  # of bodies
        self._theirs: dict[str, tuple[int, int]] = {}  # number and bytes by tenant

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._letters)

    def __iter__(self) -> Iterator[DeadLetter]:
        """Go through them."""
        return iter(self._letters)

    def put(self, letter: DeadLetter) -> int:
        """Add one; return how many gave way."""
        self._letters.append(letter)
        self._count(letter, 1)
        gone = 0
        while (by := self._past()) is not None:
            most = max(self._theirs, key=lambda tenant: self._theirs[tenant][by])
            self._give_way(most)
            gone += 1
        return gone

    def take(self) -> DeadLetter:
        """Take the oldest."""
        letter = self._letters.popleft()
        self._count(letter, -1)
        return letter

    def clear(self) -> None:
        """Take all."""
        while self._letters:
            self.take()

    def _past(self) -> int | None:
        """Return which bound is passed: that on numbers (0), on bytes (1), or none."""
        if len(self._letters) > DEAD_LETTERS_KEPT_MAX:
            return 0
        return 1 if self._bytes > DEAD_LETTER_BYTES_MAX else None

    def _give_way(self, tenant: str) -> None:
        """Take a tenant's oldest, which is there."""
        for place, letter in enumerate(self._letters):
            if letter.message.tenant == tenant:
                del self._letters[place]
                self._count(letter, -1)
                return

    def _count(self, letter: DeadLetter, step: int) -> None:
        tenant = letter.message.tenant
        number, size = self._theirs.get(tenant, (0, 0))
        change = step * len(letter.message.body)
        self._bytes += change
        self._theirs[tenant] = (number + step, size + change)
        if not number + step:
            del self._theirs[tenant]


class Waiting:
    """A request's wait for its reply: `left` takers may still give one."""

    __slots__ = ("future", "left")

    def __init__(self, future: "asyncio.Future[Message]") -> None:
        self.future = future
        self.left = 1


class Letters:
    """Publishes what deliveries send on. `requests` are the waits by inbox subject."""

    def __init__(
        self, terms: Terms, pipeline: Pipeline, origin: Callable[[str, str], Origin]
    ) -> None:
        self.kept = Shelf()
        self.evicted = 0
        self.unpublished = 0
        self._buried = 0
        self.requests: dict[str, dict[str, Waiting]] = {}
        self._terms = terms
        self._pipeline = pipeline
        self._origin = origin
        self._to_publish = Shelf()
        self._more = asyncio.Event()
        self._publishing = False

    @property
    def busy(self) -> bool:
        """Whether a dead letter is still to be published."""
        return len(self._to_publish) > 0 or self._publishing

    async def reply(self, delivery: Delivery, body: object) -> Outcome:
        """Publish the answer to a message that names where to answer."""
        request, sub = delivery.message, delivery.subscription
        if request.reply_to is None:
            raise UsageError(f"message {request.id.hex()} asks for no reply")
        principal = Principal(sub.agent, sub.spec.tenant)
        token = handled.set(request)  # also when called from another task
        try:
            message = draft(
                Author(self._terms, principal),
                request.reply_to,
                body,
                RESPONSE,
                request.priority,
                Options(correlation=request.correlation or request.id.hex()),
            )
        finally:
            handled.reset(token)
        origin = self._origin(principal.tenant, principal.id)
        # To an inbox it answers a request; to a subject it is a publish like any other.
        action: Action = (
            "reply" if request.reply_to.startswith(INBOX_PREFIX) else "publish"
        )
        return await self._pipeline.ingest(message, origin, action, REPLY_WAIT_S)

    def bury(self, delivery: Delivery, reason: str) -> None:
        """Keep a dead letter, tell whoever waits for its reply, publish it soon."""
        message, sub = delivery.message, delivery.subscription
        self._buried += 1
        letter = DeadLetter(message, sub.name, delivery.attempt, reason, self._buried)
        self.evicted += self.kept.put(letter)
        self.fault(delivery)
        if message.subject.startswith(DEAD_PREFIX):
            return  # a dead letter that dies is kept, not published once more
        if self._origin(message.tenant, SYSTEM_AGENT).routes.wanted(
            DEAD_PREFIX + message.subject
        ):
            self.unpublished += self._to_publish.put(letter)  # kept all the same
            self._more.set()

    def fault(self, delivery: Delivery) -> None:
        """Tell whoever waits for a reply, once the last taker has given it up."""
        message = delivery.message
        waits = self.requests.get(message.reply_to or "")
        waiting = waits.get(message.correlation or "") if waits else None
        if waiting is None:
            return
        waiting.left -= 1
        if waiting.left <= 0 and not waiting.future.done():
            # The cause stays with the operator: an exception's text may hold secrets.
            waiting.future.set_exception(
                RemoteFaultError(
                    f"{delivery.subscription.agent} gave up {message.subject!r} "
                    f"after {delivery.attempt} attempts"
                )
            )

    def expect(self, message: Message, deliveries: int) -> None:
        """Note how many takers may still reply to a request that was held."""
        waits = self.requests.get(message.reply_to or "")
        waiting = waits.get(message.correlation or "") if waits else None
        if waiting is not None:
            waiting.left = deliveries

    def refuse(self, message: Message, error: BusError) -> None:
        """End the wait for a reply to a message that nobody will get."""
        waits = self.requests.get(message.reply_to or "")
        waiting = waits.get(message.correlation or "") if waits else None
        if waiting is not None and not waiting.future.done():
            waiting.future.set_exception(error)

    def end(self, error: BusError) -> None:
        """End every wait for a reply; what was still to be published is counted."""
        self.unpublished += len(self._to_publish)
        self._to_publish.clear()
        for inbox in list(self.requests):
            self.end_inbox(inbox, error)

    def end_inbox(self, inbox: str, error: BusError) -> None:
        """End the waits of one inbox, and forget it."""
        for waiting in self.requests.pop(inbox, {}).values():
            if not waiting.future.done():
                waiting.future.set_exception(error)

    async def publish_dead(self) -> None:
        """Publish dead letters to whoever subscribes to them, until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            self._publishing = True
            while len(self._to_publish):
                await self._publish(self._to_publish.take())
            self._publishing = False

    async def _publish(self, letter: DeadLetter) -> None:
        dead = letter.message
        principal = Principal(SYSTEM_AGENT, dead.tenant)
        token = handled.set(dead)  # a dead letter descends from what died
        try:
            message = draft(
                Author(self._terms, principal),
                DEAD_PREFIX + dead.subject,
                dead.body,
                dead.type,
                dead.priority,
                Options(headers=_headers(letter)),
            )
        except ProtocolError as error:  # its lineage may be as long as one can be
            _log.warning("dead letter %s: %s", dead.id.hex(), error)
            self.unpublished += 1
            return
        finally:
            handled.reset(token)
        message = msgspec.structs.replace(
            message, content_type=dead.content_type, depth=dead.depth
        )
        origin = self._origin(dead.tenant, SYSTEM_AGENT)
        # Whatever its outcome, it is counted and recorded, and the letter is kept.
        await self._pipeline.ingest(message, origin, "dead_letter", 0.0)


def _headers(letter: DeadLetter) -> dict[str, str]:
    printable = "".join(c if c.isprintable() else " " for c in letter.reason)
    return {
        REASON_HEADER: printable,
        ATTEMPTS_HEADER: str(letter.attempts),
        SUBSCRIPTION_HEADER: letter.subscription,
    }
