"""What an operator may order of a running bus, and what it shows.

Rule: a command is a function of one struct. Who may open the socket may order all of
it; what breaks something asks policy as well. Below the composition root.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec

from bus import watching
from bus.adapters.control import Command, command
from bus.chaos import Injector
from bus.core.errors import UsageError
from bus.core.faults import Asked, Injection
from bus.core.operatinglimits import TOP_ROWS_MAX, TOP_ROWS_PER_TURN
from bus.core.recovering import Standing, standing
from bus.host import Host
from bus.ledger import Ledger
from bus.recovery import HealthBoard, Orchestrator, Status, Transition
from bus.rewinding import Rewound
from bus.subscription import Subscription
from bus.watching import Checks, ConsumerLine, Pace, Seen, Top

_OPERATOR: Final = "operator"

Picture = Callable[[], Awaitable[Top]]
Rewind = Callable[[str, str], Awaitable[Rewound]]
"""Takes a consumer back to its last ack: of that name, of that tenant or of the one."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a command that takes none."""


class OfComponent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The component an order is for."""

    component: str


class OfConsumer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The durable consumer an order is for; `tenant` where several have that name."""

    consumer: str
    tenant: str = ""


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose history: that of all components if None."""

    component: str | None = None


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which fault to end: `id`, or all of them."""

    id: str = ""
    all: bool = False


class Components(msgspec.Struct, frozen=True):
    """Where every supervised component stands."""

    components: tuple[Status, ...]


class Transitions(msgspec.Struct, frozen=True):
    """What happened to components, oldest first."""

    transitions: tuple[Transition, ...]


class Faults(msgspec.Struct, frozen=True):
    """The faults that are on, and those that are over, oldest first.

    `components` are those that may be hit, each with what it can be hit by.
    """

    active: tuple[Injection, ...]
    ended: tuple[Injection, ...] = ()
    components: dict[str, tuple[str, ...]] = {}


def commands(
    picture: Picture,
    chaos: Injector | None,
    recovery: Orchestrator | None,
    rewind: Rewind,
) -> dict[str, Command]:
    """Return the commands by name, for `bus.adapters.control.serve`.

    Those of a part that is not there are refused with what to set.
    """

    async def top(asked: Nothing) -> Top:
        del asked
        return await picture()

    return {
        "top": command(Nothing, top),
        "recovery.rewind": _rewind_command(rewind),
        **_recovery_commands(recovery),
        **_chaos_commands(chaos),
    }


def _recovery_commands(recovery: Orchestrator | None) -> dict[str, Command]:
    def there() -> Orchestrator:
        if recovery is None:
            raise UsageError("this bus supervises no components")
        return recovery

    async def listed(asked: Nothing) -> Components:
        del asked
        return Components(there().status())

    async def history(asked: History) -> Transitions:
        return Transitions(there().history(asked.component))

    async def approve(asked: OfComponent) -> Components:
        there().approve(asked.component, by=_OPERATOR)
        return _standing_of(there(), asked.component)

    async def cancel(asked: OfComponent) -> Components:
        there().cancel(asked.component, by=_OPERATOR)
        return _standing_of(there(), asked.component)

    return {
        "recovery.list": command(Nothing, listed),
        "recovery.history": command(History, history),
        "recovery.approve": command(OfComponent, approve),
        "recovery.cancel": command(OfComponent, cancel),
    }


def _rewind_command(rewind: Rewind) -> Command:
    async def rewound(asked: OfConsumer) -> Rewound:
        return await rewind(asked.consumer, asked.tenant)

    return command(OfConsumer, rewound)


def rewinds(host: Host) -> Rewind:
    """Return what takes a consumer of a bus back to its last ack, and records that.

    It raises `UsageError` where the bus is not running or keeps nothing, and as
    `bus.rewinding.Rewinding.rewind_named`.
    """

    async def rewind(name: str, tenant: str) -> Rewound:
        host.require_open()
        done = await host.require_ledger().rewinding.rewind_named(name, tenant)
        told = f"consumer {done.consumer} of {done.tenant}: rewound to its last ack"
        more = f"{done.deliveries} not settled, {done.in_hand} of them in hand"
        host.notes.note("recovery", f"{told}; {more}; by {_OPERATOR}")
        return done

    return rewind


