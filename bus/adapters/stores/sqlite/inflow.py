"""Submissions on their way to disk: many in one commit, in order, each told its end.

Rule: one transaction is at work at a time; what comes meanwhile is the next. Planning
is done in the loop's thread, because what it costs is the interpreter's lock, which
the writer's thread would have to wait for.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, Final

from bus.adapters.stores.sqlite.faults import Fault, Refused
from bus.adapters.stores.sqlite.file import Failed, StoreFile
from bus.adapters.stores.sqlite.pieces import Plan
from bus.adapters.stores.sqlite.planning import Planner
from bus.adapters.stores.sqlite.running import Runner
from bus.adapters.stores.sqlite.submissions import (
    Cut,
    Standing,
    Submission,
    light,
    probe,
)
from bus.core.changes import Trimmed
from bus.core.errors import StoreUnavailableError
from bus.core.stats import StoreStats
from bus.core.storelimits import (
    STORE_BATCH_BYTES_MAX,
    STORE_BATCH_CHANGES_MAX,
    STORE_CHECKPOINT_BYTES,
    STORE_PURGE_EACH_S,
    STORE_RETRY_S,
    STORE_RETRY_S_MAX,
)
from bus.ports import Clock, Timer

_ROW_BYTES: Final = 128  # in the log, beside an entry
_COMMIT_BYTES: Final = 8 * 4096
_NS: Final = 1_000_000_000


class Inflow:
    """Hands submissions to the file. All methods belong to the loop's thread."""

    def __init__(
        self, file: StoreFile, runner: Runner, clock: Clock, moved: Callable[[], None]
    ) -> None:
        self.queue: Final[deque[Submission]] = deque()
        """Who adds to it counts it in the two below, and calls `go` soon."""
        self.pending_changes = 0
        self.pending_bytes = 0
        self.stats = StoreStats()
        self.standing = Standing.SHUT
        self.why = "not open"
        self._file: Final = file
        self._runner: Final = runner
        self._clock: Final = clock
        self._moved: Final = moved
        self._aside: deque[Submission] = deque()  # to go first, once it can be kept
        self._at_work: list[Submission] = []
        self._most = STORE_BATCH_CHANGES_MAX  # submissions at once
        self._busy = False
        self._held = True  # nothing new is begun
        self._waiting: list[asyncio.Future[None]] = []
        self._timer: Timer | None = None
        self._delay_s = STORE_RETRY_S
        self._unsaved = 0  # bytes in the log, about
        self._purge_at_ns = 0

    def go(self) -> None:
        """Begin the next transaction, if there is one and none is at work."""
        if self.standing is not Standing.READY:
            self._set_aside()
        while not (self._busy or self._held):
            if self._unsaved >= STORE_CHECKPOINT_BYTES:
                self._unsaved = 0
                self._call(self._file.checkpoint)
            elif self.queue:
                self._begin()
            else:
                return

    def ready(self) -> None:
        """The file was opened: go on, with what was set aside first."""
        self.standing, self.why = Standing.READY, ""
        self._held = False
        self._unsaved = 0
        self._most = STORE_BATCH_CHANGES_MAX
        self._take_back()
        self.go()

    async def hold(self) -> None:
        """Wait until nothing is at work; begin nothing until it is `ready`."""
        self._held = True
        self._stop_timer()
        await self._until(lambda: not self._busy)

    async def drain(self) -> None:
        """Wait until all is kept that can be, then hold."""
        ready = Standing.READY
        await self._until(
            lambda: not self._busy and not (self.queue and self.standing is ready)
        )
        await self.hold()

    def give_up(self, why: str) -> int:
        """Refuse all that still waits; return how many that were."""
        self.standing, self.why = Standing.SHUT, why
        left = [*self._aside, *self.queue]
        self._aside.clear()
        self.queue.clear()
        self._end(left, why)
        return len(left)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def _begin(self) -> None:
        cut = self.queue[0][1]
        if type(cut) is Cut:
            self._at_work = [self.queue.popleft()]
            if cut.answer.done():  # given up: nothing may go that nobody is told of
                self._tell_kept()
                return
            trim = partial(self._file.trim, cut.stream, cut.bounds)
            self._call(trim, partial(self._was_cut, cut))
            return
        taken = self._take()
        plan = self._plan(taken)
        if plan is not None:
            self._at_work = taken
            carry_out = partial(self._file.carry_out, plan)
            self._call(carry_out, partial(self._was_kept, plan))

    def _take(self) -> list[Submission]:
        queue = self.queue
        number = changes = size = 0
        for submission in islice(queue, self._most):
            changes += len(submission[0])
            size += submission[2]
            over = changes > STORE_BATCH_CHANGES_MAX or size > STORE_BATCH_BYTES_MAX
            if type(submission[1]) is Cut or (over and number):
                break
            number += 1
        return [queue.popleft() for _ in range(number)]

    def _plan(self, taken: list[Submission]) -> Plan | None:
        """Plan what was taken, up to the first that cannot be kept.

        None if that is the very first: it is refused.
        """
        planner = Planner(self._file.state)
        try:
            planner.add(taken)
        except Refused as error:
            first = planner.added
            self.queue.extendleft(reversed(taken[first:]))
            del taken[first:]
            if taken:
                return self._plan(taken)
            self._end([self.queue.popleft()], str(error))
            return None
        now_ns = self._clock.now_ns()
        if now_ns < self._purge_at_ns:
            return planner.plan()
        self._purge_at_ns = now_ns + int(STORE_PURGE_EACH_S * _NS)
        return planner.plan(now_ns)

    def _call(
        self, work: Callable[[], object], kept: Callable[[Any], None] | None = None
    ) -> None:
        """Have something done; `kept` is called with what it returned."""
        self._busy = True

        def ended(result: object, error: Exception | None) -> None:
            if error is not None and not isinstance(error, Failed):
                error = Failed(Fault.STOPPED, f"{type(error).__name__}: {error}")
            if error is not None:
                self._failed(error)
            elif kept is not None:
                kept(result)
            self._busy = False
            if self._file.failed and self.standing is Standing.READY:
                self._stop(Standing.STOPPED, self._file.failed)
            self.go()
            self._moved()
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

        self._runner.call(work, ended)

    def _was_kept(self, plan: Plan, _: object) -> None:
        stats = self.stats
        stats.appended += plan.appended
        stats.letters_evicted += plan.draft.evicted
        self._tell_kept()

    def _was_cut(self, cut: Cut, result: Trimmed) -> None:
        cut.trimmed = result
        self._unsaved += _ROW_BYTES * result.messages
        self._tell_kept()

    def _tell_kept(self) -> None:
        done, self._at_work = self._at_work, []
        self._delay_s = STORE_RETRY_S
        self.stats.commits += 1
        changes, size = self._end(done)
        self.stats.changes += changes
        self._unsaved += _COMMIT_BYTES + size + _ROW_BYTES * changes

    def _failed(self, error: Failed) -> None:
        if error.kind is Fault.REFUSED:
            self._search(str(error))
        elif error.kind is Fault.STALLED:
            self._stop(Standing.STALLED, str(error))
            self._timer = self._clock.call_after(self._delay_s, self._probe)
            self._delay_s = min(self._delay_s * 2, STORE_RETRY_S_MAX)
        else:
            self._stop(Standing.STOPPED, str(error))

    def _search(self, why: str) -> None:
        """One of those at work cannot be kept: halve until it stands alone."""
        tried, self._at_work = self._at_work, []
        if len(tried) == 1:
            self._most = STORE_BATCH_CHANGES_MAX
            self._end(tried, why)
        else:
            self._most = len(tried) // 2
            self.queue.extendleft(reversed(tried))

    def _stop(self, standing: Standing, why: str) -> None:
        self.standing, self.why = standing, why
        self.queue.extendleft(reversed(self._at_work))
        self._at_work = []
        self._set_aside()

    def _set_aside(self) -> None:
        """Refuse what would be kept; what only lets go waits, and loses nothing.

        What is at work is told how it ends by then.
        """
        shut = self.standing is Standing.SHUT
        waiting = list(self.queue)
        self.queue.clear()
        refused: list[Submission] = []
        for submission in waiting:
            to = self._aside if light(submission) and not shut else refused
            to.append(submission)
        self._end(refused, self.why)

    def _take_back(self) -> None:
        self.queue.extendleft(reversed(self._aside))
        self._aside.clear()

    def _probe(self) -> None:
        """See whether it can be kept again: what was set aside, or nothing."""
        self._timer = None
        self.standing, self.why = Standing.READY, ""
        if self._aside:
            self._take_back()
        else:
            self.queue.append(probe())
        self.go()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, submissions: list[Submission], why: str = "") -> tuple[int, int]:
        """Tell that they were kept, or why not; return how many changes and bytes."""
        changes = size = 0
        error = None
        if why:
            self.stats.failed += len(submissions)
        for submission in submissions:
            changes += len(submission[0])
            size += submission[2]
            if why:
                error = StoreUnavailableError(why)
            try:
                submission[1](error)
            except Exception as fault:  # noqa: BLE001 - the loop tells it; others go on
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "told how a submission ended", "exception": fault}
                )
        self.pending_changes -= changes
        self.pending_bytes -= size
        return changes, size
