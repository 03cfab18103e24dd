"""One check, or one attempt to bring a component back, under way.

Rule: a run ends once, at its time limit at the latest, whatever its task still does. A
task that outlives its run blocks nothing but the next call of the same method.
"""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal

from bus.core.recovering import Care
from bus.ports import Clock, Timer
from bus.recovery.agenda import Lane
from bus.recovery.component import Component, UnwellError

Spawn = Callable[[Coroutine[Any, Any, None], str], None]
Phase = Literal["check", "recover"]


class Left:
    """Calls of one component's methods that were given up and have not ended yet."""

    __slots__ = ("tasks",)

    def __init__(self) -> None:
        self.tasks: dict[Phase, asyncio.Task[Any]] = {}

    def put(self, phase: Phase, task: "asyncio.Task[Any]") -> None:
        """Remember a task that may go on for a while."""
        self.tasks[phase] = task

    async def gone(self, phase: Phase) -> None:
        """Wait until no earlier call of this method goes on."""
        task = self.tasks.get(phase)
        if task is not None and not task.done():
            await asyncio.wait((task,))
        self.tasks.pop(phase, None)


class Run:
    """Calls a component's methods in order. `ended` is told once how that went.

    It is told None where all returned, what one raised, or `CancelledError` where the
    task was cancelled by somebody else; and nothing after `give_up`.
    """

    def __init__(
        self,
        component: Component,
        care: Care,
        *,
        clock: Clock,
        left: Left,
        ended: Callable[["Run", BaseException | None], None],
    ) -> None:
        self.ticket: int | None = None  # of the breaker
        self.lane: Lane = "check"  # whose slot it has
        self.acted = False  # whether the action was carried out
        self._component = component
        self._care = care
        self._clock = clock
        self._left = left
        self._ended = ended
        self._over = False
        self._task: asyncio.Task[Any] | None = None
        self._timer: Timer | None = None
        self._phase: Phase = "check"
        self._calling = False

    def check(self, spawn: Spawn) -> None:
        """Ask the component whether it is well."""
        self._enter("check")
        self._start(spawn, self._call_check, "check")

    def attempt(self, spawn: Spawn, *, look_first: bool) -> None:
        """Bring the component back, then check it; not if `look_first` finds it well."""
        self._enter("check" if look_first else "recover")
        self._start(spawn, self._look_and_act if look_first else self._act, "recovery")

    def give_up(self) -> None:
        """End it here. Its task is cancelled, and nobody waits for it."""
        self._over = True
        self._disarm()
        task = self._task
        if task is not None and not task.done():
            if self._calling:
                self._left.put(self._phase, task)
            task.cancel()

    def _start(
        self, spawn: Spawn, steps: Callable[[], Awaitable[None]], what: str
    ) -> None:
        spawn(self._work(steps), f"assent {what} of {self._component.name}")

    async def _work(self, steps: Callable[[], Awaitable[None]]) -> None:
        self._task = task = asyncio.current_task()
        if self._over or task is None:
            return
        try:
            await steps()
        except asyncio.CancelledError as error:
            if task.cancelling():
                self._end(error)
                raise
            self._end(UnwellError(f"{self._phase} ended as cancelled, by nobody"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is wrong
            self._end(error)
        else:
            self._end(None)

    async def _look_and_act(self) -> None:
        with contextlib.suppress(Exception):  # then it is not well, and acting is due
            await self._call_check()
            return
        await self._act()

    async def _act(self) -> None:
        await self._call("recover", self._component.recover)
        self.acted = True
        await self._call_check()

    async def _call_check(self) -> None:
        await self._call("check", self._component.check)

    async def _call(
        self, phase: Phase, method: Callable[[], Awaitable[object]]
    ) -> None:
        """Call a method under its time limit; what it returns must be nothing."""
        if self._over:  # the call before swallowed its cancellation
            raise asyncio.CancelledError
        self._enter(phase)
        await self._left.gone(phase)
        self._calling = True
        try:
            found = await method()
        finally:
            self._calling = False
        if found is None:
            return
        if inspect.iscoroutine(found):
            found.close()
        raise UnwellError(
            f"{phase} returned {type(found).__name__}; it says what is wrong by raising"
        )

    def _enter(self, phase: Phase) -> None:
        self._disarm()
        self._phase = phase
        self._timer = self._clock.call_after(self._limit_s, self._overrun)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @property
    def _limit_s(self) -> float:
        care = self._care
        return care.check_wait_s if self._phase == "check" else care.act_wait_s

    def _overrun(self) -> None:
        why = "not ended" if self._calling else "not begun: the one before goes on"
        self.give_up()
        self._ended(self, UnwellError(f"{self._phase}: {why} in {self._limit_s:g} s"))

    def _end(self, error: BaseException | None) -> None:
        if self._over:
            return
        self._over = True
        self._disarm()
        self._ended(self, error)