def _chaos_commands(chaos: Injector | None) -> dict[str, Command]:
    def there() -> Injector:
        if chaos is None:
            raise UsageError("chaos is off: set chaos.enabled, and start the bus anew")
        return chaos

    async def start(asked: Asked) -> Faults:
        return Faults((await there().start(asked),))

    async def stop(asked: Stop) -> Faults:
        if bool(asked.id) is asked.all:
            raise UsageError("name one fault, or all of them")
        ended = there().stop_all() if asked.all else there().stop(asked.id)
        return Faults((), tuple(ended))

    async def listed(asked: Nothing) -> Faults:
        del asked
        plan = there().plan
        offered = {
            name: tuple(sorted(kind.value for kind in plan.offers[name]))
            for name in sorted(plan.reach.components & plan.offers.keys())
        }
        return Faults(tuple(plan.active.values()), tuple(plan.ended), offered)

    return {
        "chaos.start": command(Asked, start),
        "chaos.stop": command(Stop, stop),
        "chaos.list": command(Nothing, listed),
    }


def _standing_of(recovery: Orchestrator, name: str) -> Components:
    return Components(tuple(s for s in recovery.status() if s.component == name))


async def picture(
    host: Host, checks: Callable[[], Checks], board: HealthBoard | None
) -> Top:
    """Return what there is to see: of its consumers, or of subscriptions without a store."""
    parts, ledger = host.parts, host.ledger
    health = None if board is None else board.now()
    pace = None
    if ledger is None:
        lines, streams = await subscription_lines(host.roster.staffed), []
    else:
        lines = await consumer_lines(ledger, parts.clock.now_ns())
        streams = [stream.row for stream in ledger.streams.by_id.values()]
        counted = ledger.store.stats()
        pace = Pace(counted.commits, counted.appended, ledger.opened_ns)
    return watching.top(
        Seen(
            time_ns=parts.clock.now_ns(),
            revision=parts.authorizer.revision,
            checks=checks(),
            pace=pace,
            dead_letters=len(host.letters.kept)
            if ledger is None
            else ledger.store.stats().letters,
            held=len(host.holds.kept),
            score=None if health is None else health.score,
            stands=None if health is None else health.standing,
        ),
        lines,
        streams,
    )


async def consumer_lines(ledger: Ledger, now_ns: int) -> list[ConsumerLine]:
    """Return a line for each durable consumer; the age of the oldest is read for few."""
    lines = []
    for number, one in enumerate(list(ledger.consumers.by_id.values()), 1):
        oldest_ns: int | None = 0
        if one.pending > 0:
            read = number <= TOP_ROWS_MAX
            oldest_ns = await ledger.rewinding.oldest_ns(one, now_ns) if read else None
        lines.append(
            ConsumerLine(
                tenant=one.row.tenant,
                name=one.row.name,
                pending=max(one.pending, 0),
                in_flight=sum(member.in_flight for member in one.members),
                delayed=sum(len(member.delayed) for member in one.members),
                redelivered=one.redelivered,
                dead=one.dead,
                oldest_ns=oldest_ns,
            )
        )
        if not number % TOP_ROWS_PER_TURN:
            await asyncio.sleep(0)
    return lines


async def subscription_lines(
    subscriptions: Iterable[Subscription],
) -> list[ConsumerLine]:
    """Return a line for each subscription; the loop turns in between."""
    lines = []
    for number, one in enumerate(list(subscriptions), 1):
        lines.append(
            ConsumerLine(
                tenant=one.spec.tenant,
                name=one.name,
                pending=one.load,
                in_flight=one.in_flight,
                delayed=len(one.delayed),
            )
        )
        if not number % TOP_ROWS_PER_TURN:
            await asyncio.sleep(0)
    return lines


def critical(checks: Callable[[], Checks]) -> Callable[[], str]:
    """Return what says why chaos must stop: too few of the checks hold, or nothing."""

    def told() -> str:
        found = checks()
        if standing(watching.score_of(found)) is not Standing.CRITICAL:
            return ""
        wrong = ", ".join(name for name, (ok, _) in found.items() if not ok)
        return f"health is critical: {wrong}"

    return told
