"""A replay as a whole: logs read once, questions decided by several processes.

Rule: memory is bounded. So many questions are kept and so many are under way; what is
told does not depend on the number of workers.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bus.core.errors import ConfigurationError, UnavailableError
from bus.core.limits import (
    REDECIDE_BATCH_QUESTIONS,
    REDECIDE_BATCHES_WAITING,
    REDECIDE_EXAMPLES_DEFAULT,
    REDECIDE_LINES_MAX,
    REDECIDE_QUESTIONS_MAX,
)
from policy.bundle import Bundle
from policy.replay import reading
from policy.replay.deciding import Decider, Question, Verdict
from policy.replay.differences import Example, Groups
from policy.replay.sorting import Asked, Counts, Lacking, Sorter

Verdicts = list[Verdict | None]


class Plan(msgspec.Struct, frozen=True):
    """What to replay, and how: `workers` processes, `examples` of each difference."""

    candidate: Bundle
    logs: tuple[Path, ...]
    workers: int = 1
    examples: int = REDECIDE_EXAMPLES_DEFAULT


class Replayed(msgspec.Struct, frozen=True):
    """What came of a replay. `read` are the candidate's input fields, None all of them.

    Of `unreadable` and `hidden` lines the first are listed. `revisions` are those of
    the decided lines, as recorded.
    """

    candidate: str
    read: tuple[str, ...] | None
    volatile: tuple[str, ...]
    counts: Counts
    revisions: dict[str, int]
    groups: Groups
    unreadable: list[Lacking]
    hidden: list[Lacking]


def replay(plan: Plan, advance: Callable[[int], None] = lambda _: None) -> Replayed:
    """Decide everything in the logs under the candidate.

    `advance` is told how many bytes of the logs were read since it was last told.

    Raises:
        PolicyLoadError: the candidate is refused.
        ConfigurationError: a log cannot be read, or there is too much of it.
        UnavailableError: a worker process ended by itself.
    """
    decider = Decider(plan.candidate)
    read = decider.dependencies
    sorter = Sorter(read, plan.examples)
    groups = Groups(plan.examples)
    with _crew(plan, decider) as crew:
        for line in reading.lines(plan.logs, advance):
            asked = sorter.sort(line)
            if sorter.counts.lines > REDECIDE_LINES_MAX:
                raise ConfigurationError(
                    f"more than {REDECIDE_LINES_MAX} decisions: "
                    "replay the logs a few at a time"
                )
            if asked is not None:
                crew.ask(asked)
            if sorter.size >= REDECIDE_QUESTIONS_MAX:
                _settle(crew, sorter, groups)
        _settle(crew, sorter, groups)
    return Replayed(
        candidate=plan.candidate.revision,
        read=None
        if read.input is None
        else tuple(sorted(".".join(path) for path in read.input)),
        volatile=tuple(sorted(read.volatile)),
        counts=sorter.counts,
        revisions=sorter.revisions,
        groups=groups,
        unreadable=sorter.unreadable,
        hidden=sorter.hidden,
    )


def _settle(crew: "_Crew", sorter: Sorter, groups: Groups) -> None:
    """Wait for all verdicts and count the differences, in the order of the log."""
    crew.finish()
    for asked in sorter.forget():
        verdict = asked.verdict
        if verdict is not None:
            sorter.counts.different += asked.count
            groups.add(verdict.kind, asked.count, _examples(asked, verdict))


def _examples(asked: Asked, verdict: Verdict) -> Iterator[Example]:
    for seen in asked.seen:
        yield Example(
            file=seen.file,
            line=seen.line,
            decision_id=seen.decision_id,
            message_id=seen.message_id,
            before=verdict.before,
            after=verdict.after,
            input=msgspec.json.decode(asked.question.read),
        )


class _Crew:
    """Hands questions to processes in batches; the first batch is decided here.

    So a short log starts no process.
    """

    def __init__(self, plan: Plan, decider: Decider) -> None:
        self._plan = plan
        self._decider = decider
        self._pool: ProcessPoolExecutor | None = None
        self._batch: list[Asked] = []
        self._waiting: deque[tuple[list[Asked], Future[Verdicts]]] = deque()
        self._batches = 0

    def ask(self, asked: Asked) -> None:
        """Take a question; wait where too many are under way."""
        self._batch.append(asked)
        if len(self._batch) >= REDECIDE_BATCH_QUESTIONS:
            self._send()

    def finish(self) -> None:
        """Wait for every verdict."""
        self._send()
        while self._waiting:
            self._receive()

    def close(self) -> None:
        """End the processes; what is under way is given up."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _send(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        self._batches += 1
        questions = [asked.question for asked in batch]
        if self._plan.workers == 1 or self._batches == 1:
            _note(batch, self._decider.answer(questions))
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._plan.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start,
                initargs=(self._plan.candidate,),
            )
        self._waiting.append((batch, self._pool.submit(_answer, questions)))
        if len(self._waiting) > self._plan.workers * REDECIDE_BATCHES_WAITING:
            self._receive()

    def _receive(self) -> None:
        batch, verdicts = self._waiting.popleft()
        _note(batch, verdicts.result())


def _note(batch: Sequence[Asked], verdicts: Verdicts) -> None:
    for asked, verdict in zip(batch, verdicts, strict=True):
        asked.verdict = verdict


@contextmanager
def _crew(plan: Plan, decider: Decider) -> Iterator[_Crew]:
    crew = _Crew(plan, decider)
    try:
        yield crew
    except BrokenProcessPool as error:
        raise UnavailableError(
            "a replay process ended by itself; there may be too little memory for "
            f"{plan.workers} of them"
        ) from error
    finally:
        crew.close()


_here: list[Decider] = []  # of a worker process: its one decider


def _start(candidate: Bundle) -> None:
    _here.append(Decider(candidate))


def _answer(questions: Sequence[Question]) -> Verdicts:
    return _here[0].answer(questions)
