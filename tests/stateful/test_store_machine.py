"""Every store against a plain model: whatever is done in whatever order, both agree.

Submissions are gathered and handed over together, so they meet in one commit. A store
that keeps is crashed as well: what its process left behind is opened in another place.
Many more runs: `pytest tests/stateful --hypothesis-profile=deep --timeout=0`.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bus.core.changes import (
    Append,
    Bounds,
    Bury,
    Change,
    Contents,
    Deliver,
    DropLetter,
    Forget,
    Retry,
    Settle,
    Wake,
)
from bus.core.entries import key_of
from tests.fakes.storekit import (
    INLINE,
    KEYS,
    LOWEST,
    Shelf,
    append,
    consumer,
    letter,
    picture,
    stream,
)
from tests.fakes.storemodel import Model

T = TypeVar("T")
Place = tuple[int, int, list[tuple[int, int, int]]]
STREAMS, CONSUMERS = st.integers(1, 3), st.integers(1, 4)
READ = range(1, 6)
SECOND_NS = 1_000_000_000
MANY = 1 << 40
FILES = ("store.db", "store.db-wal", "store.db-head")
LETTER = append(1, 1)

# Anything at all, from a small world, so that much of it is there and much is not.
_numbers = st.integers(-3, 12)
_keys = st.builds(key_of, STREAMS, st.integers(20, 40))
_due = st.sampled_from([0, 0, 50, 90])
_takers = st.lists(st.tuples(CONSUMERS, _numbers, _due), max_size=3)
_places = st.tuples(STREAMS, st.sampled_from([1, 1, 1, 2, 0, -1]), _takers)
"""(stream, how far past the last, deliveries) of a message."""
_changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(Settle, CONSUMERS, _numbers),
    st.builds(Retry, CONSUMERS, _numbers, st.integers(1, 5), _due),
    st.builds(Wake, CONSUMERS, _numbers, _due, _numbers),
    st.builds(
        lambda number, c, n: Bury(c, n, letter(number, LETTER)),
        st.integers(1, 6),
        CONSUMERS,
        _numbers,
    ),
    st.builds(DropLetter, st.integers(1, 6)),
    st.builds(consumer, CONSUMERS, replay=st.binary(max_size=3)),
    st.builds(Forget, CONSUMERS),
    st.builds(Deliver, CONSUMERS, _numbers, _keys),
    st.builds(stream, STREAMS),
)


class StoreMachine(RuleBasedStateMachine):
    """Publish, ack, nak, bury, wake, trim, read back, close, crash; then compare."""

    kind: ClassVar[str] = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="assent-store-"))
        self.places = 0
        self.shelf = self.new_shelf()
        self.model = Model()
        self.waiting: list[tuple[Change, ...]] = []
        self.held: list[Append] = []
        self.sequences = {1: 20, 2: 20, 3: 20}
        self.number = 20
        self.replayed = -1_000
        self.letter = 20
        self.epoch = 0
        self.gathering = 0

    def new_shelf(self) -> Shelf:
        """Return a place of its own, where nothing is."""
        self.places += 1
        folder = self.folder / str(self.places)
        folder.mkdir()
        return Shelf(self.kind, folder)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end on the machine's own loop."""
        return self.loop.run_until_complete(work)

    @initialize(busy=st.booleans())
    def start(self, *, busy: bool) -> None:
        """Open a new store, where nothing is or a little of everything."""
        self.opened(self.run(self.shelf.store.open()), clean=True)
        if busy:
            takers = [(1, 1, 0), (2, 1, 0), (3, 1, 50), (4, 1, 90), (4, 2, 0)]
            self.submit(stream(1), stream(2), *(consumer(n) for n in range(1, 5)))
            for to in (1, 2, 1):
                self.submit(self.placed((to, 1, takers)))
                takers = [(taker, n + 2, due_ns) for taker, n, due_ns in takers[:4]]

    @property
    def highest(self) -> int:
        """Above every number and letter that was ever submitted."""
        return max(self.number, self.letter)

    @rule(steps=st.integers(2, 6))
    def gather(self, steps: int) -> None:
        """Hand nothing over for a few steps; then it goes in one."""
        self.gathering = steps

    def submit(self, *changes: Change) -> None:
        """Gather a submission."""
        self.waiting.append(changes)

    def takers(self, data: st.DataObject) -> list[int]:
        """Draw some of the consumers there are."""
        known = sorted(self.model.consumers)
        return data.draw(st.lists(st.sampled_from(known), unique=True)) if known else []

    @rule(data=st.data(), to=STREAMS, size=st.sampled_from([0, 1, 400]), hold=_due)
    def publish(self, data: st.DataObject, to: int, size: int, hold: int) -> None:
        """Keep a message, for some at once and for some later, now or after others."""
        self.sequences[to] += 1
        deliveries = []
        for taker in self.takers(data):
            self.number += 1
            deliveries.append((taker, self.number, data.draw(_due)))
        name = data.draw(st.sampled_from([None, None, *self.unused_names()]))
        until = self.shelf.clock.now + data.draw(st.integers(1, 9)) * SECOND_NS + 500
        message = append(
            to,
            self.sequences[to],
            *deliveries,
            time_ns=self.shelf.clock.now,
            body=bytes(size),
            dedup=None if name is None else (name, until),
        )
        if hold:
            self.held.append(message)
        else:
            self.submit(message)

    def unused_names(self) -> list[str]:
        """Return what a publisher may call a message: no name is used within its time."""
        soon = [c for s in [*self.waiting, self.held] for c in s]
        taken = {c.dedup[0] for c in soon if isinstance(c, Append) and c.dedup}
        for name, (_, until_ns) in self.model.names.items():
            if until_ns > self.shelf.clock.now:
                taken.add(name)
        return sorted({"a", "b", "c"} - taken)

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        """Keep in one what was held back, if nothing overtook any of it."""
        self.submit(*self.held)
        self.held.clear()

    def pending(self, data: st.DataObject) -> tuple[int, int] | None:
        """Draw a delivery: one that is pending, or is about to be."""
        soon = [
            (taker, number)
            for changes in self.waiting
            for change in changes
            if isinstance(change, Append)
            for taker, number, due_ns in change.deliveries
            if not due_ns
        ]
        known = sorted(self.model.pending) + soon
        return data.draw(st.sampled_from(known)) if known else None

    @rule(data=st.data(), times=st.integers(1, 4))
    def ack(self, data: st.DataObject, times: int) -> None:
        """Settle a few deliveries, perhaps one of them twice, in one submission."""
        found = [self.pending(data) for _ in range(times)]
        self.submit(*(Settle(*place) for place in found if place is not None))

    @rule(data=st.data(), attempt=st.integers(1, 5), due_ns=_due)
    def nak(self, data: st.DataObject, attempt: int, due_ns: int) -> None:
        """Try a delivery again."""
        place = self.pending(data)
        if place is not None:
            self.submit(Retry(*place, attempt, due_ns))

    @rule(data=st.data())
    def bury(self, data: st.DataObject) -> None:
        """Give a delivery up."""
        place = self.pending(data)
        if place is not None:
            self.letter += 1
            self.submit(Bury(*place, letter(self.letter, LETTER)))

    @rule(data=st.data())
    def drop_letter(self, data: st.DataObject) -> None:
        """Give up on a letter as well, though it may only be on its way."""
        soon = [c.letter.id for s in self.waiting for c in s if isinstance(c, Bury)]
        known = sorted(self.model.kept_letters) + soon
        if known:
            self.submit(DropLetter(data.draw(st.sampled_from(known))))

    @rule(data=st.data(), together=st.booleans())
    def wake(self, data: st.DataObject, *, together: bool) -> None:
        """Let one that waits be pending, and perhaps settle it at once."""
        if self.model.waiting:
            due = data.draw(st.sampled_from(sorted(self.model.waiting)))
            self.number += 1
            self.submit(Wake(due[1], due[2], due[0], self.number))
            if together:
                self.submit(Settle(due[1], self.number))

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        """Read messages back for a consumer."""
        known, taker = sorted(self.model.messages), self.takers(data)[:1]
        if known and taker:
            keys = data.draw(st.lists(st.sampled_from(known), max_size=3, unique=True))
            for key in sorted(keys):
                self.replayed += 1
                self.submit(Deliver(taker[0], self.replayed, key))

    @rule(number=CONSUMERS, replay=st.binary(max_size=3))
    def subscribe(self, number: int, replay: bytes) -> None:
        """Make a consumer, or note where it stands."""
        self.submit(consumer(number, replay=replay))

    @rule(number=CONSUMERS)
    def forget(self, number: int) -> None:
        """A consumer goes."""
        self.submit(Forget(number))

    @rule(
        submissions=st.lists(
            st.lists(_changes | _places, max_size=5), min_size=1, max_size=4
        )
    )
    def anything(self, submissions: list[list[Change | Place]]) -> None:
        """Submit what no bus would: much of it is refused, and changes nothing."""
        for changes in submissions:
            self.submit(
                *(self.placed(c) if isinstance(c, tuple) else c for c in changes)
            )

    def placed(self, place: Place) -> Append:
        """Return a message near the end of a stream."""
        to, step, takers = place
        self.sequences[to] += step
        return append(to, self.sequences[to], *takers, time_ns=self.shelf.clock.now)

    def hand_over(self, told: list[bool]) -> list[Model]:
        """Submit what was gathered; return what is held after none, one, all of it."""

        def done(error: Exception | None) -> None:
            told.append(error is None)

        held = [self.model]
        self.expected: list[bool] = []
        for changes in self.waiting:
            after = held[-1].applied(changes)
            self.expected.append(after is not None)
            held.append(after or held[-1])
            self.shelf.store.submit(changes, done)
        self.waiting.clear()
        return held

    def commit(self) -> None:
        """Hand over what was gathered, together, and wait for the endings."""
        told: list[bool] = []

        async def handed() -> list[Model]:
            held = self.hand_over(told)
            ended = asyncio.get_running_loop().create_future()
            self.shelf.store.submit([], lambda _: ended.set_result(None))
            await ended
            return held

        self.model = self.run(handed())[-1]
        assert told == self.expected

    @rule(data=st.data(), number=STREAMS, settled_only=st.booleans())
    def trim(self, data: st.DataObject, number: int, *, settled_only: bool) -> None:
        """Cut a stream, in order with what was submitted and is not done."""
        if number not in self.model.streams:
            return
        row, some = self.model.row(number), st.sampled_from([0, 0, 1, 2])
        times = [self.model.messages[key].time_ns for key in self.model.keys(number)]
        kind = data.draw(st.sampled_from(["messages", "bytes", "age", "all"]))
        bounds = Bounds(
            data.draw(some) + row.messages // 2 if kind == "messages" else MANY,
            row.bytes - data.draw(some) if kind == "bytes" else MANY,
            data.draw(st.sampled_from(times)) if kind == "age" and times else 0,
            settled_only,
        )
        if kind == "all":
            bounds = Bounds(0, 0, 0, settled_only)

        async def cut() -> None:
            self.model = self.hand_over([])[-1].copy()
            told = await self.shelf.store.trim(number, bounds)
            expected = self.model.trim(number, bounds)
            assert sorted(told.evicted) == list(expected.evicted)
            assert told.stream == expected.stream
            assert (told.messages, told.bytes) == (expected.messages, expected.bytes)

        self.run(cut())

    @rule(number=STREAMS, ago=st.integers(-2, 9), data=st.data())
    def read(self, number: int, ago: int, data: st.DataObject) -> None:
        """Read parts: a page, a range, and from a time."""
        store, model = self.shelf.store, self.model
        time_ns, limit = self.shelf.clock.now - ago * SECOND_NS, data.draw(_limits)
        every = sorted(model.messages) or [*KEYS]
        first, last = (data.draw(st.sampled_from(every)) for _ in range(2))
        after = data.draw(st.sampled_from([LOWEST, -1, 0, self.number - 3]))

        async def parts() -> None:
            assert await store.at(number, time_ns) == model.at(number, time_ns)
            found = await store.entries(first, last, limit)
            inside = [k for k in sorted(model.messages) if first <= k <= last]
            assert found == [(k, model.messages[k].entry) for k in inside[:limit]]
            rows = await store.deliveries(number, after, limit)
            above = [r for r in model.deliveries(number) if r.number > after]
            assert rows == above[:limit]
            due = await store.due(50, limit)
            assert due == [r for r in model.due() if r.due_ns <= 50][:limit]

        self.run(parts())

    @rule(seconds=st.sampled_from([1, 4]))
    def wait(self, seconds: int) -> None:
        """Time passes: what publishers called their messages may be forgotten."""
        self.shelf.clock.step(seconds)

    @rule()
    def restart(self) -> None:
        """Close in good order with something under way, and open again."""

        async def again() -> Contents:
            self.model = self.hand_over([])[-1]
            return await self.shelf.again()

        self.opened(self.run(again()), clean=True)

    @rule()
    def reopen(self) -> None:
        """Go on after a fault that was none."""
        self.commit()
        self.run(self.shelf.store.reopen())

    @precondition(lambda self: self.shelf.durable)
    @rule(turns=st.integers(0, 3))
    def crash(self, turns: int) -> None:
        """Die with something under way: what was told is there, the rest as one piece."""
        told: list[bool] = []
        held: list[Model] = []

        def hand_over() -> None:
            held.extend(self.hand_over(told))
            self.loop.stop()

        self.loop.call_soon(hand_over)
        self.loop.run_forever()
        for _ in range(turns):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        left, done = self.left(), len(told)
        assert told == self.expected[:done]
        self.run(self.shelf.store.close())
        left.clock.now = self.shelf.clock.now
        self.shelf = left
        contents = ordered(self.run(left.store.open()))
        found = self.run(picture(left.store, READ))
        agreeing = [
            model
            for model in held[done:]
            if (model.picture(READ), self.told_by(model, contents)) == (found, contents)
        ]
        self.model = agreeing[0] if agreeing else held[done]
        self.opened(contents, clean=False)

    def told_by(self, model: Model, contents: Contents) -> Contents:
        """Return what opening a store tells that holds the same as a model.

        It may count as used what was in a submission that it refused.
        """
        number, letter = contents.next_number, contents.next_letter
        told = model.contents(
            contents.epoch, self.shelf.clock.now, clean=contents.clean
        )
        return msgspec.structs.replace(
            told,
            next_number=max(min(number, self.highest + 1), told.next_number),
            next_letter=max(min(letter, self.highest + 1), told.next_letter),
        )

    def left(self) -> Shelf:
        """Return what a process that dies now leaves behind, in another place."""
        left = self.new_shelf()
        for name in FILES:
            if (self.shelf.folder / name).exists():
                shutil.copy(self.shelf.folder / name, left.folder / name)
        return left

    def opened(self, contents: Contents, *, clean: bool) -> None:
        """Compare what opening tells."""
        contents = ordered(contents)
        assert contents.epoch > self.epoch
        self.epoch = contents.epoch
        assert contents.clean is clean
        assert contents == self.told_by(self.model, contents)

    @invariant()
    def both_agree(self) -> None:
        """Everything that can be read is as in the model."""
        self.gathering = max(self.gathering - 1, 0)
        if self.epoch:
            if self.waiting and not self.gathering:
                self.commit()
            found = self.run(picture(self.shelf.store, READ))
            assert found == self.model.picture(READ)

    def teardown(self) -> None:
        """Close; what is there afterwards is what was there before."""
        try:
            if self.epoch:
                self.restart()
                self.both_agree()
        finally:
            self.run(self.shelf.store.close())
            self.loop.close()
            shutil.rmtree(self.folder)


_limits = st.integers(1, 7)


def ordered(contents: Contents) -> Contents:
    """Return what was told with the names in order, which nobody promises."""
    return msgspec.structs.replace(contents, dedup=tuple(sorted(contents.dedup)))


SEARCH = settings(
    settings.default,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class SqliteMachine(StoreMachine):
    """The same over SQLite, in the loop, so that a failing run can be repeated."""

    kind: ClassVar[str] = INLINE


@pytest.fixture(autouse=True)
def unguarded(no_blocking_calls: BlockBuster) -> None:
    """Looking at every call for one that blocks takes longer than the calls."""
    no_blocking_calls.deactivate()


TestMemoryStore = StoreMachine.TestCase
TestMemoryStore.settings = SEARCH
TestSqliteStore = SqliteMachine.TestCase
# Its runs take five times as long.
TestSqliteStore.settings = settings(SEARCH, max_examples=SEARCH.max_examples // 2)
