"""Chaos in a bus: off unless enabled, refused where it makes no sense, gone at its end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bus import Accepted, Failed, breaking, operating
from bus.chaos import Injector
from bus.config import Settings
from bus.config.governing import IsolatedSettings, OpaSettings, PolicySettings
from bus.config.keeping import StoreSettings
from bus.config.operating import ChaosSettings, ControlSettings
from bus.config.settings import AuditSettings
from bus.core.breaker import State
from bus.core.errors import (
    ConfigurationError,
    DeniedError,
    SubjectError,
    UnknownAgentError,
)
from bus.core.faults import Asked, ChaosRefusedError, Kind
from bus.core.operatinglimits import CHAOS_TIMEOUT_S
from bus.recovery import Orchestrator, UnknownComponentError, reopen
from bus.subscription import Delivery
from bus.testing import FakeClock, TestBus
from tests.fakes.buses import Background, Inbox, data, events, new_bus, totals
from tests.fakes.chaos import fault

CONTROL = ControlSettings(socket=Path("op.sock"), agent="op")


def enabled(*components: str, **given: Any) -> dict[str, Any]:
    """Return settings with chaos on."""
    chaos = ChaosSettings(enabled=True, blast_radius=1, components=components, **given)
    return {"control": CONTROL, "chaos": chaos}


def chaotic(
    *grants: str, agent: str = "op", components: Sequence[str] = (), **sections: Any
) -> TestBus:
    """Return a bus that the agent `op` may break as granted."""
    given = data(ops={"chaos": [*grants]})
    given["agents"]["op"] = {"tenant": "acme", "roles": ["ops"]}
    stored = ["store"] if "store" in sections else []
    made = enabled("policy", "audit", "clock", *stored, *components)
    made["control"] = ControlSettings(socket=Path("op.sock"), agent=agent)
    return new_bus(given, **{**made, **sections})


def injector(bus: TestBus) -> Injector:
    """Return what breaks a bus."""
    assert bus.chaos is not None
    return bus.chaos


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"chaos": ChaosSettings(blast_radius=0.1)}, "nothing uses it"),
        ({"chaos": ChaosSettings(enabled=True)}, "control.socket and control.agent"),
        (
            {
                "chaos": ChaosSettings(enabled=True),
                "control": ControlSettings(socket=Path("op.sock")),
            },
            "control.socket and control.agent",
        ),
        ({"control": ControlSettings(agent="op")}, "control.agent: set"),
        (enabled("polciy"), "no component 'polciy'.*'policy'"),
        (enabled("store"), "no component 'store'"),
        (enabled("disk"), "no component 'disk'"),
    ],
)
def test_settings_that_do_not_go_together_stop_the_start(
    sections: dict[str, Any], told: str
) -> None:
    """Nothing that is set is left unheeded."""
    with pytest.raises(ConfigurationError, match=told):
        breaking.injector(Settings(**sections), FakeClock())


def test_without_chaos_a_bus_is_made_of_its_own_parts() -> None:
    """No wrapper, no clock of another kind."""
    bus = new_bus()
    assert bus.chaos is None
    assert breaking.injector(Settings(), FakeClock()) is None


def test_what_can_be_hit_depends_on_what_there_is(tmp_path: Path) -> None:
    """A store, a file beside it, and breakers that are given."""
    given = Settings(**enabled(), audit=AuditSettings(file=tmp_path / "audit.log"))
    made = breaking.injector(given, FakeClock())
    assert made is not None
    assert set(made.plan.offers) == {
        *("policy", "audit", "handlers", "clock", "memory", "handles", "disk")
    }
    more = breaking.injector(
        Settings(
            **enabled("store", "opa"),
            store=StoreSettings(kind="sqlite", file=tmp_path / "bus.db"),
        ),
        FakeClock(),
        breakers={"opa": lambda: True, "policy": lambda: True},
    )
    assert more is not None
    assert {"store", "disk", "opa"} <= set(more.plan.offers)
    assert Kind.BREAKER in more.plan.offers["policy"]
    assert more.plan.offers["opa"] == {Kind.BREAKER}


async def test_breakers_of_supervised_components_are_opened() -> None:
    """Once, while closed; what is supervised no longer raises."""

    async def well() -> None:
        """Say nothing against it."""

    async with Background() as background:
        recovery = Orchestrator(
            FakeClock(),
            lambda work, _: background.tasks.append(background.run(work)),
            lambda _: None,
            lambda: 0.5,
        )
        recovery.register(reopen("store", well, well))
        recovery.start()
        made = breaking.trips(lambda: recovery, ["store", "gone"])
        assert made["store"]()
        assert recovery.breakers() == (State.OPEN,)
        assert not made["store"]()
        with pytest.raises(UnknownComponentError):
            made["gone"]()
        recovery.stop()


async def test_nothing_is_let_in_while_policy_cannot_be_reached() -> None:
    """Failed, not denied; and after its time it is as before."""
    bus = chaotic("policy.partition")
    inbox = Inbox()
    async with bus:
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        assert isinstance(await planner.publish("a", 1), Accepted)
        await injector(bus).start(fault(Kind.PARTITION))
        ended = await planner.publish("a", 2)
        assert isinstance(ended, Failed)
        assert ended.code == "policy_unavailable"
        assert "injected partition" in str(ended.error)
        await bus.advance(10)
        assert isinstance(await planner.publish("a", 3), Accepted)
        await bus.settle()
        told = await events(bus)
    assert inbox.done == [1, 3]
    assert told.count("chaos") == 2


async def test_slow_policy_makes_publishers_wait() -> None:
    """By the bus's clock, and then they are let in."""
    bus = chaotic("policy.latency")
    async with bus, Background() as background:
        bus.agent("worker").subscribe("a", Inbox())
        planner = bus.agent("planner")
        await injector(bus).start(fault(Kind.LATENCY, latency_s=2))
        sent = background.run(planner.publish("a", 1))
        await bus.advance(1.9)
        assert not sent.done()
        await bus.advance(0.1)
        assert isinstance(await sent, Accepted)
        injector(bus).stop_all()


