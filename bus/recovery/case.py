"""One supervised component: its breaker, where its recovery stands, what is under way."""

from typing import Final

from bus.core.breaker import Breaker
from bus.core.recovering import Care, State
from bus.recovery.component import Component
from bus.recovery.running import Left, Run

_NS_PER_S: Final = 1_000_000_000


class Case:
    """What the orchestrator knows of a component. Times are steady nanoseconds."""

    __slots__ = (
        "approved",
        "attempt",
        "breaker",
        "care",
        "component",
        "error",
        "left",
        "run",
        "since_ns",
        "state",
    )

    def __init__(self, component: Component, care: Care) -> None:
        self.component = component
        self.care = care
        self.breaker = self._new_breaker()
        self.state = State.IDLE
        self.attempt = 0  # begun in this round
        self.approved = False  # the next attempt was ordered: no breaker keeps it back
        self.since_ns = 0  # in this state
        self.error = ""
        self.run: Run | None = None
        self.left: Final = Left()

    @property
    def reset_ns(self) -> int:
        """How long its breaker stays open, and how long it is watched afterwards."""
        return int(self.care.reset_s * _NS_PER_S)

    def fail_breaker(self, now_ns: int) -> None:
        """Count a failure that no run has seen."""
        ticket = self.breaker.admit(now_ns)
        if ticket is not None:
            self.breaker.fail(ticket, now_ns)

    def succeeded(self, ticket: int | None) -> None:
        """Let the breaker know; one that was passed by order starts anew."""
        if ticket is None:
            self.breaker = self._new_breaker()
        else:
            self.breaker.succeed(ticket)

    def failed(self, ticket: int | None, now_ns: int) -> None:
        """Let the breaker know."""
        if ticket is not None:
            self.breaker.fail(ticket, now_ns)

    def abandoned(self, ticket: int | None) -> None:
        """Let the breaker know that nothing was learnt."""
        if ticket is not None:
            self.breaker.abandon(ticket)

    def drop_run(self) -> Run | None:
        """Give up what is under way, of which nothing is learnt, and return it."""
        run, self.run = self.run, None
        if run is not None:
            run.give_up()
            self.abandoned(run.ticket)
        return run

    def _new_breaker(self) -> Breaker:
        return Breaker(self.care.failures_max, self.reset_ns)
