"""What a store must hear of, however long that takes: letters, and consumers that go.

Rule: a delivery that is given up has its row until its letter is kept in its place. A
store that cannot keep that now is asked again and again.
"""

from bus.consumers import Consumer
from bus.core.changes import Bury, Change, DeliveryRow, Letter
from bus.core.entries import Sealer
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.names import SYSTEM_AGENT
from bus.core.storelimits import FEED_RETRY_S
from bus.culling import Culling
from bus.feeding import StartTask
from bus.ports import AuditLog, Clock
from bus.storing import Store
from bus.subscription import Delivery


class Burying:
    """Keeps the dead letters of one bus."""

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        clock: Clock,
        audit: AuditLog,
        start: StartTask,
    ) -> None:
        self._store = store
        self._culling = Culling(store, start, self._gave_way)
        self._sealer = sealer
        self._clock = clock
        self._audit = audit
        self._next_letter = 1
        self.owed = 0  # changes that the store has not kept yet
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether nothing more is kept."""
        return self._stopped

    def stop(self) -> None:
        """Insist on nothing any more."""
        self._stopped = self._culling.stopped = True

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
        self._culling.look()

    def insist(self, change: Change) -> None:
        """Submit a change until it is kept, or the bus stops."""
        self.owed += 1

        def again() -> None:
            self._store.submit((change,), done)

        def done(error: Exception | None) -> None:
            if error is not None and not self._stopped:
                self._clock.call_after(FEED_RETRY_S, again)
            else:
                self.owed -= 1

        again()

    def note(self, event: str, consumer: Consumer, detail: str) -> None:
        """Record what happened to a row that has no message one could name."""
        row = consumer.row
        place = (row.tenant, row.agent, row.pattern)
        self._note(event, place, f"{row.name}: {detail}")

    def _gave_way(self, tenant: str, letters: int) -> None:
        told = f"{letters} dead letters gave way: the tenant had too many"
        self._note("evicted", (tenant, SYSTEM_AGENT, ""), told)

    def _note(self, event: str, place: tuple[str, str, str], detail: str) -> None:
        """Record; `place` is tenant, agent and subject."""
        now_ns, told = self._clock.now_ns(), detail[:ERROR_CHARS_MAX]
        self._audit.append((event, now_ns, bytes(16), *place, "", told, b""))
