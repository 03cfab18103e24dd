"""The isolated engine: the embedded one, asked in a process that can be ended.

Rule: a question waits at most `wait_s` for its turn and is evaluated for at most
`deadline_s`, counted from when its worker begins with it. Who ends a worker fails
alone; what was not begun is asked of the next. Nothing decides but a worker.
"""

import asyncio
import itertools
from collections.abc import Iterable, Iterator

from bus.core.limits import POLICY_INPUT_BYTES_MAX
from bus.core.policylimits import ISOLATED_AHEAD_MAX
from policy.deps import Dependencies
from policy.evaluation import Answer, EvaluationError
from policy.isolation import wire
from policy.isolation.line import Line, Question
from policy.isolation.staff import Staff, WorkerStats
from policy.isolation.terms import Terms


class IsolatedEngine:
    """Implements `policy.evaluation.AwaitedEvaluator`. Used on the loop that made it."""

    def __init__(self, revision: str, content: bytes, terms: Terms) -> None:
        self.revision = revision
        self._loop = asyncio.get_running_loop()
        self._wait_s = terms.wait_s
        self._numbers = itertools.count(1)
        self._line = Line()
        self._staff = Staff(self, content, terms)
        self._patience: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers: first of the one that answers, if any does."""
        return tuple(worker.pid for worker in self._staff.workers)

    def stats(self) -> WorkerStats:
        """Return the counts of workers since the start."""
        return self._staff.stats()

    async def open(self) -> Dependencies:
        """Load and try out the policy; return what its entry rule can read.

        Raises:
            PolicyLoadError: it is refused, or could not be loaded. Then call `close`.
        """
        return await self._staff.open()

    async def evaluate(self, rule: str, input_json: str) -> Answer:
        """Return the value of `rule`.

        A caller that is cancelled loses its answer, and nobody else's.

        Raises:
            EvaluationError: nothing was decided; `kind` says why.
        """
        self._check(input_json)
        number = next(self._numbers)
        frame = wire.frame(wire.Ask(number, rule, input_json))
        future: asyncio.Future[str | None] = self._loop.create_future()
        self._line.admit(Question(number, frame, future, self._loop.time()))
        self.serve()
        return Answer(await future, self.revision)

    async def close(self) -> None:
        """Fail what is open, kill every worker, and wait a bounded time for their end."""
        self._closed = True
        if self._patience is not None:
            self._patience.cancel()
        self._staff.dismiss()
        self._line.fail_all("the engine was closed", "unavailable")
        await self._staff.gone()

    def settled(self, question: Question) -> None:
        """Count a question a worker had as no longer open."""
        self._line.settled(question)

    def returned(self, questions: Iterable[Question]) -> None:
        """Put what a lost worker had not begun at the front again."""
        self._line.put_back(questions)

    def serve(self) -> None:
        """Send what may be sent, and see to it that nothing waits for ever."""
        worker = self._staff.active
        if worker is not None:
            while len(worker.asked) < ISOLATED_AHEAD_MAX:
                question = self._line.next()
                if question is None:
                    break
                worker.ask(question)
        elif down := self._staff.down:
            self._line.fail_all(down, "unavailable")
        if self._patience is None and next(self._not_begun(), None) is not None:
            self._patience = self._loop.call_later(self._wait_s, self._lose_patience)

    def _check(self, input_json: str) -> None:
        if self._closed:
            raise EvaluationError("the engine is closed", kind="unavailable")
        if down := self._staff.down:
            raise EvaluationError(down, kind="unavailable")
        try:
            size = len(input_json.encode())
        except UnicodeEncodeError as error:
            raise EvaluationError(f"input: {error.reason}", kind="input") from None
        if size > POLICY_INPUT_BYTES_MAX:
            raise EvaluationError(
                f"input: {size} bytes; {POLICY_INPUT_BYTES_MAX} are allowed",
                kind="input",
            )

    def _not_begun(self) -> Iterator[Question]:
        """Yield the questions that are not begun, oldest first."""
        worker = self._staff.active
        if worker is not None:
            yield from itertools.islice(worker.asked, 1, None)
        yield from self._line

    def _lose_patience(self) -> None:
        """Fail those whose turn did not come in time; look again when the next is due."""
        self._patience = None
        now_s = self._loop.time()
        for question in self._not_begun():
            until_s = question.asked_s + self._wait_s
            if until_s > now_s:
                self._patience = self._loop.call_at(until_s, self._lose_patience)
                break
            reason = f"its turn did not come within {self._wait_s:g} s"
            question.fail(EvaluationError(reason, kind="deadline"))
        self._line.drop_settled()
