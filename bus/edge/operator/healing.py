"""Recovery: the node's parts, what happened to them, and what waits for a person.

Rule: parts are the node's, not a tenant's, so only an admin orders anything, and only an
admin is told texts that may name others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from bus.core.edgeerrors import ConflictError, NotFoundError
from bus.core.edgelimits import PAGE_ITEMS_MAX
from bus.core.recovering import TRANSITIONS, Event
from bus.edge.caller import Caller, Scope
from bus.edge.operations import Operation
from bus.edge.operator.answers import Nothing
from bus.edge.operator.careanswers import (
    ComponentRow,
    HealthPoint,
    HistoryAsked,
    OfComponent,
    RecoveryRow,
    TransitionRow,
    Transitions,
)
from bus.edge.operator.inside import Inside, seen_by
from bus.edge.operator.overview import health_of
from bus.edge.operator.told import number_after, rfc3339
from bus.recovery import (
    NotAwaitedError,
    Status,
    Transition,
    UnknownComponentError,
)

_ORDERS: Final[tuple[tuple[Event, Literal["approve", "cancel"]], ...]] = (
    (Event.APPROVE, "approve"),
    (Event.CANCEL, "cancel"),
)


class Healing:
    """The recovery of one bus, as operators see and order it."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._orchestrator = inside.bus.supervision.orchestrator

    async def recovery(self, caller: Caller, asked: Nothing) -> RecoveryRow:
        """Return how the parts stand, and the health of the last minutes."""
        del asked
        score, stands = health_of(self._inside)
        board = self._inside.bus.supervision.board
        samples = () if board is None else board.samples()
        told = seen_by(caller) is None
        return RecoveryRow(
            score=score,
            standing=stands.value,
            components=tuple(
                _component(one, told=told) for one in self._orchestrator.status()
            ),
            health=tuple(
                HealthPoint(
                    time=rfc3339(sample.at_ns),
                    score=sample.score,
                    standing=sample.standing.value,
                )
                for sample in samples[-PAGE_ITEMS_MAX:]
            ),
        )

    async def history(self, caller: Caller, asked: HistoryAsked) -> Transitions:
        """Return a page of steps, newest first; the cursor is how many came before."""
        skip = number_after(asked.after)
        kept = self._orchestrator.history(asked.component or None)[::-1]
        page = kept[skip : skip + asked.limit]
        more = len(kept) > skip + asked.limit
        told = seen_by(caller) is None
        return Transitions(
            items=tuple(_step(step, told=told) for step in page),
            next=str(skip + asked.limit) if more else None,
        )

    async def approve(self, caller: Caller, asked: OfComponent) -> ComponentRow:
        """Order an attempt now."""
        with _told():
            self._orchestrator.approve(asked.component, by=caller.agent)
        return self._of(asked.component)

    async def cancel(self, caller: Caller, asked: OfComponent) -> ComponentRow:
        """Give a recovery up."""
        with _told():
            self._orchestrator.cancel(asked.component, by=caller.agent)
        return self._of(asked.component)

    def _of(self, name: str) -> ComponentRow:
        status = self._orchestrator.status()
        return next(
            _component(one, told=True) for one in status if one.component == name
        )


def operations(inside: Inside) -> tuple[Operation, ...]:
    """Return the operations about recovery."""
    healing = Healing(inside)
    return (
        Operation(
            name="get_recovery",
            method="GET",
            path="/v1/recovery",
            summary="How the node's parts stand",
            scope=Scope.OPERATOR,
            asks=Nothing,
            answers=RecoveryRow,
            run=healing.recovery,
        ),
        Operation(
            name="list_recovery_history",
            method="GET",
            path="/v1/recovery/history",
            summary="What happened to the node's parts, newest first",
            scope=Scope.OPERATOR,
            asks=HistoryAsked,
            answers=Transitions,
            run=healing.history,
            errors=("malformed",),
        ),
        Operation(
            name="approve_recovery",
            method="POST",
            path="/v1/recovery/{component}/approve",
            summary="Order an attempt to bring a part back now",
            scope=Scope.ADMIN,
            asks=OfComponent,
            answers=ComponentRow,
            run=healing.approve,
            writes=True,
            errors=("not_found", "conflict"),
        ),
        Operation(
            name="cancel_recovery",
            method="POST",
            path="/v1/recovery/{component}/cancel",
            summary="Give up bringing a part back",
            scope=Scope.ADMIN,
            asks=OfComponent,
            answers=ComponentRow,
            run=healing.cancel,
            writes=True,
            errors=("not_found", "conflict"),
        ),
    )


@contextmanager
def _told() -> Iterator[None]:
    """Tell what cannot be ordered as the edge tells it."""
    try:
        yield
    except UnknownComponentError as error:
        raise NotFoundError(str(error)) from error
    except NotAwaitedError as error:
        raise ConflictError(str(error)) from error


def _component(one: Status, *, told: bool) -> ComponentRow:
    return ComponentRow(
        component=one.component,
        kind=one.kind.value,
        priority=one.priority,
        state=one.state.value,
        breaker=one.breaker.value,
        attempt=one.attempt,
        attempts=one.attempts,
        wait_ms=None if one.wait_ms < 0 else one.wait_ms,
        error=one.error if told else "",
        actions=tuple(
            order for event, order in _ORDERS if (one.state, event) in TRANSITIONS
        ),
    )


def _step(step: Transition, *, told: bool) -> TransitionRow:
    return TransitionRow(
        time=rfc3339(step.at_ns),
        component=step.component,
        kind=step.kind.value,
        before=step.before.value,
        after=step.after.value,
        event=step.event.value,
        attempt=step.attempt,
        attempts=step.attempts,
        breaker=step.breaker.value,
        delay_ms=step.delay_ms,
        detail=step.detail if told else "",
        by=step.by if told else "",
    )