async def test_a_stalled_record_lets_nothing_in() -> None:
    """Nothing happens unrecorded, on purpose or not."""
    bus = chaotic("audit.*")
    async with bus, Background() as background:
        bus.agent("worker").subscribe("a", Inbox())
        await injector(bus).start(fault(Kind.PARTITION, "audit"))
        sent = background.run(bus.agent("planner").publish("a", 1))
        await bus.advance(0.25)
        ended = await sent
        assert isinstance(ended, Failed)
        assert ended.code == "audit_stalled"
        injector(bus).stop_all()
        assert isinstance(await bus.agent("planner").publish("a", 1), Accepted)


async def test_deliveries_wait_for_a_stalled_record_and_the_loop_goes_on() -> None:
    """What was accepted before is delivered after; time passes meanwhile."""
    bus = chaotic("audit.*")
    inbox = Inbox(held=True)
    async with bus:
        bus.agent("worker").subscribe("a", inbox)
        for number in range(2):
            await bus.agent("planner").publish("a", number)
        await bus.settle()
        await injector(bus).start(fault(Kind.PARTITION, "audit", seconds=5))
        inbox.gate.set()
        await bus.advance(4)
        assert len(injector(bus).plan.active) == 1
        await bus.advance(2)
        assert injector(bus).plan.active == {}
    assert inbox.done == [0, 1]


async def test_nothing_begins_in_a_bus_that_does_not_run() -> None:
    """Its record is not open yet, or not any more; and what is on ends."""
    bus = chaotic("policy.*")
    with pytest.raises(ChaosRefusedError, match="the bus is not running"):
        await injector(bus).start(fault(Kind.PARTITION))
    async with bus:
        pass
    with pytest.raises(ChaosRefusedError, match="the bus is not running"):
        await injector(bus).start(fault(Kind.PARTITION))


