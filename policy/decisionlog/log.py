"""The decision log as the bus sees it: append costs a list append, the rest is batched.

Rule: what is appended is written, in order; while it cannot be, `full` is True and
whoever wants a decision waits, then fails. All methods belong to the loop's thread; the
disk and the rules belong to the writer's, the collector to the uploader's.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from bus.core.errors import (
    BusAlreadyStartedError,
    BusNotStartedError,
    ConfigurationError,
)
from bus.core.policylimits import (
    DECISION_LOG_BLOCK,
    DECISION_LOG_FLUSH_S,
    DECISION_LOG_OPEN_S,
    DECISION_LOG_PENDING_MAX,
    DECISION_LOG_RETRY_S,
)
from bus.ports import Clock, Timer
from policy.decisionlog import reporting
from policy.decisionlog.event import Entry, EventMaker
from policy.decisionlog.file import RotatedFile
from policy.decisionlog.masking import FindRules
from policy.decisionlog.settings import (
    DecisionLogStalledError,
    LogSettings,
    LogStats,
    Remains,
)
from policy.decisionlog.spool import Spool
from policy.decisionlog.upload import Uploader
from policy.decisionlog.writer import State, Writer


class _Shut(list[Entry]):
    """Stands for the buffer while the log is not open: it refuses, it never loses."""

    def append(self, entry: Entry) -> None:
        """Refuse."""
        raise BusNotStartedError(f"decision log is not open; {entry[0]} not recorded")


class DecisionLog:
    """Buffers and hands over. `full` is True when deciding must wait for `room`.

    `rules` finds the mask rules of the policy in force; it is called in the log's own
    thread, and so is what `follow` is given at each change of policy.
    """

    def __init__(self, settings: LogSettings, rules: FindRules, clock: Clock) -> None:
        self.full = True
        self._settings: Final = settings
        self._rules = rules
        self._clock: Final = clock
        self._buffer: list[Entry] = _Shut()
        self._due_at = 1  # buffered entries at which `_due` must look
        self._handed = 0
        self._writer: Writer | None = None
        self._flush_timer: Timer | None = None
        self._sync_timer: Timer | None = None
        self._flushing = 0  # callers of `flush` that wait
        self._news = asyncio.Event()
        self._file: RotatedFile | None = None
        self._spool: Spool | None = None
        self._uploader: Uploader | None = None
        if (file := settings.file) is not None:
            self._file = RotatedFile(file.path, file.rotate_bytes, file.keep)
        if (to := settings.collector) is not None:
            self._spool = Spool(to.spool, to.spool_bytes)
            self._uploader = Uploader(self._spool, to, clock.now_ns)

    def append(self, entry: Entry) -> None:
        """Take an entry. Raise `BusNotStartedError` if the log is not open."""
        buffer = self._buffer
        buffer.append(entry)
        # One comparison for both reasons to act; the usual entry has neither.
        if len(buffer) >= self._due_at:
            self._due()

    async def room(self) -> None:
        """Wait until it is no longer full; raise `DecisionLogStalledError` if it stays."""
        await self._until(lambda: not self.full, "no room", self._settings.wait_s)

    async def flush(self) -> None:
        """Wait until all that was appended is written; raise `DecisionLogStalledError`."""
        writer = self._running()
        self._hand_over()
        target = self._handed
        self._flushing += 1
        writer.wanted = True
        try:
            await self._until(
                lambda: writer.written >= target, "not written", self._settings.wait_s
            )
        finally:
            self._flushing -= 1

    def follow(self, rules: FindRules) -> None:
        """Mask by other rules from the next entry on; called at each change of policy."""
        self._rules = rules
        if self._writer is not None and not isinstance(self._buffer, _Shut):
            self._hand_over()
            self._writer.follow(rules)

    async def open(self) -> None:
        """Start writing; raise `ConfigurationError` if the log cannot be kept."""
        if self._writer is not None:
            raise BusAlreadyStartedError("a decision log opens once; make a new one")
        loop = asyncio.get_running_loop()

        def notify() -> None:
            # With the loop closed nobody is left who could be told.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._changed)

        sinks = [sink for sink in (self._file, self._spool) if sink is not None]
        writer = Writer(EventMaker(self._settings.labels), sinks, notify)
        self._writer = writer
        writer.start()
        try:
            await self._until(
                lambda: writer.state is not State.OPENING,
                "not opened",
                DECISION_LOG_OPEN_S,
            )
        except BaseException:
            writer.stop()
            raise
        if writer.error is not None:
            if self._spool is not None:
                self._spool.release()
            raise ConfigurationError(f"decision log: {writer.error}") from writer.error
        writer.follow(self._rules)
        if self._uploader is not None:
            self._uploader.start()
        self._buffer = []
        self._changed()

    async def close(self) -> Remains:
        """Write everything that was taken, give the collector a chance, and stop.

        Returns what the collector has not taken; the next start goes on with it.

        Raises:
            DecisionLogStalledError: it could not be written; says how much is lost.
        """
        writer = self._writer
        if writer is None or isinstance(self._buffer, _Shut):
            return Remains()
        self._hand_over()
        self._buffer = _Shut()
        self.full = True
        for timer in (self._flush_timer, self._sync_timer):
            if timer is not None:
                timer.cancel()
        writer.stop()
        if not await self._ended(writer, self._settings.close_s):
            writer.abandon()
            await self._ended(writer, DECISION_LOG_RETRY_S * 2)
        remains = await self._end_upload()
        lost = self._handed - writer.written
        if lost or writer.error is not None or writer.state is not State.ENDED:
            cause = writer.error or f"the disk took over {self._settings.close_s:g} s"
            raise DecisionLogStalledError(
                f"decision log closed with {lost} decisions not written: {cause}"
            ) from writer.error
        return remains

    def stats(self) -> LogStats:
        """Return the counts since the start."""
        appended = self._handed + len(self._buffer)
        return reporting.stats(
            self._writer, self._file, self._spool, self._uploader, appended=appended
        )

    def health(self) -> tuple[bool, str]:
        """Tell whether decisions are being written, and what is wrong if anything is."""
        writer = self._writer
        if writer is None or isinstance(self._buffer, _Shut):
            return False, "not open"
        well = True
        told = writer.state.value
        if writer.error is not None:
            well, told = False, f"{told}: {writer.error}"
        elif self._uploader is not None and self._uploader.ended.is_set():
            well, told = False, f"the uploader has ended: {self._uploader.error!r}"
        elif self.full:
            well, told = False, f"behind by {self._handed - writer.written} decisions"
        troubles = reporting.troubles(writer, self._spool, self._uploader)
        return well, "; ".join([told, *troubles])

    def _due(self) -> None:
        if len(self._buffer) >= DECISION_LOG_BLOCK:
            self._hand_over()
        elif self._flush_timer is None:
            self._flush_timer = self._clock.call_after(DECISION_LOG_FLUSH_S, self._tick)
        self._due_at = DECISION_LOG_BLOCK

    def _tick(self) -> None:
        self._flush_timer = None
        self._due_at = 1
        self._hand_over()

    def _hand_over(self) -> None:
        if not self._buffer:
            return
        writer = self._running()
        writer.put(self._buffer)
        self._handed += len(self._buffer)
        self._buffer = []
        if self._sync_timer is None:
            self._sync_timer = self._clock.call_after(
                self._settings.fsync_s, self._sync
            )
        if self._handed - writer.written > DECISION_LOG_PENDING_MAX:
            self._review(writer)

    def _sync(self) -> None:
        self._sync_timer = None
        self._running().sync()

    def _review(self, writer: Writer) -> None:
        # Set before looking: the writer counts first and then looks at `wanted`, so
        # one of the two always notices.
        writer.wanted = True
        behind = self._handed - writer.written > DECISION_LOG_PENDING_MAX
        self.full = behind or writer.state is not State.WRITING
        writer.wanted = self.full or self._flushing > 0

    def _changed(self) -> None:
        """Runs in the loop whenever the writer has news."""
        if self._writer is not None and not isinstance(self._buffer, _Shut):
            self._review(self._writer)
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _end_upload(self) -> Remains:
        uploader, spool = self._uploader, self._spool
        if uploader is None or spool is None:
            return Remains()
        uploader.finish()
        ended = await asyncio.to_thread(uploader.ended.wait, self._settings.close_s)
        if not ended:
            uploader.abandon()
            ended = await asyncio.to_thread(
                uploader.ended.wait, DECISION_LOG_RETRY_S * 2
            )
        if ended:
            spool.release()
        return Remains(spool.waiting, spool.refused, spool.used)

    async def _ended(self, writer: Writer, wait_s: float) -> bool:
        try:
            await self._await_news(lambda: writer.state is State.ENDED, wait_s)
        except TimeoutError:
            return False
        return True

    async def _until(
        self, holds: Callable[[], bool], otherwise: str, wait_s: float
    ) -> None:
        try:
            await self._await_news(holds, wait_s)
        except TimeoutError as error:
            writer = self._running()
            cause = writer.error or f"{self._handed - writer.written} decisions behind"
            raise DecisionLogStalledError(
                f"decision log: {otherwise} in {wait_s:g} s: {cause}"
            ) from error

    async def _await_news(self, holds: Callable[[], bool], wait_s: float) -> None:
        async with asyncio.timeout(wait_s):
            while not holds():
                await self._news.wait()

    def _running(self) -> Writer:
        if self._writer is None:
            raise BusNotStartedError("decision log is not open")
        return self._writer
