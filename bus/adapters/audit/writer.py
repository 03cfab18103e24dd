"""The thread that seals and writes, so that the loop never waits for a disk.

Rule: what is handed over is written in order; while that fails it is tried again,
and everybody can see that it fails. The thread ends when told to, or when the
process does: it keeps nothing from exiting.
"""

import enum
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from bus.adapters.audit.slots import Pool, Slot
from bus.core import auditchain
from bus.core.auditchain import Head
from bus.core.limits import AUDIT_RETRY_S

Blocks = list[bytes | memoryview]
_SYNC: Final = Slot(0)
_STOP: Final = Slot(0)


class Record(Protocol):
    """Where blocks are kept. Called by one thread only; may block; raises OSError."""

    def open(self) -> tuple[Head, str]:
        """Return where it ends and what was repaired; raise `ConfigurationError`."""

    def write(self, blocks: Blocks) -> None:
        """Add whole blocks after the last, or raise and have added nothing."""

    def sync(self, head: Head) -> None:
        """Make safe what was written, up to `head`."""

    def close(self) -> None:
        """Let go of it."""


class State(enum.Enum):
    """Where the writer stands."""

    OPENING = "opening"
    WRITING = "writing"
    FAILING = "failing"  # to write; tried again
    ENDED = "ended"


class Writer:
    """Seals and writes what it is handed. `notify` is called in its thread."""

    def __init__(self, record: Record, pool: Pool, notify: Callable[[], None]) -> None:
        self.state = State.OPENING
        self.error: BaseException | None = None
        self.repaired = ""
        self.written = 0  # records
        self.wanted = False  # somebody waits for room
        self._record = record
        self._pool = pool
        self._notify = notify
        self._head: Head | None = None
        self._unsynced = False
        self._queue: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="assent-audit", daemon=True
        )

    def start(self) -> None:
        """Open the record; the state tells how it went."""
        self._thread.start()

    def put(self, slot: Slot) -> None:
        """Hand over encoded records; wakes the thread."""
        self._queue.put(slot)

    def sync(self) -> None:
        """Have what was handed over brought to disk."""
        self._queue.put(_SYNC)

    def stop(self) -> None:
        """Have everything written, brought to disk and closed."""
        self._queue.put(_STOP)

    def abandon(self) -> None:
        """Stop trying to write what cannot be written."""
        self._abandoned.set()

    def _run(self) -> None:
        """Run until stopped; whatever ends it is kept for all to see."""
        error: BaseException | None = None
        try:
            head, self.repaired = self._record.open()
            self._turn(State.WRITING)
            self._work(head)
        except BaseException as fault:  # noqa: BLE001 - the log raises it, in the loop
            error = fault
        finally:
            self._record.close()
            self.error = error or self.error
            self._turn(State.ENDED)

    def _work(self, head: Head) -> None:
        stop = False
        while not stop:
            slots, sync, stop = self._take()
            head = self._write(head, slots)
            if (sync or stop) and self._unsynced:
                self._sync(head)

    def _take(self) -> tuple[list[Slot], bool, bool]:
        """Wait for something, then take all there is: the more behind, the more."""
        taken = [self._queue.get()]
        taken.extend(self._queue.get_nowait() for _ in range(self._queue.qsize()))
        slots = [slot for slot in taken if slot is not _SYNC and slot is not _STOP]
        return slots, _SYNC in taken, _STOP in taken

    def _write(self, head: Head, slots: list[Slot]) -> Head:
        """Seal each slot and write all at once.

        Each call that lets the GIL go takes up to its switch interval, 5 ms, to get
        it back under load. So it is one call to hash what a slot holds, and one to
        write all slots, and none for each record or small block.
        """
        blocks: Blocks = []
        for slot in slots:
            line, mark = auditchain.seal(head.at, slot.lines, slot.records)
            head = Head(at=mark, before=head.at)
            blocks += (slot.lines, line)
        if slots and self._attempt(partial(self._record.write, blocks)):
            self._unsynced = True
            self.written += sum(slot.records for slot in slots)
            if self.wanted:
                self._notify()
            for slot in slots:
                self._pool.give_back(slot)
        return head

    def _sync(self, head: Head) -> None:
        if self._attempt(partial(self._record.sync, head)):
            self._unsynced = False

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Try until it works; False if it was abandoned."""
        while not self._abandoned.is_set():
            try:
                action()
            except OSError as error:
                self.error = error
                if self.state is not State.FAILING:
                    self._turn(State.FAILING)
                self._abandoned.wait(AUDIT_RETRY_S)
            else:
                if self.state is State.FAILING:
                    self.error = None
                    self._turn(State.WRITING)
                return True
        return False

    def _turn(self, state: State) -> None:
        self.state = state
        self._notify()