async def test_a_store_that_fails_lets_nothing_in() -> None:
    """What could not be kept is not accepted, and is not delivered."""
    bus = chaotic("store.*", store=StoreSettings(kind="memory"))
    inbox = Inbox()
    async with bus:
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        assert isinstance(await planner.publish("a", 1), Accepted)
        await injector(bus).start(fault(Kind.PARTITION, "store"))
        ended = await planner.publish("a", 2)
        assert isinstance(ended, Failed)
        assert ended.code == "store_unavailable"
        injector(bus).stop_all()
        assert isinstance(await planner.publish("a", 3), Accepted)
        await bus.settle()
    assert inbox.done == [1, 3]


async def test_messages_are_dated_by_the_clock_that_jumps() -> None:
    """What lives for a minute is over after a jump of an hour."""
    bus = chaotic("clock.clock")
    inbox = Inbox(held=True)
    async with bus:
        bus.agent("worker").subscribe("a", inbox)
        planner = bus.agent("planner")
        for number in range(2):  # the second waits for the first
            await planner.publish("a", number, ttl=60)
        await bus.settle()
        await injector(bus).start(fault(Kind.CLOCK, "clock", jump_s=3600))
        inbox.gate.set()
        await bus.settle()
        assert "expired" in await events(bus)
        injector(bus).stop_all()
    assert inbox.done == [0]


async def test_policy_says_what_may_be_broken() -> None:
    """Component and kind have to be granted to the control agent; a refusal is recorded."""
    bus = chaotic("policy.latency")
    async with bus:
        with pytest.raises(DeniedError, match=r"may break policy\.partition"):
            await injector(bus).start(fault(Kind.PARTITION))
        assert (await events(bus))[-1] == "denied"
        assert injector(bus).plan.active == {}


async def test_an_agent_that_nobody_knows_breaks_nothing() -> None:
    """The settings name it, the policy data do not."""
    bus = chaotic("policy.*", agent="nobody")
    async with bus:
        with pytest.raises(UnknownAgentError):
            await injector(bus).start(fault(Kind.PARTITION))


async def test_closing_the_bus_ends_every_fault_first() -> None:
    """So that it can drain, and records why they ended."""
    bus = chaotic("policy.*", "audit.*")
    async with bus:
        for component in ("audit", "policy"):  # the second closes the door
            await injector(bus).start(fault(Kind.PARTITION, component))
        await bus.close()
        told = [entry.detail for entry in _tail(bus) if entry.event == "chaos"]
    assert sum("the bus stops" in detail for detail in told) == 2


async def test_a_bus_whose_health_is_critical_is_not_broken_further() -> None:
    """Too few of its checks hold: what is on ends, and nothing more begins."""
    bus = chaotic("policy.*")
    checks = {"bus running": (True, "running"), "audit not stalled": (True, "well")}
    async with bus:
        host = bus._host  # noqa: SLF001 - as the composition root does it
        breaking.attach(injector(bus), host, "op", operating.critical(lambda: checks))
        await injector(bus).start(fault(Kind.PARTITION))
        await bus.advance(1)
        checks["audit not stalled"] = (False, "disk full")
        await bus.advance(1)
        assert len(injector(bus).plan.active) == 1  # degraded
        checks["bus running"] = (False, "failed")
        await bus.advance(0.25)
        assert injector(bus).plan.active == {}
        with pytest.raises(ChaosRefusedError, match="critical: bus running, audit"):
            await injector(bus).start(fault(Kind.PARTITION))


def _tail(bus: TestBus) -> Any:
    return bus.audit.tail(100)  # type: ignore[union-attr]  # it is in memory


