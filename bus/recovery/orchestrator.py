"""Finds what is unwell and brings it back: checks, attempts, breakers, orders.

Rule: the table of `bus.core.recovering` decides what follows; this file only brings it
time, chance and the outcomes of awaited calls. A step is told after it was taken.
"""

from collections.abc import Callable
from typing import Final

from bus.core import breaker
from bus.core.errors import LimitExceededError, MalformedMessageError, UsageError
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.names import check_name
from bus.core.recovering import DEFAULTS, TRANSITIONS, Care, Event, State
from bus.core.recoverylimits import RECOVERY_COMPONENTS_MAX
from bus.ports import Clock
from bus.recovery.case import Case
from bus.recovery.component import (
    Component,
    NotAwaitedError,
    Status,
    Transition,
    UnknownComponentError,
)
from bus.recovery.course import WELL, Course
from bus.recovery.running import Spawn

_NS_PER_MS: Final = 1_000_000
_ON_ITS_WAY: Final = frozenset({State.SCHEDULED, State.IN_PROGRESS})


class Orchestrator:
    """Supervises components. Used on one loop; nothing here waits.

    `spawn` runs a task, `tell` gets every transition once and in order, and may call
    back; `draw` returns a number from 0 up to 1, for the jitter.
    """

    def __init__(
        self,
        clock: Clock,
        spawn: Spawn,
        tell: Callable[[Transition], None],
        draw: Callable[[], float],
    ) -> None:
        self._cases: dict[str, Case] = {}
        self._course = Course(clock, spawn, tell, draw, self._cases)
        self._stopped = False

    def register(self, component: Component, care: Care | None = None) -> None:
        """Supervise a component, with the care of its kind unless another is given.

        Its first check comes at a random time within `check_s`.

        Raises:
            UsageError: a name that is no name, or taken; or it was stopped.
            LimitExceededError: `RECOVERY_COMPONENTS_MAX` are supervised.
        """
        name = component.name
        self._not_stopped()
        try:
            check_name("component", name)
        except MalformedMessageError as error:
            raise UsageError(str(error)) from None
        if name in self._cases:
            raise UsageError(f"{name!r} is supervised already; unregister it first")
        if len(self._cases) >= RECOVERY_COMPONENTS_MAX:
            raise LimitExceededError(
                "supervised components",
                actual=len(self._cases) + 1,
                allowed=RECOVERY_COMPONENTS_MAX,
            )
        case = Case(component, DEFAULTS[component.kind] if care is None else care)
        self._cases[name] = case
        self._course.admit(case)
        self._course.times.go()

    def unregister(self, name: str) -> None:
        """Supervise it no longer; what is under way is cancelled.

        Raises:
            UnknownComponentError: there is none of that name.
        """
        case = self._case(name)
        self._drop(case, "unregistered")
        del self._cases[name]
        self._course.times.go()

    def report(self, name: str, error: BaseException) -> None:
        """Take a component's own word that it failed, without waiting for a check.

        While its recovery is planned, under way or awaited this is no news, and counts
        for nothing. After `stop` it does nothing.

        Raises:
            UnknownComponentError: there is none of that name.
        """
        if self._stopped:
            return
        case = self._case(name)
        if case.state in WELL:
            self._course.fail(case, error)
            self._course.times.go()

    def trip(self, name: str, error: BaseException) -> None:
        """Open a component's breaker, as if it had failed as often as that takes.

        What follows is what follows any failure. After `stop` it does nothing.

        Raises:
            UnknownComponentError: there is none of that name.
        """
        if self._stopped:
            return
        self._course.trip(self._case(name), error)
        self._course.times.go()

    def approve(self, name: str, *, by: str = "") -> None:
        """Order an attempt now; an open breaker does not keep it back.

        For what awaits it, and for what has failed or was cancelled.

        Raises:
            UnknownComponentError: there is none of that name.
            NotAwaitedError: it is in no such state.
        """
        self._course.approve(self._ordered(name, Event.APPROVE), by)
        self._course.times.go()

    def cancel(self, name: str, *, by: str = "") -> None:
        """Give up a recovery. An action under way is cancelled.

        The component is left alone until a check finds it well, or `approve`.

        Raises:
            UnknownComponentError: there is none of that name.
            NotAwaitedError: there is nothing to cancel.
        """
        case = self._ordered(name, Event.CANCEL)
        self._course.cancel(case, case.error, by)
        self._course.times.go()

    def start(self) -> None:
        """Begin to check and to act. Needs a running loop."""
        self._not_stopped()
        self._course.times.start()

    def stop(self) -> None:
        """Do nothing any more. What is under way is cancelled; `spawn`'s owner waits."""
        if self._stopped:
            return
        self._stopped = True
        self._course.times.stop()
        for case in self._cases.values():
            self._drop(case, "stopped")
        self._course.times.go()

    def status(self) -> tuple[Status, ...]:
        """Return where every component stands, by name."""
        return tuple(self._status(*item) for item in sorted(self._cases.items()))

    def history(self, name: str | None = None) -> tuple[Transition, ...]:
        """Return the transitions kept, oldest first: all, or those of one component."""
        kept = self._course.ledger.kept
        return tuple(t for t in kept if name in (None, t.component))

    def breakers(self) -> tuple[breaker.State, ...]:
        """Return the states of all breakers, for the health score."""
        return tuple(case.breaker.state for case in self._cases.values())

    def health(self) -> tuple[bool, str]:
        """Tell whether nothing waits to be brought back, and if not, what does."""
        unwell = [
            f"{name} {case.state.value}: {case.error}"
            for name, case in sorted(self._cases.items())
            if case.state not in WELL
        ]
        if unwell:
            return False, "; ".join(unwell)[:ERROR_CHARS_MAX]
        return True, f"{len(self._cases)} components"

    def _not_stopped(self) -> None:
        if self._stopped:
            raise UsageError("this orchestrator was stopped; make another one")

    def _case(self, name: str) -> Case:
        try:
            return self._cases[name]
        except KeyError:
            raise UnknownComponentError(
                f"no component {name!r} is supervised"
            ) from None

    def _ordered(self, name: str, event: Event) -> Case:
        """Return the case an operator has an order for, if it may be given."""
        case = self._case(name)
        if self._stopped:
            raise NotAwaitedError("recovery is stopped")
        if (case.state, event) not in TRANSITIONS:
            raise NotAwaitedError(
                f"{name} is {case.state.value}: there is nothing to {event.value}"
            )
        return case

    def _drop(self, case: Case, why: str) -> None:
        """Leave a component alone, whatever was planned or under way."""
        if case.state in _ON_ITS_WAY:
            self._course.cancel(case, why)
        else:
            self._course.drop_run(case)
        self._course.times.drop(case.component.name)

    def _status(self, name: str, case: Case) -> Status:
        due_ns = self._course.times.due_ns(name)
        wait_ms = -1
        if due_ns is not None:
            wait_ms = max(0, due_ns - self._course.times.now_ns()) // _NS_PER_MS
        return Status(
            component=name,
            kind=case.component.kind,
            priority=case.care.priority,
            state=case.state,
            breaker=case.breaker.state,
            attempt=case.attempt,
            attempts=case.care.policy.attempts,
            wait_ms=wait_ms,
            error=case.error,
        )
