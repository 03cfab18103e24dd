"""The tasks of one bus: started here, ended here, and none forgotten.

Rule: a task that fails stops the bus, loudly. Ending waits for tasks that clean up,
but not for ever: one that swallows its cancellation is named and left behind, which
`asyncio.TaskGroup` cannot do.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

_log: Final = logging.getLogger("assent.crew")


class Crew:
    """Starts tasks. `failed` is told of the first exception that escapes one."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` until it ends or the crew does."""
        task = self.employ(work, name)
        del task  # the crew keeps it

    def employ(
        self, work: Coroutine[Any, Any, None], name: str
    ) -> "asyncio.Task[None]":
        """Do as `start`, for a caller who wants the task."""
        # In a context of its own: what a handler has open is not handed to the bus's tasks.
        task = asyncio.get_running_loop().create_task(
            work, name=name, context=contextvars.Context()
        )
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def end(self, grace_s: float) -> list[str]:
        """Cancel every task and wait at most `grace_s`; return who is still at it."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=grace_s)
        left = sorted(task.get_name() for task in tasks if not task.done())
        for name in left:
            _log.error("%s swallows its cancellation and was left behind", name)
        return left

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)
            self._failed(error)
