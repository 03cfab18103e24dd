"""One seed: publishers, handlers that fail, a disk that fills up and breaks, and deaths.

Rule: every choice is drawn from the seed. When all is over the disk is well again, and
then everything that was accepted must have reached everybody it was for.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from bus.adapters.stores.sqlite.store import SqliteStore
from bus.cli.simulation.book import Book, ClaimError, Summary
from bus.cli.simulation.disk import Disk
from bus.cli.simulation.loop import VirtualClock
from bus.cli.simulation.parts import Work, new_bus, turns
from bus.client import BaseBus
from bus.core.errors import BusError
from bus.ports import Authorizer
from bus.recovery import Orchestrator, Transition, reopen, telling
from bus.subscription import Delivery

_QUIET_S: Final = 900  # until everything has come to rest
_SET_RIGHT_S: Final = 60  # until the clock is right again
_LIVES_MAX: Final = 4
_DIES: Final = 0.6  # of lives, and so on
_NAMED: Final = 0.3
_FAILS: Final = 0.15
PLAN: Final[dict[str, set[str]]] = {
    "plain": {"plain", "group"},
    "keyed": {"keyed"},
    "once": {"once"},
    "late": {"late"},
}

Effect = Callable[[str], Awaitable[None]] | None


class World:
    """What goes on in one run."""

    def __init__(
        self, seed: int, folder: Path, clock: VirtualClock, engine: Authorizer
    ) -> None:
        self.seed = seed
        self.random = Random(seed)  # noqa: S311 - not for secrets: a seed is repeated
        self.disk = Disk(folder, self.random)
        self.clock = clock
        self.engine = engine
        self.book = Book()
        self.lives = 0
        self.faults = 0
        self._next: dict[str, int] = {}
        self._to_publish = self.random.randint(5, 40)
        self._alive = object()

    async def run(self) -> Summary:
        """Live as often as it takes; return what it came to."""
        reason = ""
        try:
            while self._to_publish > 0 and self.lives < _LIVES_MAX:
                await self._life(dies=self.random.random() < _DIES)
            await self._life(dies=False)
            self.book.check(PLAN)
        except ClaimError as error:
            reason = str(error)
        trace = "\n".join(self.book.lines).encode()
        return Summary(
            self.seed,
            not reason,
            len(self.book.accepted),
            sum(sum(c.values()) for c in self.book.handled.values()),
            self.lives,
            self.faults,
            hashlib.sha256(trace).hexdigest()[:16],
            reason,
        )

    async def _life(self, *, dies: bool) -> None:
        """Start on what is on disk, work for a while, and die or close."""
        self.lives += 1
        me = self._alive = object()
        self.disk.full = self.disk.fsync_fails = False
        bus, store = new_bus(self.disk, self.clock, self.engine, self.random)
        self.book.note("life", self.lives, dies)
        self._subscribe(bus, me)
        await bus.__aenter__()
        work = Work()
        care = Orchestrator(self.clock, work.spawn, self._recovered, self.random.random)
        care.register(reopen("store", telling(store.health), store.reopen))
        care.start()
        for number in range(self.random.randint(1, 3)):
            work.spawn(self._publish(bus, f"p{number}", me), "publisher")
        work.spawn(self._break(), "faults")
        try:
            if dies:
                await asyncio.sleep(self.random.choice((0.0, 0.05, 0.5, 3.0)))
                await turns(self.random.randint(0, 200))
                self._die()
            else:
                await self._quiet(bus, store)
        finally:
            self._alive = object()
            await work.end()
            care.stop()
            await self._close(bus)
        work.check()

    async def _close(self, bus: BaseBus) -> None:
        """Close, also where the store cannot; a bus that failed is a claim that broke."""
        try:
            await bus.close(drain=0)
        except BusError as error:
            self.book.note("close", type(error).__name__)
        failure = bus._host.failure  # noqa: SLF001 - nobody else may ask why it failed
        if failure is not None:
            raise ClaimError(f"the bus failed: {failure!r}")

    def _die(self) -> None:
        """Leave the files as they are; what the old bus does from here on is not seen."""
        self._alive = object()
        self.disk.crash()
        self.book.crashed()

    def _recovered(self, step: Transition) -> None:
        """Note a step of the recovery."""
        self.book.note("recovery", step.component, step.before.value, step.after.value)

    async def _publish(self, bus: BaseBus, who: str, me: object) -> None:
        shop = bus.agent("shop")
        while self._to_publish > 0:
            self._to_publish -= 1
            subject = self.random.choice(tuple(PLAN))
            number = self._next[who] = self._next.get(who, 0) + 1
            name = f"{subject}-{who}-{number}"
            given: dict[str, Any] = {"priority": self.random.randint(0, 3)}
            if subject == "keyed":
                given = {"ordering_key": f"{who}-{self.random.randint(0, 1)}"}
            if subject == "late":
                given["delay"] = self.random.choice((0.01, 1.0, 30.0))
            if self.random.random() < _NAMED:
                given["dedup"] = name
            self.book.note("publish", name)
            outcome = await shop.publish(subject, name, **given)
            if self._alive is not me:
                return
            self.book.outcome(name, outcome)
            await asyncio.sleep(self.random.choice((0.0, 0.0, 0.0, 0.02, 0.7)))

    async def _break(self) -> None:
        """Fill the disk up, fail its next commit, set the clock; again and again."""
        for _ in range(self.random.randint(0, 3)):
            await asyncio.sleep(self.random.uniform(0, 2))
            await turns(self.random.randint(0, 50))
            kind = self.random.choice(("full", "fsync", "clock"))
            self.faults += 1
            self.book.note("fault", kind)
            if kind == "full":
                self.disk.full = True
                await asyncio.sleep(self.random.uniform(0, 5))
                self.disk.full = False
            elif kind == "fsync":
                self.disk.fsync_fails = True
            else:
                self.clock.skew_s += self.random.choice((-3600.0, -1.0, 1.0, 60.0))

    async def _quiet(self, bus: BaseBus, store: SqliteStore) -> None:
        """Wait until nothing is published, pending or due any more."""
        ledger = bus._host.require_ledger()  # noqa: SLF001 - the pending of all consumers
        consumers = ledger.consumers.by_id
        for second in range(_QUIET_S):
            await asyncio.sleep(1)
            if second == _SET_RIGHT_S:
                self.clock.skew_s = 0.0
            left = self._to_publish + sum(c.pending for c in consumers.values())
            left += ledger.burying.owed
            still = left <= 0 and not store.stats().pending and store.health()[0]
            if still and not await store.next_due_ns():
                await self._read_letters(bus)
                return
        told = [(c.row.name, c.pending) for c in consumers.values()]
        rest = (self._to_publish, store.stats().pending, await store.next_due_ns())
        raise ClaimError(f"it does not come to rest: {told}, {rest}, {store.health()}")

    async def _read_letters(self, bus: BaseBus) -> None:
        for letter in await bus.agent("shop").dead_letters(limit=1000):
            if letter.message is not None:
                name = msgspec.msgpack.decode(letter.message.body, type=str)
                self.book.letters[letter.consumer].add(name)

    def _subscribe(self, bus: BaseBus, me: object) -> None:
        till, press = bus.agent("till"), bus.agent("press")

        async def effect(name: str) -> None:
            await till.publish("child", name)

        def add(agent: str, name: str, effect: Effect = None, **more: Any) -> None:
            subject = "plain" if name == "group" else name
            bus.agent(agent).subscribe(
                subject,
                self._handler(name, me, effect),
                durable=name,
                max_deliver=4,
                backoff=[0.1, 1.0],
                **more,
            )

        add("desk", "plain")
        add("till", "group", queue="group")
        add("press", "group", queue="group")
        add("desk", "keyed", max_in_flight=3)
        add("desk", "late")
        add("till", "once", effect, once=True)
        press.subscribe("child", self._child(me), durable="child")

    def _handler(
        self,
        consumer: str,
        me: object,
        effect: Effect = None,
    ) -> Callable[[str, Delivery], Awaitable[None]]:
        async def handle(name: str, delivery: Delivery) -> None:
            if self._alive is not me:
                raise BusError("of a life that is over")
            message = delivery.message
            self.book.begins(consumer, name, message, delivery.attempt)
            draw = self.random.random()
            wait_s = self.random.choice((0.0, 0.0, 0.01, 0.5, 5.0))
            try:
                if effect is not None:
                    await effect(name)
                await asyncio.sleep(wait_s)
                if draw < _FAILS:
                    raise ValueError("fails")
            finally:
                if self._alive is me:
                    self.book.ends(consumer, message)
            if self._alive is me:
                self.book.acked[consumer].add(name)

        return handle

    def _child(self, me: object) -> Callable[[str, Delivery], Awaitable[None]]:
        async def handle(name: str, delivery: Delivery) -> None:
            if self._alive is me:
                self.book.child(name, delivery.message)

        return handle
