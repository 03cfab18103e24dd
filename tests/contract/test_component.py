"""What every component of ours keeps to, whoever supervises it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bus.adapters.clock import SystemClock
from bus.core.names import check_name
from bus.core.recovering import DEFAULTS
from bus.recovery import (
    AgentProcess,
    Component,
    Part,
    Program,
    UnwellError,
    reconnect,
    reopen,
    restart,
    resubscribe,
    rewind,
    telling,
)
from tests.fakes.recoveries import Rig


class _Thing:
    """Something that is well or not."""

    def __init__(self) -> None:
        self.well = False

    def health(self) -> tuple[bool, str]:
        """Say so."""
        return self.well, "closed"

    async def act(self) -> None:
        """Be well."""
        self.well = True


Make = Callable[..., Part]


@asynccontextmanager
async def _part(make: Make) -> AsyncIterator[Component]:
    thing = _Thing()
    yield make("part", telling(thing.health), thing.act)


@asynccontextmanager
async def _process() -> AsyncIterator[Component]:
    rig = Rig()
    code = "import time; time.sleep(600)"
    made = AgentProcess(
        "planner",
        Program((sys.executable, "-I", "-S", "-c", code), {}),
        clock=SystemClock(),
        spawn=rig.spawn,
        exited=lambda *_: None,
    )
    try:
        yield made
    finally:
        await made.stop()
        await rig.end()


MAKERS: dict[str, Make] = {
    "reopen": reopen,
    "reconnect": reconnect,
    "restart": restart,
    "resubscribe": resubscribe,
    "rewind": rewind,
}


@pytest.fixture(params=[*MAKERS, "process"])
async def component(request: pytest.FixtureRequest) -> AsyncIterator[Component]:
    """Yield each component of ours, unwell."""
    async with AsyncExitStack() as stack:
        maker = MAKERS.get(request.param)
        made = _process() if maker is None else _part(maker)
        yield await stack.enter_async_context(made)


async def test_it_has_a_name_a_kind_and_an_action(component: Component) -> None:
    """What transitions are told with."""
    assert check_name("component", component.name)
    assert component.kind in DEFAULTS
    assert component.action


async def test_a_check_raises_what_is_wrong_and_changes_nothing(
    component: Component,
) -> None:
    """However often it is asked."""
    for _ in range(2):
        with pytest.raises(UnwellError, match=r"closed|not started"):
            await component.check()


async def test_after_a_recovery_it_is_well(component: Component) -> None:
    """And the methods return nothing."""
    calls = (component.recover, component.check, component.recover, component.check)
    assert [await call() for call in calls] == [None] * len(calls)  # type: ignore[func-returns-value] # that is the test


async def test_it_may_be_cancelled_and_called_again(component: Component) -> None:
    """A recovery that was given up does not spoil the next."""
    async with asyncio.TaskGroup() as tasks:
        acting = tasks.create_task(component.recover())
        await asyncio.sleep(0)
        acting.cancel()
    await component.recover()
    await component.check()
