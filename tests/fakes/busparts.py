"""Parts of a bus that do what a test tells them: record, policy, stages, store."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from bus.core.decision import Decision, Principal
from bus.core.errors import AuditStalledError
from bus.core.message import Message
from bus.core.stats import AuditStats, DecisionStats
from bus.handing import Hand, hand_over
from bus.ports import Access, Action, AuditRecord, Candidate
from bus.subscription import Subscription


class ListAudit:
    """An audit log in a list. While `stalled`, it is full and has no room for long."""

    def __init__(self) -> None:
        self.full = False
        self.records: list[AuditRecord] = []
        self.refuse: Callable[[AuditRecord], Exception | None] = lambda _: None
        self.waits = 0
        self._freed = asyncio.Event()
        self._gave_up = asyncio.Event()

    def stall(self) -> None:
        """Stop taking records without a wait."""
        self.full = True
        self._freed.clear()
        self._gave_up.clear()

    def recover(self) -> None:
        """Have room again."""
        self.full = False
        self._freed.set()

    def give_up(self) -> None:
        """Let whoever waits for room hear that there is none."""
        self._gave_up.set()

    def append(self, record: AuditRecord) -> None:
        """Keep a record, unless the test wants it refused."""
        error = self.refuse(record)
        if error is not None:
            raise error
        self.records.append(record)

    async def room(self) -> None:
        """Wait until recovered, or raise once given up."""
        self.waits += 1
        while self.full:
            await asyncio.sleep(0)
            if self._gave_up.is_set():
                raise AuditStalledError("the record cannot be written")

    async def open(self) -> None:
        """Nothing is to be opened."""

    async def close(self) -> None:
        """Nothing is to be closed."""

    def stats(self) -> AuditStats:
        """All that was taken is written."""
        return AuditStats(appended=len(self.records), written=len(self.records))

    def events(self, *without: str) -> list[str]:
        """Return the events so far, less those of the bus itself and `without`."""
        skipped = {"started", "stopped", *without}
        return [record[0] for record in self.records if record[0] not in skipped]


class Stage:
    """A stage that does what it is told."""

    def __init__(self, does: Callable[[Message], Any], name: str = "told") -> None:
        self.name = name
        self._does = does

    def process(self, message: Message, now_ns: int) -> Any:
        """Return what the function makes of the message."""
        del now_ns
        return self._does(message)


class Choosing:
    """A strategy that chooses what it is told."""

    name = "choosing"

    def __init__(self, choose: Callable[[Message, Sequence[Candidate]], Any]) -> None:
        self._choose = choose

    def fixed(self, candidates: Sequence[Candidate]) -> bool:
        """Look at every message."""
        del candidates
        return False

    def plan(self, message: Message, candidates: Sequence[Candidate]) -> Any:
        """Return what the function chooses."""
        return self._choose(message, candidates)


class Policy:
    """An authorizer that answers what a test wants, or raises it."""

    revision = "r1"

    def __init__(self, answer: Any, *, later: bool = False) -> None:
        self._answer = answer
        self._later = later

    def principal(self, agent: str) -> Principal:
        """Know everybody."""
        return Principal(agent, "acme")

    def decide_now(self, action: Action, message: Message) -> Decision | None:
        """Answer, or leave it for later."""
        del action, message
        return None if self._later else self._give()

    async def decide(self, action: Action, message: Message) -> Decision:
        """Answer."""
        del action, message
        return self._give()

    def admit_now(self, access: Access) -> Decision | None:
        """Let everybody in: this is about messages."""
        del access
        return Decision(allow=True, reasons=(), revision="r1", digest="")

    async def admit(self, access: Access) -> Decision:
        """Let everybody in."""
        del access
        return Decision(allow=True, reasons=(), revision="r1", digest="")

    def stats(self) -> DecisionStats:
        """Nothing is cached."""
        return DecisionStats()

    def _give(self) -> Decision:
        if isinstance(self._answer, Exception):
            raise self._answer
        given: Decision = self._answer
        return given


def tapped(tap: Callable[[Message, Decision], None]) -> Hand:
    """Return what hands messages over once `tap` has seen, changed or refused each."""

    def hand(
        message: Message, decision: Decision, takers: Sequence[Subscription]
    ) -> None:
        tap(message, decision)
        hand_over(message, decision, takers)

    return hand
