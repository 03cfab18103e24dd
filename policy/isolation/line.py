"""The questions that wait for a worker, oldest first, within bounds of their own.

Rule: a question is in the line or at a worker; it is settled once. One that a lost
worker had not begun goes back to the front, so the oldest always stands first.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator

from bus.core.policylimits import ISOLATED_QUESTIONS_BYTES_MAX, ISOLATED_QUESTIONS_MAX
from policy.evaluation import EvaluationError, Kind


class Question:
    """One question: its frame, and the future of the JSON text that answers it."""

    __slots__ = ("asked_s", "frame", "future", "number")

    def __init__(
        self,
        number: int,
        frame: bytes,
        future: "asyncio.Future[str | None]",
        asked_s: float,
    ) -> None:
        self.number = number
        self.frame = frame
        self.future = future
        self.asked_s = asked_s

    def answer(self, result: str | None) -> None:
        """Settle it, unless whoever asked is gone."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: EvaluationError) -> None:
        """Settle it without an answer, unless whoever asked is gone."""
        if not self.future.done():
            self.future.set_exception(error)


class Line:
    """Questions that no worker has. Counts those at workers too, for its bounds."""

    __slots__ = ("_bytes", "_open", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Question] = deque()
        self._open = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Question]:
        return iter(self._waiting)

    def admit(self, question: Question) -> None:
        """Put a new question last.

        Raises:
            EvaluationError: too many are open already.
        """
        size = len(question.frame)
        if self._open >= ISOLATED_QUESTIONS_MAX:
            raise EvaluationError(
                f"{self._open} questions are open; no more are taken, ask later",
                kind="unavailable",
            )
        if self._bytes + size > ISOLATED_QUESTIONS_BYTES_MAX:
            raise EvaluationError(
                f"{self._bytes} bytes of questions are open; ask later",
                kind="unavailable",
            )
        self._open += 1
        self._bytes += size
        self._waiting.append(question)

    def put_back(self, questions: Iterable[Question]) -> None:
        """Put questions that were sent and not begun first again, in their order."""
        still = [q for q in questions if not self._dismissed(q)]
        self._waiting.extendleft(reversed(still))

    def next(self) -> Question | None:
        """Take the oldest question that somebody still waits for."""
        while self._waiting:
            question = self._waiting.popleft()
            if not self._dismissed(question):
                return question
        return None

    def settled(self, question: Question) -> None:
        """Count a question as open no longer: every question ends here, once."""
        self._open -= 1
        self._bytes -= len(question.frame)

    def drop_settled(self) -> None:
        """Let go of those at the front that nobody waits for any more."""
        while self._waiting and self._dismissed(self._waiting[0]):
            self._waiting.popleft()

    def fail_all(self, reason: str, kind: Kind) -> None:
        """Fail what waits in the line."""
        while (question := self.next()) is not None:
            question.fail(EvaluationError(reason, kind=kind))
            self.settled(question)

    def _dismissed(self, question: Question) -> bool:
        if not question.future.done():
            return False
        self.settled(question)
        return True
