"""What waits to be kept, and whether it can be kept now.

A submission is a plain tuple: there is one for each message, and it is made and taken
apart in the loop's thread.
"""

import asyncio
import enum
from collections.abc import Sequence
from typing import Final

from bus.core.changes import (
    Append,
    Bounds,
    Change,
    DropLetter,
    Retry,
    Settle,
    Trimmed,
    Wake,
)
from bus.storing import Done

Submission = tuple[Sequence[Change], Done, int]
"""The changes of one transaction, who is told, and the bytes of their entries."""

_LIGHT: Final = frozenset({Settle, Retry, Wake, DropLetter})


class Standing(enum.Enum):
    """Whether something can be kept."""

    SHUT = "not open"
    READY = "ready"
    STALLED = "stalled"  # not now; it is tried again
    STOPPED = "stopped"  # not before the file is opened anew


class Cut:
    """Who is told of a submission that cuts a stream, which has no changes."""

    def __init__(self, stream: int, bounds: Bounds) -> None:
        self.stream = stream
        self.bounds = bounds
        self.trimmed: Trimmed | None = None
        self.answer: asyncio.Future[Trimmed]
        self.answer = asyncio.get_running_loop().create_future()

    def __call__(self, error: Exception | None) -> None:
        """Tell whoever asked for it, unless they have gone."""
        if self.answer.done():
            return
        if error is not None:
            self.answer.set_exception(error)
        elif self.trimmed is not None:
            self.answer.set_result(self.trimmed)


def size_of(changes: Sequence[Change]) -> int:
    """Return the bytes of the entries in changes."""
    return sum(len(change.entry) for change in changes if type(change) is Append)


def light(submission: Submission) -> bool:
    """Tell whether it only lets go of what is there: then it is never refused."""
    changes = submission[0]
    return bool(changes) and all(type(change) in _LIGHT for change in changes)


def probe() -> Submission:
    """Return one that changes nothing, to see whether anything can be kept."""
    return (), _nobody, 0


def _nobody(_: Exception | None) -> None:
    return None
