"""Long work in slices, so that the loop waits for one of them and not for all.

Rule: whoever holds the interpreter, on the loop's thread or on another, holds it for one
slice. On the loop the work is a generator that is driven with the others' turns between
its steps; on a thread it counts what it did and sleeps after each slice. Without sleep,
Python would make the loop wait 5 ms for every turn of its own.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, ParamSpec, TypeVar

from bus.core.policylimits import (
    POLICY_SLICE_BYTES,
    POLICY_SLICE_ENTRIES,
    POLICY_SLICE_PAUSE_S,
)

P = ParamSpec("P")
T = TypeVar("T")

Steps = Generator[None, None, T]
"""Work that yields wherever it may be left for a while, and returns what it made."""


class _Pace(threading.local):
    """Whether this thread gives way, and how many bytes it has handled since it did."""

    def __init__(self) -> None:
        self.paced = False
        self.handled = 0


_pace = _Pace()


def breathe(handled: int) -> None:
    """Count `handled` bytes of work; on a paced thread, sleep when a slice is full."""
    pace = _pace
    if not pace.paced:
        return
    pace.handled += handled
    if pace.handled >= POLICY_SLICE_BYTES:
        pace.handled = 0
        time.sleep(POLICY_SLICE_PAUSE_S)


async def beside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` returns; it runs on a paced thread, which cancelling leaves be."""
    return await asyncio.to_thread(_paced, lambda: work(*args, **kwargs))


def exhaust(steps: Steps[T]) -> T:
    """Do all steps at once and return what they made."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made: T = end.value
            return made


async def drive(steps: Steps[T]) -> T:
    """Do one step after the other, with a pause for the loop's others between them.

    When it is cancelled, the rest is not done.
    """
    try:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                made: T = end.value
                return made
            # Not 0: a program that never sleeps is what a busy machine makes wait.
            await asyncio.sleep(POLICY_SLICE_PAUSE_S)
    finally:
        steps.close()


def later(steps: Steps[None]) -> None:
    """Do one step in each turn of the loop that runs, without anybody waiting for it."""
    try:
        next(steps)
    except StopIteration:
        return
    asyncio.get_running_loop().call_soon(later, steps)


def letting_go(held: list[Any]) -> Steps[None]:
    """Empty a list of what nobody else holds any more, some of it in a step."""
    while held:
        yield  # first: the caller lets go of what else holds it
        del held[-POLICY_SLICE_ENTRIES:]


def _paced(work: Callable[[], T]) -> T:
    _pace.paced, _pace.handled = True, 0
    try:
        return work()
    finally:
        _pace.paced = False
