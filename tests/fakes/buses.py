"""Buses for tests: the policy data they share, and a bus with a part of it replaced."""

import asyncio
import copy
import inspect
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
import pytest

from bus.adapters.audit import MemoryAudit
from bus.adapters.usage import MemoryUsage
from bus.client import BaseBus
from bus.composing import limiter
from bus.config import Settings
from bus.config.settings import BusSettings
from bus.core.ids import IdSource
from bus.core.message import Message
from bus.core.outcome import Outcome
from bus.core.stats import SubjectStats
from bus.core.subject import parse_pattern
from bus.metering import UsageMeter
from bus.parts import Parts
from bus.ports import Processor, Strategy
from bus.routes import Counters, Plan
from bus.subscription import Delivery, Subscription
from bus.testing import TURNS, FakeClock, TestBus
from policy import constitution, keys
from policy.authorizer import EmbeddedAuthorizer, load_authorizer
from policy.compliance import ComplianceValidator
from policy.keeping import Keeping
from processors.strategies.broadcast import Broadcast
from processors.strategies.direct import Direct
from tests.fakes.busparts import ListAudit

DRAIN_S = 0.05
DATA: dict[str, Any] = {
    "agents": {
        "planner": {"tenant": "acme", "roles": ["all"]},
        "critic": {"tenant": "acme", "roles": ["all"]},
        "worker": {"tenant": "acme", "roles": ["all"]},
        "intern": {"tenant": "acme", "roles": ["narrow"]},
        "spy": {"tenant": "globex", "roles": ["all"]},
    },
    "tenants": {"acme": {}, "globex": {}},
    "roles": {
        "all": {
            "publish": [{"subject": ">"}],
            "request": [{"subject": ">"}],
            "subscribe": [">", "$DEAD.>"],
        },
        "narrow": {
            "publish": [{"subject": "notes.*", "types": ["event"]}],
            "subscribe": ["notes.*"],
        },
    },
}


def data(**roles: Any) -> dict[str, Any]:
    """Return policy data of one's own, with `roles` added or replaced."""
    made = copy.deepcopy(DATA)
    made["roles"].update(roles)
    return made


def settings(**sections: Any) -> Settings:
    """Return settings that drain briefly, so that a test of what hangs is short."""
    return Settings(**{"bus": BusSettings(drain_seconds=DRAIN_S), **sections})


def new_bus(policy_data: Any = None, **sections: Any) -> TestBus:
    """Return a bus with the data above."""
    return TestBus(
        data() if policy_data is None else policy_data, settings=settings(**sections)
    )


async def reload(bus: TestBus) -> None:
    """Put the policy data in force as it is now."""
    result: Any = bus.reload_policy()
    if inspect.isawaitable(result):
        await result


class PartsBus(BaseBus):
    """A bus of the parts a bus usually has, but for those that are given."""

    def __init__(
        self,
        policy_data: Any = None,
        *,
        stages: Sequence[tuple[str, Processor]] = (),
        strategy: Strategy | None = None,
        keeping: Keeping | None = None,
        **parts: Any,
    ) -> None:
        self.clock = FakeClock()
        self.audit = parts.pop("audit", None) or ListAudit()
        now_ns = self.clock.now_ns
        given: dict[str, Any] = {
            "authorizer": parts.get("authorizer")
            or _authorizer(policy_data, now_ns, keeping),
            "validator": validator(),
            "meter": UsageMeter([MemoryUsage()], self.clock),
            "audit": self.audit,
            "clock": self.clock,
            "ids": IdSource(bytes(range(8))),
            "plan": Plan(
                tuple(((parse_pattern(pattern),), stage) for pattern, stage in stages),
                () if strategy is None else (((">",), strategy),),
                Direct(),
            ),
            "counters": Counters([]),
            "limiter": limiter,
        }
        super().__init__(
            Parts(**{**given, **parts}), broadcast=Broadcast(), drain_s=DRAIN_S
        )

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, as `TestBus` does."""
        until_ns = self.clock.now_ns() + int(seconds * 1e9)
        await self.settle()
        while self.clock.step(until_ns):
            await self.settle()

    async def settle(self) -> None:
        """Let what is under way go as far as it can without time passing."""
        for _ in range(TURNS):
            await asyncio.sleep(0)


def lower_bound(monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    """Set a bound of `bus.core.limits` lower, wherever the flow has imported it."""
    users = [
        module
        for path, module in list(sys.modules.items())
        if path.startswith("bus.") and name in vars(module)
    ]
    assert len(users) > 1, f"nobody uses {name}"
    for module in users:
        monkeypatch.setattr(module, name, value)


def validator() -> ComplianceValidator:
    """Return the built-in constitution's validator, under a key of its own."""
    return ComplianceValidator(constitution.BUILT_IN.hash, keys.generate())


def _authorizer(
    policy_data: Any, now_ns: Callable[[], int], keeping: Keeping | None
) -> EmbeddedAuthorizer:
    return load_authorizer(
        data=data() if policy_data is None else policy_data,
        now_ns=now_ns,
        keeping=keeping,
    )


class Inbox:
    """A handler that keeps what it gets, and waits while `gate` is closed."""

    def __init__(self, *, held: bool = False) -> None:
        self.got: list[Any] = []
        self.done: list[Any] = []
        self.gate = asyncio.Event()
        if not held:
            self.gate.set()

    async def __call__(self, body: Any, delivery: Delivery) -> None:
        """Keep the body; done once the gate is open."""
        del delivery
        self.got.append(body)
        await self.gate.wait()
        self.done.append(body)


class Background:
    """Runs coroutines beside the test; those that have not ended are cancelled."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self.tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Self:
        """Begin."""
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what still runs."""
        for task in self.tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)

    def run(self, work: Awaitable[Any]) -> "asyncio.Task[Any]":
        """Run one; its result, or the error it raised, is the task's result."""

        async def shielded() -> Any:
            try:
                return await work
            except Exception as error:  # noqa: BLE001 - the test looks at it
                return error

        task = self._group.create_task(shielded())
        self.tasks.append(task)
        return task


def totals(bus: BaseBus) -> SubjectStats:
    """Return the counts over all subjects."""
    sums: Counter[str] = Counter()
    for stats in bus.stats().subjects:
        sums.update(
            {
                f: getattr(stats, f)
                for f in SubjectStats.__dataclass_fields__
                if f != "template"
            }
        )
    return SubjectStats(template="all", **sums)


async def events(bus: TestBus) -> list[str]:
    """Return what the audit record in memory has so far, oldest first."""
    assert isinstance(bus.audit, MemoryAudit)
    await bus.audit.flush()
    return [entry.event for entry in bus.audit.tail(10_000)]


def at_rest(subscription: Subscription) -> bool:
    """Tell whether nothing is queued, held, waiting or in flight, and the room is right."""
    return (
        not subscription.busy
        and subscription.extra == 0
        and subscription.limit == subscription.capacity
        and not subscription.delayed
    )


def tamper(message: Message, **changes: Any) -> None:
    """Change a message in place, as no caller of the bus may."""
    for name, value in changes.items():
        msgspec.structs.force_setattr(message, name, value)


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the kinds of outcomes, in order."""
    return [type(outcome).__name__ for outcome in outcomes]


async def publish_one(
    bus: PartsBus, body: object = 1, **options: Any
) -> tuple[Any, Inbox]:
    """Return what one publish to one subscriber ends as, and the subscriber."""
    inbox = Inbox()
    sub = bus.agent("worker").subscribe("a", inbox)
    outcome = await bus.agent("planner").publish("a", body, **options)
    await bus.settle()
    assert at_rest(sub)
    return outcome, inbox
