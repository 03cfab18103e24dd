"""The workers of one policy: one in service, spares that have the policy loaded too.

Rule: there are always as many as the terms say, or the next attempt is set. A worker
that is lost is replaced by a spare at once, and by a new one at once if it had worked;
one that died at once is replaced after a wait that doubles up to a bound.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from bus.core.errors import PolicyLoadError
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.policylimits import (
    ISOLATED_BACKOFF_S_BASE,
    ISOLATED_BACKOFF_S_MAX,
    ISOLATED_CLOSE_S,
    ISOLATED_FAILED_STARTS_MAX,
    ISOLATED_SETTLED_S,
)
from policy.deps import Dependencies
from policy.evaluation import EvaluationError
from policy.isolation import wire
from policy.isolation.launch import command, told_by
from policy.isolation.line import Question
from policy.isolation.process import Fault, Worker
from policy.isolation.terms import Terms

_DOUBLINGS_MAX: Final = 32
_log: Final = logging.getLogger("assent.policy.isolation")


class WorkerStats(msgspec.Struct, frozen=True):
    """How many workers were started, ended at a deadline, died; and how many wait."""

    started: int
    overdue: int
    died: int
    ready: int


class Desk(Protocol):
    """Whoever has the questions."""

    def settled(self, question: Question) -> None:
        """Hear that a question a worker had is answered or failed."""

    def returned(self, questions: Iterable[Question]) -> None:
        """Take back, oldest first, what a lost worker had not begun."""

    def serve(self) -> None:
        """Hear that a worker may have room, or that none can be had (`down`)."""


class Staff:
    """Implements `policy.isolation.process.Owner`.

    `content` is what every worker is told after its terms: the bundle.
    """

    def __init__(self, desk: Desk, content: bytes, terms: Terms) -> None:
        self._loop = asyncio.get_running_loop()
        self._desk = desk
        self._content = content
        self._terms = terms
        self._argv: Sequence[str] = terms.command or command()
        self.active: Worker | None = None
        self._others: list[Worker] = []
        self._ending: set[Worker] = set()
        self._loaded: asyncio.Future[Dependencies] = self._loop.create_future()
        self._spared: asyncio.Future[None] = self._loop.create_future()
        self._restart: asyncio.TimerHandle | None = None
        self._failed_starts = 0
        self._last_fault = ""
        self._closed = False
        self._started = self._overdue = self._died = 0

    @property
    def workers(self) -> Iterator[Worker]:
        """Those that are not lost: the one in service first."""
        if self.active is not None:
            yield self.active
        yield from self._others

    @property
    def down(self) -> str:
        """Why nobody answers and nobody soon will; empty while somebody does."""
        if self.active or self._failed_starts < ISOLATED_FAILED_STARTS_MAX:
            return ""
        return f"no policy worker can be started, the last one: {self._last_fault}"

    def stats(self) -> WorkerStats:
        """Return the counts since the start."""
        ready = sum(worker.is_ready for worker in self.workers)
        return WorkerStats(self._started, self._overdue, self._died, ready)

    async def open(self) -> Dependencies:
        """Have the policy tried out, then loaded by spares; return when one is ready.

        Raises:
            PolicyLoadError: it is refused, or could not be loaded. Then call `dismiss`.
        """
        try:
            self._hire(trial=True)
        except OSError as error:
            raise PolicyLoadError(f"no worker for the policy: {error}") from None
        read = await self._loaded
        self._fill()
        await self._spared
        return read

    def dismiss(self) -> None:
        """Kill every worker; no other is started."""
        self._closed = True
        if self._restart is not None:
            self._restart.cancel()
        for worker in tuple(self.workers):
            worker.end(Fault("unavailable", "the engine was closed"))
        self._no_longer_wait_for_spare()

    async def gone(self) -> None:
        """Wait for the end of all that were killed, at most `ISOLATED_CLOSE_S`."""
        if self._ending:
            gone = [worker.gone for worker in self._ending]
            await asyncio.wait(gone, timeout=ISOLATED_CLOSE_S)

    def ready(self, worker: Worker, told: wire.Ready) -> None:
        """Take a worker that has loaded the policy into service, or into reserve."""
        if self._loaded.done():
            self._no_longer_wait_for_spare()
        elif told.dependencies is None:
            worker.end(Fault("malformed", "its worker did not try it out"))
            return
        else:
            self._loaded.set_result(told.dependencies)
        self._promote()

    def refused(self, worker: Worker, told: wire.Refused) -> None:
        """Hear what is wrong with the policy."""
        del worker
        if not self._loaded.done():
            reason, file = told.reason[:ERROR_CHARS_MAX], told.file[:ERROR_CHARS_MAX]
            self._loaded.set_exception(
                PolicyLoadError(reason, file=file, line=told.line)
            )

    def answered(self, worker: Worker, question: Question) -> None:
        """Go on with the next questions."""
        del worker
        self._failed_starts = 0
        self._desk.settled(question)
        self._desk.serve()

    def lost(self, worker: Worker, fault: Fault) -> None:
        """Fail the question that was begun; let a spare have the others."""
        if worker is self.active:
            self.active = None
        else:
            self._others.remove(worker)
        begun = worker.asked.popleft() if worker.asked else None
        self._count(worker, fault, at_work=begun is not None)
        self._ending.add(worker)
        worker.gone.add_done_callback(
            lambda gone: self._buried(worker, fault, begun, gone.result())
        )
        if begun is not None:
            self._desk.settled(begun)
            if not fault.died:
                begun.fail(EvaluationError(fault.reason, kind=fault.kind))
        self._desk.returned(worker.asked)
        if self._closed:
            return
        self._promote()
        if self._loaded.done():
            self._no_longer_wait_for_spare()
            self._replace()

    def _buried(
        self, worker: Worker, fault: Fault, begun: Question | None, status: int | None
    ) -> None:
        """Tell why a worker is gone: of one that died, only its status says."""
        self._ending.discard(worker)
        reason = f"{fault.reason} {told_by(status)}" if fault.died else fault.reason
        self._last_fault = reason
        if begun is not None:
            begun.fail(EvaluationError(reason, kind=fault.kind))
        if not self._loaded.done():
            self._loaded.set_exception(PolicyLoadError(reason))
        elif not self._closed:
            _log.warning("policy worker %d is gone: %s", worker.pid, reason)

    def _count(self, worker: Worker, fault: Fault, *, at_work: bool) -> None:
        if self._closed:
            return
        self._overdue += fault.kind == "deadline"
        self._died += fault.kind != "deadline"
        lived_s = self._loop.time() - worker.started_s
        settled = worker.is_ready and lived_s >= ISOLATED_SETTLED_S
        if at_work or worker.has_answered or settled:
            self._failed_starts = 0
        else:
            self._note_failed_start(fault.reason)

    def _note_failed_start(self, reason: str) -> None:
        self._failed_starts += 1
        self._last_fault = reason

    def _no_longer_wait_for_spare(self) -> None:
        if not self._spared.done():
            self._spared.set_result(None)

    def _promote(self) -> None:
        """Let a spare answer where nobody does."""
        ready = next((other for other in self._others if other.is_ready), None)
        if self.active is None and ready is not None:
            self._others.remove(ready)
            self.active = ready
        self._desk.serve()

    def _replace(self) -> None:
        """Start what is missing: at once, or after a wait if the last died at once."""
        if not self._failed_starts:
            self._fill()
        elif self._restart is None:
            doubled = 2.0 ** min(self._failed_starts - 1, _DOUBLINGS_MAX)
            delay_s = min(ISOLATED_BACKOFF_S_BASE * doubled, ISOLATED_BACKOFF_S_MAX)
            self._restart = self._loop.call_later(delay_s, self._try_again)

    def _try_again(self) -> None:
        self._restart = None
        self._fill()

    def _fill(self) -> None:
        try:
            while sum(1 for _ in self.workers) <= self._terms.spares:
                self._hire(trial=False)
        except OSError as error:
            _log.warning("no policy worker can be started: %s", error)
            self._note_failed_start(str(error))
            self._no_longer_wait_for_spare()
            self._replace()
            self._desk.serve()

    def _hire(self, *, trial: bool) -> None:
        begin = wire.frame(self._terms.begin(trial=trial))
        worker = Worker(
            self,
            self._argv,
            (begin, self._content),
            load_s=self._terms.load_s,
            deadline_s=self._terms.deadline_s,
        )
        self._started += 1
        self._others.append(worker)
