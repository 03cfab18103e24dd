"""An engine that is waited for: the embedded one, answering when a test lets it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import msgspec

from policy.awaiting import AwaitedPolicy, AwaitingAuthorizer
from policy.bundle import Origin
from policy.evaluation import Answer
from policy.keeping import Keeping
from policy.loading import build
from tests.fakes import policies
from tests.fakes.messages import NOW_NS

_BUNDLE: Final = Origin(policies.data()).read()  # here, because reading blocks


class LateEngine:
    """Counts what it is asked; answers once `gate` is open, or raises `error`."""

    def __init__(self, data: dict[str, Any], *, revision: str = "") -> None:
        self.policy = build(msgspec.structs.replace(_BUNDLE, data=data))
        self.asked = 0
        self.closed = False
        self.error: Exception | None = None
        self.result: str | None = ""
        self.revision = revision
        self.gate = asyncio.Event()
        self.gate.set()

    async def evaluate(self, rule: str, input_json: str) -> Answer:
        """Answer as the embedded engine does, or what the test wants."""
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if self.result != "":
            return Answer(self.result, self.revision)
        found = self.policy.engine.evaluate(rule, input_json)
        return Answer(found, self.revision)

    async def close(self) -> None:
        """Be closed."""
        self.closed = True

    def ready(self, **changes: Any) -> AwaitedPolicy:
        """Return the policy this engine answers for."""
        given: dict[str, Any] = {
            "revision": self.policy.revision,
            "engine": self,
            "plan": self.policy.plan,
            "agents": dict(self.policy.agents),
            "cacheable": True,
            "told": True,
        }
        return AwaitedPolicy(**{**given, **changes})


class Tasks:
    """Starts the tasks that an authorizer wants started, and ends them."""

    def __init__(self) -> None:
        self.all: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` beside the test."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.all.append(task)

    async def cancel(self) -> None:
        """End every task."""
        for task in self.all:
            task.cancel()
        if self.all:
            await asyncio.wait(self.all)


def awaiting(
    data: dict[str, Any] | None = None,
    *,
    keeping: Keeping | None = None,
    **changes: Any,
) -> tuple[AwaitingAuthorizer, LateEngine, Tasks]:
    """Return an authorizer, its engine and its tasks."""
    engine, tasks = LateEngine(data or policies.data()), Tasks()
    made = AwaitingAuthorizer(now_ns=lambda: NOW_NS, spawn=tasks.spawn, keeping=keeping)
    made.put(engine.ready(**changes))
    return made, engine, tasks
