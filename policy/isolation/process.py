"""One worker process as its parent sees it: started, spoken to, watched, ended.

Rule: no task and no thread, only the loop's callbacks. A worker is over when its pipe
ends, when it says what it may not, or at a deadline; then it is killed, whatever it
does, and looked after until it is gone.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from bus.core.limits import ERROR_CHARS_MAX
from bus.core.policylimits import (
    ISOLATED_ANSWER_BYTES_MAX,
    ISOLATED_REAP_S_BASE,
    ISOLATED_REAP_S_MAX,
)
from policy.evaluation import EvaluationError, Kind
from policy.isolation import wire
from policy.isolation.launch import start
from policy.isolation.line import Question

_READ_BYTES: Final = 1 << 16
_log: Final = logging.getLogger("assent.policy.isolation")


class Fault(msgspec.Struct, frozen=True):
    """Why a worker was ended. Where `died`, it ended by itself, and its status tells."""

    kind: Kind
    reason: str
    died: bool = False


class Owner(Protocol):
    """Whoever keeps workers. Called from the loop's callbacks, and from `end`."""

    def ready(self, worker: "Worker", told: wire.Ready) -> None:
        """Hear that the policy is loaded."""

    def refused(self, worker: "Worker", told: wire.Refused) -> None:
        """Hear that the policy is not valid; `lost` follows."""

    def answered(self, worker: "Worker", question: Question) -> None:
        """Hear that a question was settled, and the worker has room for another."""

    def lost(self, worker: "Worker", fault: Fault) -> None:
        """Hear, once, that the worker is over. Its questions are in `asked`."""


class Worker:
    """A process with one policy. `asked` are the questions sent, the first begun.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        owner: Owner,
        argv: Sequence[str],
        content: Sequence[bytes],
        *,
        load_s: float,
        deadline_s: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self._load_s = load_s
        self._deadline_s = deadline_s
        self._frames = wire.Frames(ISOLATED_ANSWER_BYTES_MAX)
        self._space = memoryview(bytearray(_READ_BYTES))
        self._unsent: deque[memoryview] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.asked: deque[Question] = deque()
        self.is_ready = self.is_over = self.has_answered = False
        self.gone: asyncio.Future[int | None] = self._loop.create_future()
        self.started_s = self._loop.time()
        self._pipe, self._process = start(argv)
        self._loop.add_reader(self._pipe, self._readable)
        self._due(load_s)
        for part in content:
            self._write(part)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ask(self, question: Question) -> None:
        """Send a question; it is begun when those before it are settled."""
        self.asked.append(question)
        if len(self.asked) == 1:
            self._due(self._deadline_s)
        self._write(question.frame)

    def end(self, fault: Fault) -> None:
        """Kill the process and tell the owner; the second time it does nothing."""
        if self.is_over:
            return
        self.is_over = True
        self._loop.remove_reader(self._pipe)
        self._loop.remove_writer(self._pipe)
        self._pipe.close()
        self._no_longer_due()
        self._unsent.clear()
        self._process.kill()
        self._reap(ISOLATED_REAP_S_BASE)
        self._owner.lost(self, fault)

    def _write(self, content: bytes) -> None:
        if self._unsent:
            self._unsent.append(memoryview(content))
            return
        sent = self._send(content)
        if sent < len(content):
            self._unsent.append(memoryview(content)[sent:])
            self._loop.add_writer(self._pipe, self._writable)

    def _send(self, content: bytes | memoryview) -> int:
        try:
            return self._pipe.send(content)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return len(content)  # broken: the reader finds that out, and says so

    def _writable(self) -> None:
        sent = self._send(self._unsent[0])
        self._unsent[0] = self._unsent[0][sent:]
        if not self._unsent[0]:
            self._unsent.popleft()
        if not self._unsent:
            self._loop.remove_writer(self._pipe)

    def _readable(self) -> None:
        try:
            count = self._pipe.recv_into(self._space)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0  # reset: it ended with questions unread
        if not count:
            self.end(Fault("unavailable", "its worker ended", died=True))
            return
        self._frames.feed(self._space[:count])
        try:
            while not self.is_over and (found := self._frames.take()) is not None:
                self._hear(wire.read_told(found))
        except wire.FrameTooLongError as error:
            self.end(Fault("oversize", f"an answer of {error}"))
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            reason = f"its worker wrote what is no answer: {error}"
            self.end(Fault("malformed", reason[:ERROR_CHARS_MAX]))

    def _hear(self, told: wire.Told) -> None:
        match told:
            case wire.Ready() if not self.is_ready:
                self.is_ready = True
                self._no_longer_due()  # of the load, which is longer than a question
                self._owner.ready(self, told)
            case wire.Refused() if not self.is_ready:
                self._owner.refused(self, told)
                self.end(Fault("unavailable", f"it refused the policy: {told.reason}"))
            case wire.Answered() if self._is_for_first(told.number):
                question = self._settled()
                question.answer(told.result)
                self._owner.answered(self, question)
            case wire.Failed() if self._is_for_first(told.number):
                question = self._settled()
                question.fail(_error(told))
                self._owner.answered(self, question)
            case _:
                self.end(Fault("malformed", "its worker answered what was not asked"))

    def _is_for_first(self, number: int) -> bool:
        return bool(self.asked) and self.asked[0].number == number

    def _settled(self) -> Question:
        """Take the first question; the next is begun now."""
        self.has_answered = True
        question = self.asked.popleft()
        if self.asked:
            self._due(self._deadline_s)
        return question

    def _no_longer_due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self, delay_s: float) -> None:
        """Set the time at which the worker is overdue.

        The timer is not cancelled for each answer: it looks at the time when it rings,
        and is set again for what is due then.
        """
        self._due_s = self._loop.time() + delay_s
        if self._timer is None:
            self._timer = self._loop.call_at(self._due_s, self._rung)

    def _rung(self) -> None:
        self._timer = None
        if self._is_idle():
            return
        self._readable()  # an answer that is there came in time
        if self.is_over or self._is_idle():
            return
        if self._loop.time() < self._due_s:
            self._timer = self._loop.call_at(self._due_s, self._rung)
        elif self.is_ready:
            self.end(Fault("deadline", f"not evaluated within {self._deadline_s:g} s"))
        else:
            self.end(Fault("deadline", f"not loaded within {self._load_s:g} s"))

    def _is_idle(self) -> bool:
        return self.is_ready and not self.asked

    def _reap(self, delay_s: float) -> None:
        status = self._process.poll()
        if status is None and delay_s <= ISOLATED_REAP_S_MAX:
            self._loop.call_later(delay_s, self._reap, 2 * delay_s)
            return
        if status is None:
            _log.error("policy worker %d was killed and is still there", self.pid)
        if not self.gone.done():
            self.gone.set_result(status)


def _error(told: wire.Failed) -> EvaluationError:
    reason, file = told.reason[:ERROR_CHARS_MAX], told.file[:ERROR_CHARS_MAX]
    return EvaluationError(reason, file=file, line=told.line, kind=told.kind)
