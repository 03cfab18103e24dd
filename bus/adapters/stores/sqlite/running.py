"""Where a store's blocking work is done: in a thread of its own, or in the loop itself.

Rule: work is done in the order it was given, and what came of it is told in the loop,
in that order. `Inline` is for tests that must be repeatable to the step.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

T = TypeVar("T")
Ending = Callable[[object, Exception | None], None]
"""Told what a piece of work returned, or what it raised."""


class Runner(Protocol):
    """Does blocking work."""

    def start(self) -> None:
        """Begin; the loop that runs now is told of the endings."""

    def call(self, work: Callable[[], object], ending: Ending) -> None:
        """Have something done."""

    def stop(self) -> None:
        """Do what was given, and no more."""


class Threaded:
    """One thread. It keeps nothing from exiting."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: queue.SimpleQueue[tuple[Callable[[], object], Ending] | None]
        self._queue = queue.SimpleQueue()

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.get_running_loop()
        self._queue = queue.SimpleQueue()
        threading.Thread(
            target=self._run,
            args=(self._loop, self._queue),
            name=self._name,
            daemon=True,
        ).start()

    def call(self, work: Callable[[], object], ending: Ending) -> None:
        """Queue it."""
        self._queue.put((work, ending))

    def stop(self) -> None:
        """Let the thread end."""
        self._queue.put(None)

    @staticmethod
    def _run(
        loop: asyncio.AbstractEventLoop,
        jobs: "queue.SimpleQueue[tuple[Callable[[], object], Ending] | None]",
    ) -> None:
        while (job := jobs.get()) is not None:
            work, ending = job
            result, error = _done(work)
            # With the loop closed nobody is left who could be told.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ending, result, error)
            del job, work, ending, result, error


class Inline:
    """A turn of the loop for each piece of work."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Remember the loop."""
        self._loop = asyncio.get_running_loop()

    def call(self, work: Callable[[], object], ending: Ending) -> None:
        """Do it in the loop's next turn."""
        if self._loop is not None:
            self._loop.call_soon(self._step, work, ending)

    def stop(self) -> None:
        """There is nothing to end."""

    @staticmethod
    def _step(work: Callable[[], object], ending: Ending) -> None:
        ending(*_done(work))


async def ask(runner: Runner, work: Callable[[], T]) -> T:
    """Have something done and return what it returns; raises what it raises."""
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def ending(result: object, error: Exception | None) -> None:
        if answer.done():
            return  # whoever asked has gone
        if error is None:
            answer.set_result(cast("T", result))
        else:
            answer.set_exception(error)

    runner.call(work, ending)
    return await answer


def _done(work: Callable[[], object]) -> tuple[object, Exception | None]:
    try:
        return work(), None
    except Exception as error:  # noqa: BLE001 - it is told to whoever gave the work
        return None, error
