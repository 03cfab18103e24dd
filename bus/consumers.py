"""Durable consumers: what the store keeps for a subscription, and what of it is in memory.

Rule: a consumer's deliveries are handed out in the order of their numbers. Those up to
`read_to` are in memory or over; those after it wait in the store, and come in by pages
as there is room, so a consumer that is slow or away costs no memory.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from bus.core import subject as grammar
from bus.core.changes import ConsumerRow, PutConsumer
from bus.core.message import ORDERING_KEY, Message
from bus.core.storelimits import FEED_MESSAGES_LOW, FEED_MESSAGES_MAX
from bus.subscription import Delivery, Subscription

BEFORE_ALL: Final = -(1 << 62)
"""Below every number: replayed deliveries are numbered upwards from just above it."""


class Consumer:
    """One consumer. `members` are the subscriptions that share it now.

    `behind` counts its deliveries that are not in memory; `waited` are those of them
    that a publisher was let in for, by the member whose room they took. `entered` is
    the latest that was kept: what is in the store and was not told of yet is not read.

    With `anew` the count is not to be trusted until its rows were read to their end,
    with `unsettled` not even those: what was submitted of them must be done first.
    """

    __slots__ = (
        "aloft",
        "anew",
        "begun_to",
        "behind",
        "cut",
        "dead",
        "entered",
        "forgotten",
        "loading",
        "members",
        "read_to",
        "reading",
        "redelivered",
        "replaying",
        "reread",
        "rewound",
        "row",
        "saved",
        "stand_in",
        "stopped",
        "tokens",
        "unsettled",
        "waited",
    )

    def __init__(self, row: ConsumerRow, *, saved: bool) -> None:
        self.row = row
        self.tokens = grammar.parse_pattern(row.pattern)
        self.saved = saved
        self.members: list[Subscription] = []
        self.stand_in: Subscription | None = None
        self.behind = row.pending
        self.anew = False
        self.unsettled = False
        self.aloft: set[int] = set()  # in hand when it was rewound: not read anew
        self.redelivered = self.dead = 0  # since the start
        self.cut = False  # a stream's limits took some of its deliveries
        self.entered = 0
        self.forgotten = False
        self.waited: deque[tuple[int, Subscription]] = deque()
        self.read_to = BEFORE_ALL
        self.begun_to = BEFORE_ALL  # deliveries up to it may have been begun before
        self.loading = False
        self.replaying = bool(row.replay)
        self.reading = False  # a task writes down what it reads back
        self.reread = 0  # written down, and not in memory yet
        self.rewound = 0  # so often
        self.stopped = False

    @property
    def pending(self) -> int:
        """Deliveries that are not settled."""
        return self.behind + sum(member.load for member in self.members)

    @property
    def hungry(self) -> bool:
        """Whether more should be read: there is more, and little is left in memory."""
        return bool(self.behind or self.anew) and any(
            member.size + member.aside < FEED_MESSAGES_LOW and not member.closed
            for member in self.members
        )

    def enter(self, delivery: Delivery) -> bool:
        """Take in a delivery that was just kept, into memory where its turn is there.

        Tells whether it came into memory.
        """
        member, number = delivery.subscription, delivery.number
        self.entered = number
        if len(self.members) != 1 or member is not self.members[0]:
            heir = self.taker(delivery.message, member)
            if heir is None:  # nobody is there
                self.behind += 1
                return False
            member = delivery.subscription = heir
        if (
            self.behind
            or self.anew
            or self.loading
            or self.replaying
            or self.stand_in is not None
            or member.closed
            or member.size + member.aside >= FEED_MESSAGES_MAX
        ):
            self.behind += 1
            unheld = self.stopped or self.replaying or member.closed
            if not (unheld or self.stand_in is not None):
                member.hold(1)  # it takes its room in the store as it would in memory
                self.waited.append((number, member))
            return False
        self.read_to = number
        member.take(delivery)
        return True

    def brought(self, number: int) -> None:
        """Count a delivery out of the store: a page has brought it."""
        self.behind -= 1
        if number < 0:
            self.reread = max(self.reread - 1, 0)
        self.read_to = number
        waited = self.waited
        while waited and waited[0][0] <= number:
            _, member = waited.popleft()
            if member.consumer is self:
                member.hold(-1)

    @property
    def stuck(self) -> bool:
        """Whether there is more to read, somebody idle to take it, and nobody reads."""
        if self.loading or self.replaying or self.stopped or not self.hungry:
            return False
        return not any(member.load for member in self.members)

    def _in_hand(self) -> set[int]:
        return {
            worker.delivery.number
            for member in self.members
            for worker in member.workers
            if worker.delivery is not None
        }

    def rewind(self, left: Sequence[Delivery]) -> None:
        """Go back to the last ack: what was in memory, and is in nobody's hands, is read anew."""
        self.rewound += 1
        self.aloft = self._in_hand()
        self.behind += len(left)
        self.reread += sum(delivery.number < 0 for delivery in left)
        self.read_to = BEFORE_ALL
        self.anew = self.unsettled = True

    def stop(self) -> None:
        """Hold no room for what is not in memory: it will not be read any more."""
        self.stopped = True
        while self.waited:
            self.waited.popleft()[1].hold(-1)

    def evicted(self, numbers: set[int]) -> None:
        """Count out what a cut took; it may not all have been counted in."""
        self.cut = True
        gone = sum(number > self.read_to for number in numbers)
        self.behind = max(self.behind - gone, 0)
        self.anew = self.anew or bool(gone)
        for number, member in self.waited:
            if number in numbers and member.consumer is self:
                member.give_up_room()
        self.waited = deque(item for item in self.waited if item[0] not in numbers)

    def read_out(self, known: int) -> int:
        """Note that no more rows were there when `known` were; return how many lacked."""
        lacking, since = known, max(self.behind - known, 0)
        self.behind, self.anew = since, False
        if self.replaying:
            self.reread = 0
        return 0 if self.cut else max(lacking, 0)

    def taker(
        self, message: Message, planned: Subscription | None = None
    ) -> Subscription | None:
        """Return the member a delivery goes to: one key's go to who has any of them."""
        key = message.headers.get(ORDERING_KEY)
        if key is not None:
            for member in self.members:
                if not member.closed and member.holds(key):
                    return member
        if planned is not None and planned in self.members and not planned.closed:
            return planned
        return self.least_loaded()

    def least_loaded(self) -> Subscription | None:
        """Return the member to hand the next delivery to, if any is open."""
        found: Subscription | None = None
        for member in self.members:
            if not member.closed and (found is None or member.size < found.size):
                found = member
        return found

    def leave(self, member: Subscription, left: Sequence[Delivery]) -> None:
        """Let a member go, with what it had in memory and did not settle.

        The other members take that over; without any it is read again from the store.
        """
        self.members.remove(member)
        member.consumer = None
        self.waited = deque(item for item in self.waited if item[1] is not member)
        if not self.members:
            self.rewind(left)
            return
        heir = self.least_loaded() or self.members[0]  # who leaves too hands it on
        for delivery in sorted(left, key=lambda delivery: delivery.number):
            delivery.subscription = heir
            heir.take(delivery)


def putting(consumer: Consumer) -> PutConsumer:
    """Return the change that notes a consumer in the store."""
    return PutConsumer(msgspec.structs.replace(consumer.row, pending=0))
