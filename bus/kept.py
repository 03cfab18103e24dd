"""A message on its way into the store, and what is done once it is there or is not.

Rule: what is done is done in one go when the store says so, in the order of submission;
nothing here waits, and nothing depends on the publisher still being there.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from bus.consumers import Consumer, putting
from bus.core.changes import Append, Change
from bus.core.decision import Decision
from bus.core.entries import Sealer
from bus.core.message import Message
from bus.core.outcome import Accepted, Outcome
from bus.handing import own
from bus.ports import AuditRecord
from bus.remembering import Remembered
from bus.routes import Origin, Route
from bus.steps import full_detail, outcome_of
from bus.streams import Stream, putting as putting_stream
from bus.subscription import Delivery, Subscription

Place = tuple[Route, Origin, Stream]
"""Where a message goes, where it comes from, and what keeps it."""


class Numbers:
    """Counts deliveries, and hand-overs for their fencing tokens."""

    __slots__ = ("_tokens", "number")

    def __init__(self) -> None:
        self.number = 0
        self._tokens = 0

    def restore(self, next_number: int, epoch: int) -> None:
        """Go on from what a store has seen: tokens rise over restarts."""
        self.number = next_number - 1
        self._tokens = epoch << 32

    def next(self) -> int:
        """Return a number that no delivery had."""
        self.number += 1
        return self.number

    def token(self) -> int:
        """Return a fencing token above all before it."""
        self._tokens += 1
        return self._tokens


class Counter(Protocol):
    """What a message that is kept, or is not, is told to."""

    numbers: Numbers
    sealer: Sealer
    remembered: Remembered
    record: Callable[[AuditRecord], None]
    ended: Callable[[Message, Origin, Outcome], Outcome]
    woken: Callable[[int], None]
    refused: Callable[[Exception], None]
    fed: Callable[[Consumer], None]
    unplaced: "dict[Kept, None]"

    def hand(self, taker: Subscription, message: Message, decision: Decision) -> None:
        """Give a message to a taker for which nothing is kept."""


class Kept:
    """A message that policy let in, and its room; called with how keeping it ended.

    Its key and numbers are given when `changes` is called, right before that is submitted:
    a stream's keys, and a consumer's numbers, rise in the order of submission.
    """

    # Most messages have none of these: a default of the class costs nothing to set.
    future: "asyncio.Future[Outcome] | None" = None
    scope = ""  # of its publisher's name for it
    until_ns = 0
    due_ns = 0
    _key = 0
    _entry_bytes = 0
    _numbers: Sequence[int] = ()
    _unplaced = False

    def __init__(
        self,
        counter: Counter,
        admitted: tuple[Message, Decision],
        place: Place,
        takers: Sequence[Subscription],
    ) -> None:
        self.counter = counter
        self.message, self.decision = admitted
        self.route, self.origin, self.stream = place
        self.takers = takers
        self._consumers: list[Consumer | None] = []
        for taker in takers:
            taker.hold(1)
            self._consumers.append(taker.consumer)

    def wait(self) -> None:
        """Be there for `also` until it has its place: that takes a while."""
        self._unplaced = True
        self.counter.unplaced[self] = None

    def also(self, taker: Subscription) -> None:
        """Bring it to one more, whose consumer was made since it was let in."""
        taker.hold(1)
        self.takers = (*self.takers, taker)
        self._consumers.append(taker.consumer)

    def changes(self) -> list[Change]:
        """Return what keeps it, to be submitted at once."""
        stream, counter = self.stream, self.counter
        if self._unplaced:
            counter.unplaced.pop(self, None)
        changes: list[Change] = [] if stream.saved else [putting_stream(stream)]
        if self.origin.extra:
            changes += self.origin.extra
        self._key = key = stream.next_key()
        message = self.message
        deliveries, plan = self._deliveries(changes) if self._consumers else ((), ())
        entry = counter.sealer.close(key, message, self.decision, plan)
        self._entry_bytes = len(entry)
        stream.count(self._entry_bytes)
        dedup = (self.scope, self.until_ns) if self.scope else None
        changes.append(Append(key, message.created_ns, entry, deliveries, dedup))
        return changes

    def _deliveries(
        self, changes: list[Change]
    ) -> tuple[tuple[tuple[int, int, int], ...], tuple[int, ...]]:
        """Number its deliveries; return them, and the plan that names their consumers."""
        due_ns, next_number = self.due_ns, self.counter.numbers.next
        numbers, deliveries, plan = [], [], []
        for consumer in self._consumers:
            number = 0
            if consumer is not None and not consumer.forgotten:
                number = next_number()
                deliveries.append((consumer.row.id, number, due_ns))
                plan.append(consumer.row.id)
                if not consumer.saved:
                    changes.append(putting(consumer))
            numbers.append(number)
        self._numbers = numbers
        return tuple(deliveries), tuple(plan)

    def __call__(self, error: Exception | None) -> None:
        """Hand it over and tell its publisher, or tell why it was not kept."""
        takers = self.takers
        for taker in takers:
            taker.hold(-1)
        outcome: Outcome
        if error is None:
            self._entered()
            outcome = Accepted(self.message.id, self.decision, len(takers))
        else:
            self._forget()
            self.counter.refused(error)
            ended = outcome_of(self.message, error)
            outcome = self.counter.ended(self.message, self.origin, ended)
        future = self.future
        if future is not None and not future.done():
            future.set_result(outcome)

    def drop(self) -> None:
        """Take it back: it was never submitted, or not kept."""
        self.counter.unplaced.pop(self, None)
        for taker in self.takers:
            taker.hold(-1)
            taker.grant()
        self._forget()

    def accepted(self) -> Accepted:
        """Return the outcome it has once it is kept."""
        return Accepted(self.message.id, self.decision, len(self.takers))

    def _forget(self) -> None:
        if self._key:
            self.stream.count(self._entry_bytes, -1)
        if self.scope:
            self.counter.remembered.end(self.scope, None, 0)

    def _entered(self) -> None:
        message, decision, counter = self.message, self.decision, self.counter
        counter.record(
            (
                "accepted",
                message.created_ns,
                message.id,
                message.tenant,
                message.sender,
                message.subject,
                message.revision,
                decision.digest if decision.plain else full_detail(message, decision),
                message.stamp,
            )
        )
        self.stream.saved = True
        if self.scope:
            counter.remembered.end(self.scope, self._key, self.until_ns)
        if self.due_ns:
            counter.woken(self.due_ns)
        if self.takers:
            self._hand_over()
        self.route.stats.accepted += 1
        usage = self.origin.usage
        usage.events += 1
        usage.body_bytes += len(message.body)

    def _hand_over(self) -> None:
        message, decision = self.message, self.decision
        alone = len(self.takers) == 1
        for taker, consumer, number in zip(
            self.takers, self._consumers, self._numbers, strict=True
        ):
            theirs = message if alone else own(message)
            if consumer is None:
                self.counter.hand(taker, theirs, decision)
                continue
            if not number:
                continue  # it was forgotten meanwhile
            consumer.saved = True
            if not self.due_ns:
                delivery = Delivery(theirs, decision, taker)
                delivery.number, delivery.key = number, self._key
                if not consumer.enter(delivery):
                    self.counter.fed(consumer)
