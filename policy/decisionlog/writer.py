"""The thread that makes events of entries, masks them, and writes them to the sinks.

Rule: what is handed over is written in order to each sink, once; while that fails it
is tried again, and everybody can see that it fails. The thread keeps nothing from
exiting.
"""

import enum
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

from bus.core.policylimits import DECISION_LOG_BLOCKS_AT_ONCE, DECISION_LOG_RETRY_S
from policy.decisionlog.event import Entry, EventMaker
from policy.decisionlog.masking import FindRules, Masker

_T = TypeVar("_T")


class Sink(Protocol):
    """Where lines go. Called by one thread only; may block; raises OSError."""

    def open(self) -> str:
        """Make ready; return what was repaired, or the empty string."""

    def write(self, lines: Sequence[bytes]) -> int:
        """Add the first of `lines`; return how many. Raise, and have added none."""

    def sync(self) -> None:
        """Bring what was written to disk."""

    def close(self) -> None:
        """Let go of it."""


class State(enum.Enum):
    """Where the writer stands."""

    OPENING = "opening"
    WRITING = "writing"
    FAILING = "failing"  # to write; tried again
    ENDED = "ended"


class _Signal(enum.Enum):
    SYNC = enum.auto()
    STOP = enum.auto()


class Writer:
    """Writes what it is handed. `notify` is called in its thread."""

    def __init__(
        self, maker: EventMaker, sinks: Sequence[Sink], notify: Callable[[], None]
    ) -> None:
        self.state = State.OPENING
        self.error: BaseException | None = None
        self.repaired = ""
        self.written = 0  # entries, those that policy dropped included
        self.wanted = False  # somebody waits for news
        self.masker: Final = Masker()
        self._maker = maker
        self._sinks = sinks
        self._notify = notify
        self._queue: queue.SimpleQueue[list[Entry] | FindRules | _Signal] = (
            queue.SimpleQueue()
        )
        self._abandoned = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="assent-decisions", daemon=True
        )

    def start(self) -> None:
        """Open the sinks; the state tells how it went."""
        self._thread.start()

    def put(self, entries: list[Entry]) -> None:
        """Hand over entries; wakes the thread."""
        self._queue.put(entries)

    def follow(self, find: FindRules) -> None:
        """Mask what is handed over from now on by other rules."""
        self._queue.put(find)

    def sync(self) -> None:
        """Have what was handed over brought to disk."""
        self._queue.put(_Signal.SYNC)

    def stop(self) -> None:
        """Have everything written, brought to disk and closed."""
        self._queue.put(_Signal.STOP)

    def abandon(self) -> None:
        """Stop trying to write what cannot be written."""
        self._abandoned.set()

    def _run(self) -> None:
        """Run until stopped; whatever ends it is kept for all to see."""
        try:
            repaired = [sink.open() for sink in self._sinks]
            self.repaired = "; ".join(filter(None, repaired))
            self._turn(State.WRITING)
            self._work()
        except BaseException as fault:  # noqa: BLE001 - the log raises it, in the loop
            self.error = fault
        finally:
            # An engine is dropped by the thread that made it.
            self.masker.release()
            self._close()
            self._turn(State.ENDED)

    def _work(self) -> None:
        while True:
            entries, signal = self._take()
            if entries:
                self._write(entries)
            if signal is _Signal.STOP or signal is _Signal.SYNC:
                for sink in self._sinks:
                    self._attempt(sink.sync)
            elif signal is not None:
                self.masker.follow(signal)
            if signal is _Signal.STOP:
                return

    def _take(self) -> tuple[list[Entry], FindRules | _Signal | None]:
        """Wait for something, then take more of it: the more behind, the more.

        A signal ends what is taken: it is about what came before it.
        """
        entries: list[Entry] = []
        for _ in range(DECISION_LOG_BLOCKS_AT_ONCE):
            taken = self._queue.get()
            if not isinstance(taken, list):
                return entries, taken
            entries += taken
            if self._queue.empty():
                break
        return entries, None

    def _write(self, entries: list[Entry]) -> None:
        lines = []
        for entry in entries:
            line = self.masker.apply(self._maker.line(entry))
            if line is not None:
                lines.append(line + b"\n")
        # Each sink gets its chance, also after one that was given up.
        done = [self._write_to(sink, lines) for sink in self._sinks]
        if all(done):
            self.written += len(entries)
            if self.wanted:
                self._notify()

    def _write_to(self, sink: Sink, lines: list[bytes]) -> bool:
        while lines:
            count = self._attempt(partial(sink.write, lines))
            if count is None:
                return False
            lines = lines[count:]
        return True

    def _attempt(self, action: Callable[[], _T]) -> _T | None:
        """Try until it works; None if it was abandoned."""
        while not self._abandoned.is_set():
            try:
                done = action()
            except OSError as error:
                self.error = error
                if self.state is not State.FAILING:
                    self._turn(State.FAILING)
                self._abandoned.wait(DECISION_LOG_RETRY_S)
            else:
                if self.state is State.FAILING:
                    self.error = None
                    self._turn(State.WRITING)
                return done
        return None

    def _close(self) -> None:
        for sink in self._sinks:
            try:
                sink.close()
            except OSError as error:
                self.error = self.error or error

    def _turn(self, state: State) -> None:
        self.state = state
        self._notify()
