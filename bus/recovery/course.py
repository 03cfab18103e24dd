"""The course of recoveries: what follows when a run ends, and when the next begins.

Rule: the table of `bus.core.recovering` decides what follows a failure; this file brings
it time and chance, and plans what the new state waits for.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from bus.core import recovering
from bus.core.recovering import Event, State
from bus.core.recoverylimits import RECOVERIES_AT_ONCE, RECOVERY_CHECKS_AT_ONCE
from bus.ports import Clock
from bus.recovery.agenda import Lane
from bus.recovery.case import Case
from bus.recovery.component import Transition, said
from bus.recovery.ledger import Ledger
from bus.recovery.running import Run, Spawn
from bus.recovery.timetable import Timetable

_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000
WELL: Final = frozenset({State.IDLE, State.SUCCEEDED})
"""States in which a failure is news."""


class Course:
    """Takes each case from state to state. `cases` is the owner's, by name."""

    def __init__(
        self,
        clock: Clock,
        spawn: Spawn,
        tell: Callable[[Transition], None],
        draw: Callable[[], float],
        cases: Mapping[str, Case],
    ) -> None:
        self._clock = clock
        self._spawn = spawn
        self._draw = draw
        self._cases = cases
        self.ledger = Ledger(tell)
        self.times = Timetable(
            clock,
            {"act": RECOVERIES_AT_ONCE, "check": RECOVERY_CHECKS_AT_ONCE},
            self._begin,
            self.ledger.flush,
        )

    def admit(self, case: Case) -> None:
        """Plan the first check: at a random time, so that not all come at once."""
        case.since_ns = now_ns = self.times.now_ns()
        self._plan(case, now_ns + int(case.care.check_s * self._draw() * _NS_PER_S))

    def fail(self, case: Case, error: BaseException) -> None:
        """Take note that a case which counted as well has failed."""
        now_ns = self.times.now_ns()
        self.drop_run(case)
        case.fail_breaker(now_ns)
        self._failed(case, error, now_ns)

    def trip(self, case: Case, error: BaseException) -> None:
        """Open the breaker; a case that counted as well has failed."""
        if case.state is not State.IN_PROGRESS:
            self.drop_run(case)
        now_ns = self.times.now_ns()
        for _ in range(case.care.failures_max):
            case.fail_breaker(now_ns)
        if case.state in WELL:
            self._failed(case, error, now_ns)
        elif case.state is State.CANCELLED:
            self._plan_check(case)

    def approve(self, case: Case, by: str) -> None:
        """Make the next attempt due now; a new round unless it was waited for."""
        if case.state is not State.AWAITING_MANUAL:
            case.attempt = 0
        self.drop_run(case)
        case.approved = True
        self._move(case, Event.APPROVE, detail=case.error, by=by)
        self._plan(case, self.times.now_ns())

    def cancel(self, case: Case, detail: str, by: str = "") -> None:
        """Give up what is planned or under way."""
        self.drop_run(case)
        case.approved = False
        self._move(case, Event.CANCEL, detail=detail, by=by)
        self._plan_check(case)

    def drop_run(self, case: Case) -> None:
        """Give up what is under way; its slot is free."""
        run = case.drop_run()
        if run is not None:
            self.times.free(run.lane)

    def _begin(self, name: str, lane: Lane, now_ns: int) -> bool:
        """Begin what is due for a component, unless its breaker says later."""
        case = self._cases[name]
        ticket = case.breaker.admit(now_ns)
        if ticket is None and not case.approved:
            self._plan(case, now_ns + _NS_PER_MS)
            return False
        run = case.run = Run(
            case.component,
            case.care,
            clock=self._clock,
            left=case.left,
            ended=partial(self._ended, case),
        )
        run.ticket, run.lane = ticket, lane
        if lane == "check":
            run.check(self._spawn)
            return True
        look_first = case.state is State.FAILED
        case.approved = False
        case.attempt += 1
        self._move(case, Event.BEGIN, detail=case.component.action)
        run.attempt(self._spawn, look_first=look_first)
        return True

    def _ended(self, case: Case, run: Run, error: BaseException | None) -> None:
        """Take note of how a run ended."""
        case.run = None
        self.times.free(run.lane)
        now_ns = self.times.now_ns()
        if isinstance(error, asyncio.CancelledError):
            case.abandoned(run.ticket)
            if run.lane == "act":
                self.cancel(case, "its task was cancelled")
            else:
                self._plan_check(case)
        elif error is not None:
            case.failed(run.ticket, now_ns)
            self._unwell(case, error, now_ns)
        else:
            case.succeeded(run.ticket)
            self._well(case, run, now_ns)
        self.times.go()

    def _well(self, case: Case, run: Run, now_ns: int) -> None:
        if run.lane == "act":
            case.error = ""
            how = case.component.action if run.acted else "well by itself"
            self._move(case, Event.SUCCEED, detail=how)
        elif case.state is State.CANCELLED or (
            case.state is State.SUCCEEDED and now_ns - case.since_ns >= case.reset_ns
        ):
            case.error = ""
            case.attempt = 0
            self._move(case, Event.SETTLE, detail="well")
        self._plan_check(case)

    def _unwell(self, case: Case, error: BaseException, now_ns: int) -> None:
        if case.state is State.CANCELLED:  # left alone, as ordered
            case.error = said(error)
            self._plan_check(case)
        else:
            self._failed(case, error, now_ns)

    def _failed(self, case: Case, error: BaseException, now_ns: int) -> None:
        """Take the step that follows a failure, and plan for it."""
        case.error = said(error)
        policy = case.care.policy
        event = recovering.after_failure(policy, case.attempt)
        wait_ns = 0
        if event is Event.SCHEDULE:
            drawn = recovering.delay_ms(policy, case.attempt + 1, self._draw())
            wait_ns = max(drawn * _NS_PER_MS, case.breaker.wait_ns(now_ns))
        self._move(case, event, detail=case.error, delay_ms=-(-wait_ns // _NS_PER_MS))
        if event is Event.HOLD:
            self.times.drop(case.component.name)
        else:
            again_ns = case.reset_ns if event is Event.EXHAUST else wait_ns
            self._plan(case, now_ns + again_ns)

    def _plan_check(self, case: Case) -> None:
        now_ns = self.times.now_ns()
        self._plan(case, now_ns + int(case.care.check_s * _NS_PER_S))

    def _plan(self, case: Case, due_ns: int) -> None:
        """Plan what the state waits for, not before the breaker lets it through."""
        if not case.approved:
            now_ns = self.times.now_ns()
            due_ns = max(due_ns, now_ns + case.breaker.wait_ns(now_ns))
        acts = case.state in (State.SCHEDULED, State.FAILED)
        lane: Lane = "act" if acts else "check"
        self.times.put(case.component.name, lane, due_ns, case.care.priority)

    def _move(
        self, case: Case, event: Event, *, detail: str, delay_ms: int = 0, by: str = ""
    ) -> None:
        before = case.state
        case.state = recovering.advance(before, event)
        case.since_ns = self.times.now_ns()
        self.ledger.note(
            Transition(
                at_ns=self._clock.now_ns(),
                component=case.component.name,
                kind=case.component.kind,
                before=before,
                after=case.state,
                event=event,
                attempt=case.attempt,
                attempts=case.care.policy.attempts,
                breaker=case.breaker.state,
                delay_ms=delay_ms,
                detail=detail,
                by=by,
            )
        )