def test_what_is_asked_for_stands_in_one_struct() -> None:
    """The same one that the control channel takes."""
    assert set(Asked.__struct_fields__) >= {"kind", "component", "seconds", "reason"}


async def test_a_handler_fails_before_it_begins_and_is_tried_again() -> None:
    """Only where the subject matches, and every way a handler may be called."""
    bus = chaotic("handlers.*", components=("handlers",))
    inbox, other, alone = Inbox(), Inbox(), list[Any]()

    async def bare(body: int) -> None:
        alone.append(body)

    async def undecoded(delivery: Delivery) -> None:
        alone.append(delivery.attempt)

    async with bus:
        worker = bus.agent("worker")
        for subject, handler in (("a.x", inbox), ("b", other), ("a.y", bare)):
            worker.subscribe(subject, handler, backoff=[1])
        worker.subscribe("a.z", undecoded, backoff=[1])
        planner = bus.agent("planner")
        refused: dict[str, Any] = {"component": "handlers", "share": 1.0}
        with pytest.raises(ChaosRefusedError, match="handlers needs a subject"):
            await injector(bus).start(fault(Kind.ERROR, **refused))
        with pytest.raises(SubjectError):
            await injector(bus).start(fault(Kind.ERROR, subject="a..b", **refused))
        await injector(bus).start(
            fault(Kind.ERROR, seconds=0.5, subject="a.*", **refused)
        )
        for subject in ("a.x", "b", "a.y", "a.z"):
            await planner.publish(subject, 7)
        await bus.settle()
        assert (inbox.done, other.done, alone) == ([], [7], [])
        await bus.advance(2)
        assert (inbox.done, alone) == ([7], [7, 2])
        (over,) = injector(bus).plan.ended
        assert (over.questions, over.hits) == (3, 3)


async def test_a_handler_that_hangs_is_interrupted_by_its_lease() -> None:
    """Or lost with the fault, if that ends first."""
    bus = chaotic("handlers.*", components=("handlers",))
    inbox = Inbox()
    async with bus:
        bus.agent("worker").subscribe(
            "a", inbox, ack_wait=5, backoff=[1], max_deliver=9
        )
        hangs = fault(
            Kind.TIMEOUT, "handlers", share=1.0, subject="a", seconds=30, seed=1
        )
        begun = await injector(bus).start(hangs)
        await bus.agent("planner").publish("a", 7)
        await bus.advance(4)
        assert totals(bus).redelivered == 0
        await bus.advance(10)
        assert totals(bus).redelivered > 0
        assert inbox.got == []
        injector(bus).stop(begun.id)
        await bus.advance(2)
        assert inbox.done == [7]


async def test_policy_that_hangs_is_waited_for_as_long_as_its_engine() -> None:
    """Then it is unavailable, as where the engine itself did not answer."""
    bus = chaotic("policy.*")
    inbox = Inbox()
    async with bus, Background() as background:
        bus.agent("worker").subscribe("a", inbox)
        await injector(bus).start(fault(Kind.TIMEOUT, share=1.0, seconds=30))
        waits = background.run(bus.agent("planner").publish("a", 1))
        await bus.advance(CHAOS_TIMEOUT_S - 0.5)
        assert not waits.done()
        await bus.advance(1)
        assert (await waits).code == "policy_unavailable"


def test_the_deadline_of_policy_is_that_of_its_engine() -> None:
    """As the settings say."""
    engines: list[tuple[Any, float]]
    engines = [("opa", 0.5), ("isolated", 0.25), ("embedded", CHAOS_TIMEOUT_S)]
    for engine, deadline_s in engines:
        given = Settings(
            **enabled("policy"),
            policy=PolicySettings(engine=engine),
            opa=OpaSettings(deadline_seconds=0.5),
            isolated=IsolatedSettings(deadline_seconds=0.25),
        )
        assert breaking._policy_s(given) == deadline_s  # noqa: SLF001 - one table
