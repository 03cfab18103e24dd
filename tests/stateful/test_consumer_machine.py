"""One durable consumer against a plain model, with a store that answers when it is told to.

The model knows which messages were accepted, and what became of each: acked, given up,
cut away with its stream, or forgotten. All else must be handed out, in the end.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bus.core.changes import Append, Bounds, Bury, Settle, Trimmed, Wake
from bus.core.decision import Decision
from bus.core.errors import StoreUnavailableError
from bus.core.message import ORDERING_KEY
from bus.core.outcome import Accepted
from bus.streams import StreamSpec
from bus.subscription import Delivery, Subscription
from tests.fakes.buses import at_rest
from tests.fakes.busparts import Policy
from tests.fakes.durable import Line, Place

T = TypeVar("T")
PAGE = 3
AGENTS = ("critic", "worker")
SELDOM = st.sampled_from([False, False, False, True])
ALLOW = Decision(allow=True, reasons=(), revision="r1", digest="d", action="publish")
STREAM = StreamSpec(name="s", patterns=(("a",),), max_messages=12, discard="old")


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pages of three, so that a few messages are many."""
    have_small_pages(monkeypatch)


def have_small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the bounds of pages, wherever they are read."""
    for module in ("consumers", "feeding", "rereading"):
        monkeypatch.setattr(f"bus.{module}.FEED_MESSAGES_MAX", PAGE)
    monkeypatch.setattr("bus.consumers.FEED_MESSAGES_LOW", PAGE - 1)


class Hand:
    """One delivery in a handler's hands; it waits until the machine says how it ends."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.subscription = delivery.subscription
        self.number: int = delivery.message.body[-1]
        self.key = delivery.message.headers.get(ORDERING_KEY)
        self.say: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class ConsumerMachine(RuleBasedStateMachine):
    """Publish, commit, read, settle, come, leave, crash; then compare."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.place = Place("memory", Path(self.folder.name))
        self.numbers = itertools.count(1)
        self.publishing: dict[int, asyncio.Task[Any]] = {}
        self.accepted: dict[int, str | None] = {}
        self.by_row: dict[int, int] = {}  # the message of a delivery's number
        self.ended: set[int] = set()
        self.cut: set[int] = set()  # it may be handed out all the same
        self.faults: list[str] = []
        self.twice_may_be: set[int] = set()
        self.hands: list[Hand] = []
        self.members: dict[str, Subscription] = {}
        self.automatic = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end on the machine's own loop."""
        return self.loop.run_until_complete(work)

    def inside(self, call: Callable[[], object]) -> None:
        """Call something while the loop runs."""

        async def calls() -> None:
            call()

        self.run(calls())

    @initialize()
    def start(self) -> None:
        """Open a store."""
        self.open()

    def open(self) -> None:
        """Start a bus on what is kept; everybody comes anew."""
        self.bus = self.place.bus(streams=[STREAM], authorizer=Policy(ALLOW))
        self.watch(self.bus.line)
        self.members.clear()
        self.hands.clear()
        self.run(self.bus.__aenter__())

    def watch(self, line: Line) -> None:
        """Note what is cut away, and what is given up, as it is told."""
        trim, submit = line.trim, line.submit

        async def watched(stream: int, bounds: Bounds) -> Trimmed:
            told = await trim(stream, bounds)
            gone = {number for _, number in told.evicted}
            self.cut |= {n for row, n in self.by_row.items() if row in gone}
            return told

        def submitted(changes: Any, done: Any) -> None:
            for change in changes:
                if isinstance(change, Wake):
                    self.by_row[change.fresh] = self.by_row[change.number]
                elif isinstance(change, Append):
                    number = self.bus.ledger.sealer.open(
                        change.key, change.entry
                    ).message.body[-1]
                    for _, row, _ in change.deliveries:
                        self.by_row[row] = number
            submit(changes, done)

        line.trim = watched  # type: ignore[method-assign] # it is this line's
        line.submit = submitted  # type: ignore[method-assign] # as above

    async def handle(self, delivery: Delivery) -> None:
        """Show the delivery to the machine and do as told."""
        hand = Hand(delivery)
        if not self.automatic:
            self.hands.append(hand)
            try:
                said = await hand.say
            finally:
                if hand in self.hands:
                    self.hands.remove(hand)
        else:
            said = "ack"
        if said == "nak":
            delivery.nak(0.5)
            return
        if said == "fail":
            raise RuntimeError("failed")
        self.note_end(hand.number)
        if said == "term":
            delivery.term("told to")

    def note_end(self, number: int) -> None:
        """Note that a message has ended; once, unless its end may not have been kept."""
        if number in self.ended - self.twice_may_be:
            self.faults.append(f"{number} ended twice")
        self.ended.add(number)

    @rule(key=st.sampled_from([None, "k"]), delay=st.sampled_from([None, None, 1]))
    def publish(self, key: str | None, delay: float | None) -> None:
        """Publish; it may be a while until that is told."""
        number = next(self.numbers)
        if number > 100:
            return
        work = self.bus.agent("planner").publish(
            "a", number, ordering_key=key, delay=delay, wait=0
        )
        self.publishing[number] = self.loop.create_task(work)
        self.settle()

    def settle(self) -> None:
        """Let what is under way go as far as it can."""
        self.run(self.bus.settle())
        for number, task in list(self.publishing.items()):
            if task.done():
                del self.publishing[number]
                outcome = task.result()
                if isinstance(outcome, Accepted) and outcome.deliveries:
                    self.accepted[number] = None

    @rule(really=SELDOM)
    def hold_commits(self, *, really: bool) -> None:
        """Have nothing committed until it is released."""
        self.bus.line.held = self.bus.line.held or really

    @rule(count=st.integers(1, 4))
    def release_some(self, count: int) -> None:
        """Commit the oldest of what is held."""
        line = self.bus.line
        if line.held:
            self.inside(lambda: line.release(count))
            line.held = True
        self.settle()

    @rule()
    def release(self) -> None:
        """Commit everything, in order."""
        self.inside(self.bus.line.release)
        self.settle()

    @rule()
    def refuse_held(self) -> None:
        """Refuse what is held; what would have let go of a row may come once more."""
        line = self.bus.line
        line.refusing = StoreUnavailableError("told to")
        self.forgive(change for changes, _ in line.waiting for change in changes)
        self.inside(line.release)
        self.run(self.bus.settle())
        line.refusing = None
        self.settle()

    def forgive(self, changes: Any) -> None:
        """Let what these changes would have ended be handed out once more."""
        rows = {c.number for c in changes if isinstance(c, Settle | Bury)}
        self.twice_may_be |= {self.by_row.get(row, 0) for row in rows}

    @rule(shut=SELDOM)
    def gate_pages(self, *, shut: bool) -> None:
        """Have pages answered later than they are read, or let them come."""
        line = self.bus.line
        if shut and line.page_gate is None:
            line.page_gate = asyncio.Event()
        elif not shut and line.page_gate is not None:
            line.page_gate.set()
            line.page_gate = None
        self.settle()

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), said=st.sampled_from(["ack", "ack", "nak", "fail", "term"]))
    def settle_one(self, data: st.DataObject, said: str) -> None:
        """Have a handler do something with what it has."""
        hand = data.draw(st.sampled_from(self.hands))
        hand.say.set_result(said)
        self.settle()

    @rule(who=st.sampled_from(AGENTS), at_once=st.integers(1, 3))
    def come(self, who: str, at_once: int) -> None:
        """Subscribe as a member of the group."""
        if who in self.members:
            return

        async def subscribe() -> Subscription:
            return self.bus.agent(who).subscribe(
                "a",
                self.handle,
                queue="q",
                max_in_flight=at_once,
                max_deliver=50,
                backoff=[1],
                capacity=8,
            )

        self.members[who] = self.run(subscribe())
        self.settle()

    @precondition(lambda self: self.members)
    @rule(who=st.sampled_from([*AGENTS, "", ""]))
    def leave(self, who: str) -> None:
        """Unsubscribe at once, whatever is in hand."""
        sub = self.members.pop(who, None)
        if sub is not None:
            self.run(self.bus.agent(who).unsubscribe(sub, drain=0))
            self.hands = [hand for hand in self.hands if hand.subscription is not sub]
            self.settle()

    @rule(seconds=st.sampled_from([0.4, 1.5]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.run(self.bus.advance(seconds))
        self.settle()

    @rule()
    def rewind(self) -> None:
        """Take the consumer back to its last ack, as its recovery does."""
        consumer = self.bus.ledger.consumers.named("acme", "group q/a")
        if consumer is not None:
            self.inside(lambda: self.bus.ledger.rewinding.rewind(consumer))
            self.settle()

    @rule(really=SELDOM)
    def crash(self, *, really: bool) -> None:
        """End the process, and open what is on disk."""
        if not really:
            return
        line = self.bus.line
        self.forgive(line.sent)
        self.forgive(change for changes, _ in line.waiting for change in changes)
        self.twice_may_be |= self.ended
        self.run(self.place.crash(self.bus))
        for task in self.publishing.values():
            task.cancel()
        self.run(asyncio.sleep(0))
        self.publishing.clear()
        self.run(self.bus.close(drain=0))
        self.open()

    @invariant()
    def one_of_a_key_is_in_hand(self) -> None:
        """Among all members that are there."""
        keyed = [hand.number for hand in self.hands if hand.key is not None]
        assert len(keyed) <= 1, keyed
        numbers = [hand.number for hand in self.hands]
        assert len(set(numbers)) == len(numbers)
        assert not self.faults

    @invariant()
    def memory_is_bounded(self) -> None:
        """A page, and what is in hand or waits for its next attempt; of all members."""
        queued = sum(sub.size + sub.aside for sub in self.members.values())
        assert queued <= 2 * (2 * PAGE) + len(AGENTS), queued

    def teardown(self) -> None:
        """In the end everything is handed out, and the accounts are empty."""
        try:
            if hasattr(self, "bus"):
                self.end()
        finally:
            self.run(self.bus.close(drain=0))
            self.loop.close()
            self.folder.cleanup()

    def end(self) -> None:
        """Let everything go on, and compare."""
        self.automatic = True
        self.release()
        self.gate_pages(shut=False)
        self.come("critic", 2)
        for _ in range(12):
            for hand in list(self.hands):
                if not hand.say.done():
                    hand.say.set_result("ack")
            self.wait(1.5)
        assert not self.publishing
        assert not self.faults
        lost = set(self.accepted) - self.ended - self.cut
        assert not lost, lost
        ledger = self.bus.ledger
        assert self.bus.store_failure is None
        consumer = ledger.consumers.named("acme", "group q/a")
        assert (consumer.behind, consumer.pending, consumer.waited) == (
            0,
            0,
            type(consumer.waited)(),
        )
        rows = self.run(self.bus.line.inner.deliveries(consumer.row.id, -(1 << 62), 99))
        assert not {self.by_row[row.number] for row in rows} - self.twice_may_be
        assert all(map(at_rest, self.members.values()))


ConsumerMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
TestConsumerMachine = ConsumerMachine.TestCase
