"""Native engines, each dropped by the thread that made it.

Rule: a native engine may not be dropped on another thread, and the garbage collector
runs on any. So each thread keeps its engines itself; when an owner is gone, its engine
is only noted, and dropped when the thread makes the next one or ends.
"""

import itertools
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, Final


class _Home(threading.local):
    """One thread's engines by number, and the numbers whose owners are gone."""

    def __init__(self) -> None:
        self.kept: dict[int, Any] = {}
        self.gone: deque[int] = deque()
        self.numbers = itertools.count()


_home: Final = _Home()


def dropping() -> Iterator[None]:
    """Drop this thread's engines whose owners are gone, one in a step: 2 ms for a large."""
    while _home.gone:
        del _home.kept[_home.gone.popleft()]
        yield


def keep(owner: object, engine: Any) -> None:
    """Keep `engine` for as long as `owner` lives, and until this thread drops it."""
    for _ in dropping():
        pass
    number = next(_home.numbers)
    _home.kept[number] = engine
    weakref.finalize(owner, _home.gone.append, number).atexit = False
