"""The live tail: what happens to messages, told to whoever looks, as it happens.

Rule: a tail is shown blocks and falls behind by so many at most; what does not fit is
counted and told, so a slow reader costs itself only. Patterns are matched on its time.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Final

from bus.core import subject as grammar
from bus.core.edgelimits import LIVE_BLOCKS_MAX, LIVE_ROWS_PER_TURN, LIVE_TAILS_MAX
from bus.core.errors import MalformedMessageError, OverloadedError
from bus.core.limits import RETRY_AFTER_S
from bus.core.suggest import hint
from bus.edge.caller import Caller
from bus.edge.operator.answers import LiveAsked, LiveRow
from bus.edge.operator.inside import Inside, tenant_of
from bus.edge.operator.tap import Tap
from bus.edge.operator.told import rfc3339
from bus.ports import AuditRecord

OUTCOMES: Final = frozenset(
    {
        "accepted",
        "denied",
        "held",
        "dropped",
        "rejected",
        "failed",
        "released",
        "delivered",
        "dead",
        "expired",
        "evicted",
        "refused",
        "recalled",
    }
)
_DIGESTED: Final = frozenset({"accepted", "delivered"})
"""Events whose detail is a digest or a name, and no reason."""

Told = tuple[tuple[LiveRow, ...], int]
"""Rows, and how many records were missed before them."""


class Live:
    """The tails of one bus."""

    def __init__(self, inside: Inside, tap: Tap) -> None:
        self._pipeline = inside.host.pipeline
        self.tap = tap
        self._tails = 0

    def open(self, caller: Caller, asked: LiveAsked) -> "Tail":
        """Begin a tail of what exists for the caller; `Tail.close` ends it.

        Raises:
            SubjectError, MalformedMessageError: the pattern or the outcome is none.
            OverloadedError: LIVE_TAILS_MAX look already.
        """
        if asked.outcome and asked.outcome not in OUTCOMES:
            near = hint(asked.outcome, sorted(OUTCOMES))
            raise MalformedMessageError(f"outcome {asked.outcome!r} is none{near}")
        pattern = grammar.parse_pattern(asked.pattern)
        if self._tails >= LIVE_TAILS_MAX:
            raise OverloadedError("the live tail", retry_after_s=RETRY_AFTER_S)
        self._tails += 1
        if self._pipeline.seen is None:
            self._pipeline.seen = self.tap.note
        tail = Tail(self, asked, pattern, tenant_of(caller, asked.tenant))
        self.tap.look(tail.take)
        return tail

    def closed(self, tail: "Tail") -> None:
        """Be told that a tail ends; with the last one nothing is noted any more."""
        self.tap.look_away(tail.take)
        self._tails -= 1
        if not self._tails:
            self._pipeline.seen = None
            self.tap.seen.clear()


class Tail:
    """One reader's tail."""

    def __init__(
        self,
        live: Live,
        asked: LiveAsked,
        pattern: tuple[str, ...],
        tenant: str | None,
    ) -> None:
        self._live = live
        self._asked = asked
        self._pattern = pattern
        self._whole = pattern == (grammar.TAIL,)
        self._tenant = tenant
        self._blocks: deque[tuple[AuditRecord, ...]] = deque()
        self._rows: Iterator[LiveRow] = iter(())
        self._missed = 0
        self._more = asyncio.Event()
        self._open = True

    def take(self, records: tuple[AuditRecord, ...]) -> None:
        """Take a block; the oldest gives way, and is counted."""
        if len(self._blocks) >= LIVE_BLOCKS_MAX:
            gone = self._blocks.popleft()
            self._missed += sum(1 for record in gone if self._mine(record))
        self._blocks.append(records)
        self._more.set()

    async def next(self) -> Told:
        """Wait for rows, LIVE_ROWS_PER_TURN at most; say first what was missed."""
        while True:
            found = self._found()
            missed, self._missed = self._missed, 0
            if found or missed:
                return found, missed
            if not self._blocks:
                self._more.clear()
                await self._more.wait()
            await asyncio.sleep(0)

    def _found(self) -> tuple[LiveRow, ...]:
        found: list[LiveRow] = []
        while len(found) < LIVE_ROWS_PER_TURN:
            row = next(self._rows, None)
            if row is not None:
                found.append(row)
                continue
            if found or not self._blocks:
                break
            self._rows = self._matching(self._blocks.popleft())
            row = next(self._rows, None)
            if row is None:
                break  # a block for nothing: let the loop go on
            found.append(row)
        return tuple(found)

    def close(self) -> None:
        """End it; doing so twice does nothing."""
        if self._open:
            self._open = False
            self._live.closed(self)

    def _mine(self, record: AuditRecord) -> bool:
        """Tell what can be told without looking at the subject."""
        event, tenant = record[0], record[3]
        return (
            event in OUTCOMES
            and (not self._asked.outcome or event == self._asked.outcome)
            and (self._tenant is None or tenant == self._tenant)
        )

    def _matching(self, records: tuple[AuditRecord, ...]) -> Iterator[LiveRow]:
        for record in records:
            if self._mine(record):
                row = self._row(record)
                if row is not None:
                    yield row

    def _row(self, record: AuditRecord) -> LiveRow | None:
        event, time_ns, message_id, tenant, agent, subject, _, detail, _ = record
        seen = self._live.tap.seen.get(message_id)
        if not subject and seen is not None:
            subject = seen.subject
        sender = agent if event not in _TO_OTHERS else None
        if seen is not None:
            sender = seen.sender
        if self._asked.sender and sender != self._asked.sender:
            return None
        if not self._whole and not grammar.matches(
            self._pattern, tuple(subject.split("."))
        ):
            return None
        return LiveRow(
            id=message_id.hex(),
            time=rfc3339(time_ns),
            subject=subject,
            tenant=tenant,
            outcome=event,
            agent=agent,
            reason="" if event in _DIGESTED else detail,
            sender=sender,
            type=None if seen is None else seen.type,
            size=None if seen is None else seen.size,
            priority=None if seen is None else seen.priority,
        )


_TO_OTHERS: Final = frozenset(
    {"delivered", "dead", "expired", "evicted", "refused", "recalled"}
)
"""Events whose agent is who a delivery was for."""
