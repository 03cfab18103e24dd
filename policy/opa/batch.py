"""Questions that come up in one turn of the loop are put to the server together.

Rule: nobody works for the others but one of them. Who comes first waits a turn, sends
what has gathered and hands out the answers; where it is cancelled, another sends anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from bus.core.policylimits import OPA_BATCH_BYTES_MAX, OPA_BATCH_QUESTIONS_MAX
from policy.evaluation import Answer, EvaluationError

Ending = Answer | EvaluationError
Told = Ending | None
"""How a question ended; None asks who waits for it to send the batch anew."""
Send = Callable[[str, list[bytes], float], Awaitable[list[Ending]]]
"""Puts inputs to a rule within so many seconds; returns how each ended, in order."""


class _Batch:
    """Questions on one rule: inputs, and who waits for each. The first one leads."""

    __slots__ = ("inputs", "rule", "size", "waiting")

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.size = 0
        self.inputs: list[bytes] = []
        self.waiting: list[asyncio.Future[Told]] = []

    def add(self, content: bytes) -> None:
        self.inputs.append(content)
        self.waiting.append(asyncio.get_running_loop().create_future())
        self.size += len(content)

    def takes(self, content: bytes) -> bool:
        return (
            len(self.inputs) < OPA_BATCH_QUESTIONS_MAX
            and self.size + len(content) <= OPA_BATCH_BYTES_MAX
        )

    def settle(self, told: list[Ending]) -> None:
        for waiter, each in zip(self.waiting, told, strict=True):
            if not waiter.done():
                waiter.set_result(each)

    def hand_over(self) -> None:
        """Let the first who still waits send it; those who left are left out."""
        left = [
            (content, waiter)
            for content, waiter in zip(self.inputs, self.waiting, strict=True)
            if not waiter.done()
        ]
        self.inputs = [content for content, _ in left]
        self.waiting = [waiter for _, waiter in left]
        if self.waiting:
            self.waiting[0].set_result(None)


class Batcher:
    """Gathers questions by rule, for one turn of the loop each time."""

    __slots__ = ("_deadline_s", "_gathering", "_send")

    def __init__(self, send: Send, deadline_s: float) -> None:
        self._send: Final = send
        self._deadline_s: Final = deadline_s
        self._gathering: dict[str, _Batch] = {}

    async def ask(self, rule: str, content: bytes) -> Answer:
        """Return the answer to one question. Cancelling it fails nobody else's.

        Raises:
            EvaluationError: nothing was decided.
        """
        batch = self._gathering.get(rule)
        if batch is not None and batch.takes(content):
            batch.add(content)
            return await self._follow(batch, batch.waiting[-1])
        batch = self._gathering[rule] = _Batch(rule)
        batch.add(content)
        try:
            await asyncio.sleep(0)
        except BaseException:
            self._stop_gathering(batch)
            batch.waiting[0].cancel()
            batch.hand_over()
            raise
        self._stop_gathering(batch)
        return await self._lead(batch, self._deadline_s)

    def _stop_gathering(self, batch: _Batch) -> None:
        if self._gathering.get(batch.rule) is batch:
            del self._gathering[batch.rule]

    async def _follow(self, batch: _Batch, waiter: asyncio.Future[Told]) -> Answer:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._deadline_s
        try:
            told = await waiter
        except BaseException:
            # It may have been asked to lead in the same turn as it was cancelled.
            if not waiter.cancelled() and waiter.result() is None:
                batch.hand_over()
            raise
        if told is not None:
            return _or_raise(told)
        batch.waiting[0] = loop.create_future()
        return await self._lead(batch, due_s - loop.time())

    async def _lead(self, batch: _Batch, deadline_s: float) -> Answer:
        try:
            told = await self._send(batch.rule, batch.inputs, deadline_s)
        except EvaluationError as error:
            told = [error] * len(batch.inputs)
        except BaseException:
            batch.waiting[0].cancel()
            batch.hand_over()
            raise
        batch.settle(told)
        return _or_raise(told[0])


def _or_raise(told: Ending) -> Answer:
    if isinstance(told, Answer):
        return told
    # One of its own for each who asked: a traceback grows with each raise.
    raise EvaluationError(
        told.reason,
        file=told.file,
        line=told.line,
        kind=told.kind,
        said=told.said,
    ) from None
