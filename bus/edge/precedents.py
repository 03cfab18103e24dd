"""What was decided before, found in the audit record.

Rule: a page looks through so many bytes at most, one page at a time on a node, in a
thread. An agent finds what was decided about itself; an operator, about its tenant.
"""

import asyncio
from functools import partial
from typing import Final

from bus.app import Bus
from bus.core import subject as grammar
from bus.core.edgelimits import PRECEDENTS_WAITING_MAX
from bus.core.errors import OverloadedError, UnavailableError
from bus.edge.caller import Caller, Scope
from bus.edge.governinganswers import Precedent, Precedents, PrecedentsAsked
from bus.edge.operator import leafing
from bus.edge.operator.careanswers import AuditAsked, AuditRow
from bus.edge.operator.inside import seen_by
from bus.edge.operator.tap import Tap

_DECIDED: Final = frozenset(
    {"accepted", "denied", "held", "dropped", "rejected", "failed"}
)
_RETRY_S: Final = 1.0


class _Like(leafing.Wanted, frozen=True):
    """Decisions, on subjects under a pattern; None is on all."""

    pattern: tuple[str, ...] | None

    def __call__(self, row: AuditRow) -> bool:
        """Tell whether a record is asked for."""
        if row.event not in _DECIDED or not leafing.Wanted.__call__(self, row):
            return False
        tokens = tuple(row.subject.split("."))
        return self.pattern is None or grammar.matches(self.pattern, tokens)


class Library:
    """The record of one bus, for those whom it is about."""

    def __init__(self, bus: Bus, tap: Tap) -> None:
        self._bus = bus
        self._tap = tap
        self._one = asyncio.Lock()
        self._waiting = 0

    async def page(self, caller: Caller, asked: PrecedentsAsked) -> Precedents:
        """Return a page of decisions, newest first.

        Raises:
            SubjectError, LimitExceededError: `subject` is no subject and no pattern.
            OverloadedError: too many ask.
            UnavailableError: the record cannot be read.
        """
        like = _Like(
            AuditAsked(
                agent=caller.agent if caller.scope is Scope.AGENT else "",
                after=asked.after,
                limit=asked.limit,
            ),
            seen_by(caller),
            _alike(asked.subject) if asked.subject else None,
        )
        if self._waiting >= PRECEDENTS_WAITING_MAX:
            raise OverloadedError("who reads the record", retry_after_s=_RETRY_S)
        self._waiting += 1
        try:
            async with self._one:
                rows, following = await self._read(like)
        finally:
            self._waiting -= 1
        return Precedents(items=tuple(map(_told, rows)), next=following)

    async def _read(self, like: _Like) -> leafing.Found:
        await self._bus.audit.flush()
        file = self._bus.settings.audit.file
        if file is None:
            late = tuple(self._tap.late)
            read = partial(leafing.of_memory, late, self._tap.total - len(late), like)
        else:
            read = partial(leafing.of_file, file, like)
        try:
            return await asyncio.to_thread(read)
        except OSError as error:
            raise UnavailableError("the audit record cannot be read now") from error


def _alike(subject: str) -> tuple[str, ...]:
    """Return the pattern of a subject and those like it; a pattern stays as it is."""
    tokens = grammar.parse_pattern(subject)
    if len(tokens) == 1 or not {"*", ">"}.isdisjoint(tokens):
        return tokens
    return (*tokens[:-1], "*")


def _told(row: AuditRow) -> Precedent:
    return Precedent(
        time=row.time,
        subject=row.subject,
        agent=row.agent,
        outcome=row.event,
        reason="" if row.event == "accepted" else row.detail,
        revision=row.revision,
        message_id=row.id,
    )
