"""Cuts streams by the age of what they keep.

Rule: one task at a time, stream after stream; what it cuts is told to whoever counts.
"""

import logging
from collections.abc import Sequence
from typing import Final, Protocol

from bus.core.changes import Trimmed
from bus.core.errors import StoreBrokenError, StoreUnavailableError
from bus.core.storelimits import STREAM_AGE_CHECK_S
from bus.feeding import StartTask
from bus.ports import Clock, Timer
from bus.storing import MessageStore
from bus.streams import Stream, Streams

_log: Final = logging.getLogger("assent.store")


class Told(Protocol):
    """Told of what went, and of a store that cannot be trusted."""

    def evicted(self, told: Trimmed) -> None:
        """Count out the deliveries that went with a cut."""

    def broken(self, error: StoreBrokenError) -> None:
        """Note that a part of the store cannot be read."""


class Ageing:
    """The timer of a bus's limits of age."""

    def __init__(
        self,
        store: MessageStore,
        clock: Clock,
        start: StartTask,
        streams: Streams,
        told: Told,
    ) -> None:
        self._store = store
        self._clock = clock
        self._start = start
        self._streams = streams
        self._told = told
        self._timer: Timer | None = None
        self._at_work = False

    def begin(self) -> None:
        """Look now, and again and again."""
        self._timer = self._clock.call_after(STREAM_AGE_CHECK_S, self.begin)
        now_ns = self._clock.now_ns()
        old = [
            stream
            for stream in self._streams.by_id.values()
            if stream.messages and stream.old_at(now_ns)
        ]
        if old and not self._at_work:
            self._at_work = True
            self._start(self._cut(old, now_ns), "assent limits of age")

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    async def _cut(self, streams: Sequence[Stream], now_ns: int) -> None:
        try:
            for stream in streams:
                told = await self._store.trim(stream.id, stream.aged(now_ns))
                stream.trimmed(told)
                self._told.evicted(told)
        except StoreUnavailableError as error:
            _log.warning("limits of age: %s", error)  # looked at again soon
        except StoreBrokenError as error:
            self._told.broken(error)
        finally:
            self._at_work = False
