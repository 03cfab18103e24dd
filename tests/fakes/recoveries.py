"""Components that fail as they are told, and an orchestrator on a clock that is moved."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self

from bus.core.recovering import Care, Kind, Policy, State
from bus.recovery import Orchestrator, Transition

START_NS: Final = 1_700_000_000_000_000_000
TURNS: Final = 20  # of the loop, for what is under way to come to rest


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Make sure it is not called."""
        self.callback = None


class MovedClock:
    """Time passes when `pass_time` is awaited. `jump_ns` is how far it was set since."""

    def __init__(self) -> None:
        self.jump_ns = 0
        self._passed_ns = 0
        self._timers: list[tuple[int, int, _Timer]] = []
        self._order = itertools.count()

    def now_ns(self) -> int:
        """Return what a clock on the wall says."""
        return START_NS + self._passed_ns + self.jump_ns

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> _Timer:
        """Call back when so much time has passed, whatever the clock was set to."""
        timer = _Timer(callback)
        due_ns = self._passed_ns + int(delay_s * 1e9)
        heapq.heappush(self._timers, (due_ns, next(self._order), timer))
        return timer

    @property
    def waiting(self) -> int:
        """Calls that are still due."""
        return sum(timer.callback is not None for *_, timer in self._timers)

    async def pass_time(self, seconds: float) -> None:
        """Make every call that falls due, in order, and let its work come to rest."""
        until_ns = self._passed_ns + round(seconds * 1e9)
        await rest()
        while self._timers and self._timers[0][0] <= until_ns:
            due_ns, _, timer = heapq.heappop(self._timers)
            self._passed_ns = max(self._passed_ns, due_ns)
            if timer.callback is not None:
                timer.callback()
                await rest()
        self._passed_ns = until_ns


async def rest() -> None:
    """Let what is under way go as far as it can without time passing."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


class Fragile:
    """Raises `wrong` when checked and `stuck` when recovered; `mends` takes both away.

    A gate that is cleared holds the call up. `calls` is what was called, in order.
    """

    def __init__(self, name: str = "part", kind: Kind = Kind.DEFAULT) -> None:
        self.name = name
        self.kind = kind
        self.action = "mend"
        self.wrong: Exception | None = None
        self.stuck: Exception | None = None
        self.mends = True
        self.calls: list[str] = []
        self.ended: list[str] = []
        self.log: list[str] | None = None
        self.check_gate = asyncio.Event()
        self.recover_gate = asyncio.Event()
        self.swallows = False
        self.check_gate.set()
        self.recover_gate.set()

    def breaks(self, why: str = "broken") -> None:
        """Be unwell from now on."""
        self.wrong = OSError(why)

    async def check(self) -> None:
        """Say what is wrong."""
        await self._call("check", self.check_gate)
        if self.wrong is not None:
            raise self.wrong

    async def recover(self) -> None:
        """Be mended, or say why not."""
        await self._call("recover", self.recover_gate)
        if self.stuck is not None:
            raise self.stuck
        if self.mends:
            self.wrong = None

    def count(self, what: str) -> int:
        """Return how often a method was called."""
        return self.calls.count(what)

    async def _call(self, what: str, gate: asyncio.Event) -> None:
        self.calls.append(what)
        if self.log is not None:
            self.log.append(f"{what} {self.name}")
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                if not self.swallows:
                    self.ended.append(what)
                    raise


class Rig:
    """An orchestrator with what it needs; `draw` is what it draws."""

    def __init__(self, draw: float = 0.0) -> None:
        self.clock = MovedClock()
        self.told: list[Transition] = []
        self.draw = draw
        self.tasks: set[asyncio.Task[None]] = set()
        self.faults: list[BaseException] = []
        self.changed = asyncio.Event()
        self.start_work: Callable[[Coroutine[Any, Any, None], str], None] = self.spawn
        self.tell: Callable[[Transition], None] = self.told.append
        self.orchestrator = Orchestrator(
            self.clock, self._start, self._told, lambda: self.draw
        )

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` beside the test."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.start_work(work, name)

    def _told(self, step: Transition) -> None:
        self.changed.set()
        self.tell(step)

    async def until(self, state: State) -> Transition:
        """Wait until the last step told led to `state`; return it."""
        async with asyncio.timeout(30):
            while not self.told or self.told[-1].after is not state:
                self.changed.clear()
                await self.changed.wait()
        return self.told[-1]

    def _done(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.faults.append(fault)

    async def __aenter__(self) -> Self:
        self.orchestrator.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.orchestrator.stop()
        await self.end()
        assert self.faults == []
        assert self.clock.waiting == 0

    async def end(self) -> None:
        """Cancel every task, as a crew does."""
        tasks = set(self.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    def put(self, part: Any, care: Care | None = None) -> None:
        """Supervise a component."""
        self.orchestrator.register(part, care)

    def states(self, name: str = "part") -> list[State]:
        """Return the states a component was told to have come to."""
        return [step.after for step in self.told if step.component == name]

    def state(self, name: str = "part") -> State:
        """Return where a component stands."""
        (found,) = [s for s in self.orchestrator.status() if s.component == name]
        return found.state


def care(**changes: Any) -> Care:
    """Return a care without jitter; `policy` may be given as its fields."""
    policy = changes.pop("policy", {})
    return Care(policy=Policy(**{"jitter": False, **policy}), **changes)
