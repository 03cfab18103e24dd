"""The event loop that a process runs on: uvloop where it is installed, else asyncio's own.

Rule: nothing but speed depends on it (docs/decisions/0025-the-edge.md).
"""

import asyncio
import importlib
import importlib.util
from typing import Final

ASYNCIO: Final = "asyncio"
UVLOOP: Final = "uvloop"


def available() -> tuple[str, ...]:
    """Return the loops that are installed; the last one is the one to be preferred."""
    found = importlib.util.find_spec(UVLOOP) is not None
    return (ASYNCIO, UVLOOP) if found else (ASYNCIO,)


def runner(loop: str | None = None) -> asyncio.Runner:
    """Return what runs coroutines on a loop of that name; on the preferred one if None.

    Raises `ModuleNotFoundError` if it is not installed.
    """
    if (loop or available()[-1]) == ASYNCIO:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=importlib.import_module(UVLOOP).new_event_loop)
