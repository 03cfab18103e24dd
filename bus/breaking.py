"""Settings become chaos: nothing of it is there unless the settings enable it.

Rule: what is enabled is wrapped around a bus's parts once, when it is made, so that a
bus without it is exactly as it was. Below the composition root, and only for it.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from bus.chaos import (
    Ballast,
    ChaosAudit,
    ChaosAuthorizer,
    ChaosClock,
    ChaosHandlers,
    ChaosStore,
    Injector,
    Seam,
    Surroundings,
    authorizer,
    handlers,
    keeper,
    recorder,
)
from bus.config import Settings
from bus.config.operating import ChaosSettings
from bus.core.breaker import State
from bus.core.chaosplan import Plan
from bus.core.decision import Principal
from bus.core.errors import ConfigurationError
from bus.core.faults import Kind, Reach
from bus.core.limits import AUDIT_WAIT_S
from bus.core.operatinglimits import CHAOS_S_MAX, CHAOS_TIMEOUT_S
from bus.core.storelimits import STORE_WAIT_S
from bus.core.suggest import hint
from bus.host import Host
from bus.parts import Parts
from bus.ports import Clock
from bus.recovery import Orchestrator, UnwellError

_QUESTIONS: Final = frozenset({Kind.LATENCY, Kind.ERROR, Kind.TIMEOUT, Kind.PARTITION})
_CLOCK: Final = "clock"
_SEED_BYTES: Final = 8


def check(settings: Settings) -> None:
    """Raise `ConfigurationError` if what is set of control and chaos does nothing."""
    control, chaos = settings.control, settings.chaos
    if control.agent is not None and control.socket is None:
        raise ConfigurationError("control.agent: set, and control.socket is not")
    if not chaos.enabled:
        if chaos != ChaosSettings():
            raise ConfigurationError(
                "chaos: set, and nothing uses it; set chaos.enabled, or unset the rest"
            )
        return
    if control.socket is None or control.agent is None:
        raise ConfigurationError(
            "chaos.enabled: it is ordered over the control channel in an agent's name; "
            "set control.socket and control.agent"
        )


def injector(
    settings: Settings,
    clock: Clock,
    *,
    breakers: Mapping[str, Callable[[], bool]] | None = None,
) -> Injector | None:
    """Return what injects faults, or None where that is not enabled.

    Its `clock` is the one for the bus. `breakers` opens, by name, those that there are.

    Raises:
        ConfigurationError: the settings do not go together.
    """
    check(settings)
    if not settings.chaos.enabled:
        return None
    from bus.chaos.ballast import (  # noqa: PLC0415 - slow, and rarely needed
        Disk,
        Handles,
        Memory,
    )

    file = settings.store.file or settings.audit.file
    folder = None if file is None else file.parent
    trips = dict(breakers or {})
    keeps = settings.store.kind != "direct"
    offers = _offers(trips, keeps=keeps, disk=folder is not None)
    plan = Plan(_reach(settings.chaos), offers)
    _check_names(settings.chaos, plan)
    ballast: dict[Kind, Callable[[], Ballast]] = {
        Kind.MEMORY: Memory,
        Kind.HANDLES: Handles,
    }
    if folder is not None:
        ballast[Kind.DISK] = lambda: Disk(folder)
    return Injector(
        plan,
        ChaosClock(clock),
        ballast=ballast,
        breakers=trips,
        blast_radius=settings.chaos.blast_radius,
    )


def trips(
    recovery: Callable[[], Orchestrator], names: Iterable[str]
) -> dict[str, Callable[[], bool]]:
    """Return what opens the breakers of these supervised components, if closed.

    `recovery` is asked for when one is opened: it may be made later.
    """

    def of(name: str) -> Callable[[], bool]:
        def trip() -> bool:
            found = {one.component: one.breaker for one in recovery().status()}
            if found.get(name, State.CLOSED) is not State.CLOSED:
                return False
            recovery().trip(name, UnwellError("chaos holds its breaker open"))
            return True

        return trip

    return {name: of(name) for name in names}


def clock_of(injector: Injector | None, clock: Clock) -> Clock:
    """Return the clock for the bus: one that can be made to jump, where it may."""
    return clock if injector is None else injector.clock


def around(
    injector: Injector | None, parts: Parts, settings: Settings | None = None
) -> Parts:
    """Return the parts with a seam in each that can be hit; as they are without one.

    `settings` say how long an engine of policy is waited for, where it is not the usual.
    """
    if injector is None:
        return parts
    true = injector.clock.true

    def seam(component: str, deadline_s: float) -> Seam:
        return Seam(injector.plan, component, true, deadline_s)

    kept = parts.kept
    if kept is not None:
        store = ChaosStore(kept.store, seam(keeper.COMPONENT, STORE_WAIT_S), true)
        kept = msgspec.structs.replace(kept, store=store)
    return msgspec.structs.replace(
        parts,
        authorizer=ChaosAuthorizer(
            parts.authorizer,
            seam(authorizer.COMPONENT, _policy_s(settings or Settings())),
        ),
        audit=ChaosAudit(parts.audit, seam(recorder.COMPONENT, AUDIT_WAIT_S)),
        kept=kept,
        # Who waits for a handler is its lease, which ends it.
        around=ChaosHandlers(seam(handlers.COMPONENT, CHAOS_S_MAX)).around,
    )


def attach(
    injector: Injector | None,
    host: Host,
    agent: str | None,
    critical: Callable[[], str],
) -> None:
    """Let an injector act in a bus, in the name of `agent`.

    `critical` says why everything is to be stopped, or nothing; a bus that is not
    running is stopped in any case. Without an injector or an agent nothing is done.
    """
    if injector is None or agent is None:
        return
    parts = host.parts

    def stopped() -> str:
        return critical() if host.open else "the bus is not running"

    def who() -> Principal:
        return parts.authorizer.principal(agent)

    injector.attach(
        Surroundings(
            who=who,
            admit=host.notes.admit,
            note=host.notes.note,
            critical=stopped,
            draw=lambda: os.urandom(_SEED_BYTES),
            name=lambda: parts.ids.next(parts.clock.now_ns()).hex(),
        )
    )


def _policy_s(settings: Settings) -> float:
    """Return how long who asks policy waits for its answer."""
    own = {
        "opa": settings.opa.deadline_seconds,
        "isolated": settings.isolated.deadline_seconds,
    }
    return own.get(settings.policy.engine, CHAOS_TIMEOUT_S)


def _reach(chaos: ChaosSettings) -> Reach:
    return Reach(
        max_seconds=chaos.max_seconds,
        blast_radius=chaos.blast_radius,
        components=frozenset(chaos.components),
    )


def _offers(
    trips: Iterable[str], *, keeps: bool, disk: bool
) -> dict[str, frozenset[Kind]]:
    offers = {
        authorizer.COMPONENT: _QUESTIONS,
        recorder.COMPONENT: _QUESTIONS,
        handlers.COMPONENT: _QUESTIONS,
        _CLOCK: frozenset({Kind.CLOCK}),
        Kind.MEMORY.value: frozenset({Kind.MEMORY}),
        Kind.HANDLES.value: frozenset({Kind.HANDLES}),
    }
    if keeps:
        offers[keeper.COMPONENT] = _QUESTIONS
    if disk:
        offers[Kind.DISK.value] = frozenset({Kind.DISK})
    for name in trips:
        offers[name] = offers.get(name, frozenset()) | {Kind.BREAKER}
    return offers


def _check_names(chaos: ChaosSettings, plan: Plan) -> None:
    for name in chaos.components:
        if name not in plan.offers:
            told = ", ".join(sorted(plan.offers))
            raise ConfigurationError(
                f"chaos.components: this bus has no component {name!r}"
                f"{hint(name, plan.offers)}; there are: {told}"
            )
