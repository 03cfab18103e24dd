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
from typing import ParamSpec, TypeVar

from bus.core.limits import POLICY_SLICE_BYTES, POLICY_SLICE_PAUSE_S

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
    return await asyncio.to_thread(_paced, work, *args, **kwargs)


def exhaust(steps: Steps[T]) -> T:
    """Do all steps at once and return what they made."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made: T = end.value
            return made


async def drive(steps: Steps[T]) -> T:
    """Do one step for each turn of the loop; when cancelled, the rest is not done."""
    try:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                made: T = end.value
                return made
            await asyncio.sleep(0)
    finally:
        steps.close()


def _paced(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    _pace.paced, _pace.handled = True, 0
    try:
        return work(*args, **kwargs)
    finally:
        _pace.paced = False
