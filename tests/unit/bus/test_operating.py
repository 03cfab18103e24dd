"""What an operator may order, and what is answered where a part is not there."""

import asyncio
from typing import Any

import msgspec
import pytest

from bus import operating
from bus.chaos import Injector
from bus.core.errors import MalformedMessageError, UsageError
from bus.core.recovering import State
from bus.operating import Components, Faults, Transitions
from bus.recovery import NotAwaitedError, Orchestrator, UnknownComponentError, reopen
from bus.rewinding import Rewound
from bus.testing import FakeClock
from bus.watching import Seen, Top, top
from tests.fakes.buses import Background, Inbox, PartsBus
from tests.fakes.chaos import Broken


async def picture() -> Top:
    """Show a bus without anything."""
    return top(Seen(time_ns=1, revision="r1", checks={}), [])


async def unkept(name: str, tenant: str) -> Rewound:
    """Be a bus that keeps nothing."""
    raise UsageError(f"nothing is kept for {name} of {tenant}")


async def order(
    name: str,
    arguments: dict[str, Any] | None = None,
    *,
    chaos: Injector | None = None,
    recovery: Orchestrator | None = None,
) -> Any:
    """Order it as the control channel does."""
    orders = operating.commands(picture, chaos, recovery, unkept)
    return await orders[name](arguments or {})


async def test_the_picture_is_a_command() -> None:
    """It takes nothing."""
    assert await order("top") == await picture()
    with pytest.raises(MalformedMessageError, match="unknown field"):
        await order("top", {"rows": 3})


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("recovery.list", {}, "supervises no components"),
        ("recovery.history", {}, "supervises no components"),
        ("recovery.approve", {"component": "store"}, "supervises no components"),
        ("recovery.cancel", {"component": "store"}, "supervises no components"),
        ("recovery.rewind", {"consumer": "c", "tenant": "t"}, "kept for c of t"),
        ("chaos.list", {}, "chaos is off: set chaos.enabled"),
        ("chaos.stop", {"all": True}, "chaos is off"),
        (
            "chaos.start",
            {"kind": "error", "component": "policy", "seconds": 1, "reason": "drill"},
            "chaos is off",
        ),
    ],
)
async def test_what_a_bus_has_not_cannot_be_ordered(
    name: str, arguments: dict[str, Any], told: str
) -> None:
    """It says what to do."""
    with pytest.raises(UsageError, match=told):
        await order(name, arguments)


async def test_faults_are_begun_listed_and_ended() -> None:
    """With their counts, and with what may be hit."""
    broken = Broken().attach()
    chaos = broken.injector
    asked = {"component": "policy", "seconds": 10, "reason": "drill"}
    begun: Faults = await order(
        "chaos.start", {**asked, "kind": "partition"}, chaos=chaos
    )
    assert [one.id for one in begun.active] == ["f1"]
    await order("chaos.start", {**asked, "kind": "error", "share": 0.5}, chaos=chaos)
    listed: Faults = await order("chaos.list", chaos=chaos)
    assert [one.id for one in listed.active] == ["f1", "f2"]
    assert listed.components["clock"] == ("clock",)
    ended: Faults = await order("chaos.stop", {"id": "f1"}, chaos=chaos)
    assert [(one.id, one.ended) for one in ended.ended] == [("f1", "stopped")]
    await order("chaos.stop", {"all": True}, chaos=chaos)
    listed = await order("chaos.list", chaos=chaos)
    assert (listed.active, [one.id for one in listed.ended]) == ((), ["f1", "f2"])
    cases: list[dict[str, Any]] = [{}, {"id": "f1", "all": True}]
    for wrong in cases:
        with pytest.raises(UsageError, match="name one fault, or all of them"):
            await order("chaos.stop", wrong, chaos=chaos)
    again = msgspec.json.decode(msgspec.json.encode(listed), type=Faults)
    assert again == listed


async def test_a_fault_that_is_misspelt_is_malformed() -> None:
    """Nothing is guessed."""
    with pytest.raises(MalformedMessageError, match="arguments: "):
        await order("chaos.start", {"kind": "fire"}, chaos=Broken().attach().injector)


class Failing:
    """A part that is unwell until the test says otherwise."""

    def __init__(self) -> None:
        self.well = False

    async def check(self) -> None:
        """Be unwell."""
        if not self.well:
            raise OSError("disk full")

    async def mend(self) -> None:
        """Be brought back."""
        self.well = True


async def test_recovery_is_listed_and_ordered() -> None:
    """By name, and the history has who ordered it."""
    part = Failing()
    async with Background() as background:
        recovery = Orchestrator(
            FakeClock(),
            lambda work, _: background.tasks.append(background.run(work)),
            lambda _: None,
            lambda: 0.5,
        )
        recovery.register(reopen("store", part.check, part.mend))
        recovery.start()
        with pytest.raises(NotAwaitedError):
            await order("recovery.approve", {"component": "store"}, recovery=recovery)
        with pytest.raises(UnknownComponentError):
            await order("recovery.cancel", {"component": "stroe"}, recovery=recovery)
        recovery.report("store", OSError("disk full"))
        found: Components = await order("recovery.list", recovery=recovery)
        assert [(one.component, one.error) for one in found.components] == [
            ("store", "OSError: disk full")
        ]
        found = await order(
            "recovery.cancel", {"component": "store"}, recovery=recovery
        )
        assert [one.state for one in found.components] == [State.CANCELLED]
        found = await order(
            "recovery.approve", {"component": "store"}, recovery=recovery
        )
        for _ in range(50):
            await asyncio.sleep(0)
        recovery.stop()
    told: Transitions = await order("recovery.history", recovery=recovery)
    assert part.well
    assert {"operator", ""} == {step.by for step in told.transitions}
    only: Transitions = await order(
        "recovery.history", {"component": "other"}, recovery=recovery
    )
    assert only.transitions == ()
    again = msgspec.json.decode(msgspec.json.encode(told), type=Transitions)
    assert again == told


async def test_subscriptions_are_shown_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits, what is in flight, what is delayed; the loop turns in between."""
    monkeypatch.setattr(operating, "TOP_ROWS_PER_TURN", 2)
    async with PartsBus() as bus:
        inbox = Inbox(held=True)
        bus.agent("worker").subscribe("a", inbox)
        bus.agent("critic").subscribe("b", Inbox())
        planner = bus.agent("planner")
        for number in range(3):
            await planner.publish("a", number)
        await planner.publish("b", 1)
        await bus.settle()
        host = bus._host  # noqa: SLF001 - as the composition root does it
        made = await operating.picture(
            host, lambda: {"bus running": (True, "so")}, None
        )
        assert [(c.name, c.pending, c.in_flight) for c in made.consumers] == [
            ("worker/a", 3, 1),
            ("critic/b", 0, 0),
        ]
        assert (made.consumers[0].tenant, made.durable) == ("acme", False)
        assert made.consumers[0].redelivered is None
        inbox.gate.set()
