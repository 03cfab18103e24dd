"""What a store must hear of, however long that takes: letters, and consumers that go.

Rule: a delivery that is given up has its row until its letter is kept in its place. A
store that cannot keep that now is asked again and again.
"""

from bus.consumers import Consumer
from bus.core.changes import Bury, Change, DeliveryRow, Letter
from bus.core.entries import Sealer
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.storelimits import FEED_RETRY_S
from bus.ports import AuditLog, Clock
from bus.storing import MessageStore
from bus.subscription import Delivery


class Burying:
    """Keeps the dead letters of one bus."""

    def __init__(
        self, store: MessageStore, sealer: Sealer, clock: Clock, audit: AuditLog
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._audit = audit
        self._next_letter = 1
        self.owed = 0  # changes that the store has not kept yet
        self.stopped = False

    def restore(self, next_letter: int) -> None:
        """Go on from what a store has seen."""
        self._next_letter = next_letter

    def bury(self, consumer: Consumer, delivery: Delivery, reason: str) -> None:
        """Keep a delivery that was given up as a letter."""
        row = consumer.row
        entry = self._sealer.close(
            delivery.key, delivery.message, delivery.decision, (row.id,)
        )
        given_up = DeliveryRow(
            row.id, delivery.number, delivery.key, delivery.attempt, 0, entry
        )
        self.bury_row(consumer, given_up, reason)

    def bury_row(self, consumer: Consumer, row: DeliveryRow, reason: str) -> None:
        """Keep a row as a letter, whatever its entry is."""
        consumer.dead += 1
        letter = Letter(
            self._next_letter,
            self._clock.now_ns(),
            consumer.row.tenant,
            consumer.row.name,
            row.attempt,
            reason[:ERROR_CHARS_MAX],
            row.key,
            row.entry,
        )
        self._next_letter += 1
        self.insist(Bury(consumer.row.id, row.number, letter))

    def insist(self, change: Change) -> None:
        """Submit a change until it is kept, or the bus stops."""
        self.owed += 1

        def again() -> None:
            self._store.submit((change,), done)

        def done(error: Exception | None) -> None:
            if error is not None and not self.stopped:
                self._clock.call_after(FEED_RETRY_S, again)
            else:
                self.owed -= 1

        again()

    def note(self, event: str, consumer: Consumer, detail: str) -> None:
        """Record what happened to a row that has no message one could name."""
        row = consumer.row
        self._audit.append(
            (
                event,
                self._clock.now_ns(),
                bytes(16),
                row.tenant,
                row.agent,
                row.pattern,
                "",
                f"{row.name}: {detail}"[:ERROR_CHARS_MAX],
                b"",
            )
        )
