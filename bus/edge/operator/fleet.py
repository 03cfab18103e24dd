"""The fleet: every agent, what it does and how it is; quarantine, release and kill.

Rule: an order about an agent is typed with its name, given with a reason, recorded with
who gave it, and never about somebody with more rights than who gives it.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from bus.core.edgeerrors import ForbiddenError, NotFoundError
from bus.core.edgelimits import REASON_CHARS_MAX, ROWS_PER_TURN
from bus.core.errors import LimitExceededError, MalformedMessageError, UsageError
from bus.edge.caller import Caller, Scope
from bus.edge.connections import Connections
from bus.edge.identity import Identity
from bus.edge.operations import Operation
from bus.edge.operator.answers import (
    AgentHealth,
    AgentRow,
    Agents,
    AgentsAsked,
    Confirmed,
    OfAgent,
    QuarantineRow,
    Reasoned,
    Spend,
    Warded,
)
from bus.edge.operator.inside import Inside, seen_by, tenant_of
from bus.edge.operator.loads import Load, Loads
from bus.edge.operator.roll import Listed, Roll
from bus.edge.operator.tap import Tap
from bus.edge.operator.told import rfc3339
from bus.edge.tokens import Tokens
from bus.host import AGENT_MESSAGE

_NO_LOAD: Final = Load()
_Loads = Mapping[tuple[str, str], Load]


class Keepers(msgspec.Struct, frozen=True):
    """Who lets agents in, with what, and where they are connected."""

    identity: Identity
    tokens: Tokens
    connections: Connections


class Fleet:
    """The agents of one node, as operators see and order them."""

    def __init__(
        self,
        inside: Inside,
        tap: Tap,
        loads: Loads,
        keepers: Keepers,
    ) -> None:
        self._inside = inside
        self._tap = tap
        self._loads = loads
        self._identity = keepers.identity
        self._tokens = keepers.tokens
        self._connections = keepers.connections
        self.roll = Roll(inside, tap)

    async def agents(self, caller: Caller, asked: AgentsAsked) -> Agents:
        """Return a page of agents by name."""
        tenant = tenant_of(caller, asked.tenant)
        total = await self.roll.count(seen_by(caller))
        loads = await self._loads.now()
        sheet, places = await self.roll.after(tenant, asked.after)
        found: list[AgentRow] = []
        for number, place in enumerate(places, 1):
            if not number % ROWS_PER_TURN:
                await asyncio.sleep(0)
            if asked.q and asked.q not in sheet.names[place]:
                continue
            if len(found) == asked.limit:
                return Agents(items=tuple(found), total=total, next=found[-1].name)
            known = self.roll.at(sheet, place)
            if asked.health in {None, self._health(known, loads)}:
                found.append(self._row(known, loads))
        return Agents(items=tuple(found), total=total)

    async def agent(self, caller: Caller, asked: OfAgent) -> AgentRow:
        """Return one agent; raises `NotFoundError`."""
        return self._row(await self._known(caller, asked.name), await self._loads.now())

    async def quarantine(self, caller: Caller, asked: Confirmed) -> Warded:
        """Let an agent in no more, and end its connections."""
        known = await self._ordered(caller, asked)
        closed = self._connections.of(known.name)
        await self._identity.quarantine(known.name, caller.agent, asked.reason)
        self._record("quarantined", caller, known, asked.reason)
        return self._warded(known, closed=closed)

    async def release(self, caller: Caller, asked: Reasoned) -> Warded:
        """Let an agent in again."""
        known = await self._known(caller, asked.name)
        _check_reason(asked.reason)
        self._check_rights(caller, known)
        await self._identity.lift(known.name)
        self._record("quarantine_lifted", caller, known, asked.reason)
        return self._warded(known)

    async def kill(self, caller: Caller, asked: Confirmed) -> Warded:
        """Let an agent in no more, end its connections, and void its credentials."""
        known = await self._ordered(caller, asked)
        closed = self._connections.of(known.name)
        await self._identity.quarantine(known.name, caller.agent, asked.reason)
        self._record("quarantined", caller, known, asked.reason)
        ended = await self._identity.revoke_all(known.name)
        told = f"{asked.reason}; {len(ended)} tokens revoked"
        self._record("killed", caller, known, told)
        return self._warded(known, closed=closed, revoked=len(ended))

    async def _ordered(self, caller: Caller, asked: Confirmed) -> Listed:
        """Return the agent of an order that may be carried out."""
        known = await self._known(caller, asked.name)
        if asked.confirm != known.name:
            raise MalformedMessageError("confirm: type the agent's name once more")
        _check_reason(asked.reason)
        if known.name == caller.agent:
            raise UsageError("that is you: another operator must order it")
        self._check_rights(caller, known)
        return known

    async def _known(self, caller: Caller, name: str) -> Listed:
        known = await self.roll.find(name)
        if known is None or not caller.sees(known.tenant):
            raise NotFoundError("there is no such agent")
        return known

    def _check_rights(self, caller: Caller, known: Listed) -> None:
        held = self._tokens.scope_of(known.name)
        if not caller.scope.covers(held):
            raise ForbiddenError(f"{known.name} has a credential of scope {held.value}")

    def _record(self, event: str, caller: Caller, known: Listed, reason: str) -> None:
        told = f"agent {known.name}: {reason}"
        self._inside.record(event, caller, known.tenant, told)

    def _warded(self, known: Listed, *, closed: int = 0, revoked: int = 0) -> Warded:
        return Warded(
            name=known.name,
            tenant=known.tenant,
            quarantine=self._quarantine(known.name),
            credentials_revoked=revoked,
            connections_closed=closed,
        )

    def _quarantine(self, name: str) -> QuarantineRow | None:
        row = self._identity.quarantined.get(name)
        if row is None:
            return None
        since = rfc3339(row.since_ns)
        return QuarantineRow(by=row.by, reason=row.reason, since=since)

    def _row(self, known: Listed, loads: _Loads) -> AgentRow:
        load = loads.get((known.tenant, known.name), _NO_LOAD)
        tally = self._tap.tally(known.tenant, known.name)
        used = self._inside.bus.usage.totals.get(
            (known.tenant, known.name, AGENT_MESSAGE)
        )
        spend = Spend()
        if used is not None:
            spend = Spend(events=used.events, body_bytes=used.body_bytes)
        return AgentRow(
            name=known.name,
            tenant=known.tenant,
            roles=known.roles,
            health=self._health(known, loads),
            connections=self._connections.of(known.name),
            subscriptions=load.subscriptions,
            published=tally.accepted,
            denied=tally.denied,
            delivered=tally.delivered,
            queued=load.queued,
            in_flight=load.in_flight,
            spend=spend,
            quarantine=self._quarantine(known.name),
        )

    def _health(self, known: Listed, loads: _Loads) -> AgentHealth:
        if known.name in self._identity.quarantined:
            return "quarantined"
        if not known.enabled:
            return "disabled"
        load = loads.get((known.tenant, known.name), _NO_LOAD)
        if load.full:
            return "slow"
        there = load.subscriptions or self._connections.of(known.name)
        return "ok" if there else "idle"


def operations(fleet: Fleet) -> tuple[Operation, ...]:
    """Return the operations about agents."""
    return (*_reads(fleet), *_orders(fleet))


def _reads(fleet: Fleet) -> tuple[Operation, ...]:
    return (
        Operation(
            name="list_agents",
            method="GET",
            path="/v1/agents",
            summary="The agents, by name",
            scope=Scope.OPERATOR,
            asks=AgentsAsked,
            answers=Agents,
            run=fleet.agents,
        ),
        Operation(
            name="get_agent",
            method="GET",
            path="/v1/agents/{name}",
            summary="One agent",
            scope=Scope.OPERATOR,
            asks=OfAgent,
            answers=AgentRow,
            run=fleet.agent,
            errors=("not_found",),
        ),
    )


def _orders(fleet: Fleet) -> tuple[Operation, ...]:
    orders = ("not_found", "forbidden", "malformed", "usage", "limit_exceeded")
    return (
        Operation(
            name="quarantine_agent",
            method="POST",
            path="/v1/agents/{name}/quarantine",
            summary="Let an agent in no more, and end its connections",
            scope=Scope.OPERATOR,
            asks=Confirmed,
            answers=Warded,
            run=fleet.quarantine,
            writes=True,
            errors=orders,
        ),
        Operation(
            name="release_agent",
            method="POST",
            path="/v1/agents/{name}/release",
            summary="Let an agent in again that is in quarantine",
            scope=Scope.OPERATOR,
            asks=Reasoned,
            answers=Warded,
            run=fleet.release,
            writes=True,
            errors=orders,
        ),
        Operation(
            name="kill_agent",
            method="POST",
            path="/v1/agents/{name}/kill",
            summary="Put an agent in quarantine and void its credentials",
            scope=Scope.OPERATOR,
            asks=Confirmed,
            answers=Warded,
            run=fleet.kill,
            writes=True,
            errors=orders,
        ),
    )


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise MalformedMessageError("a reason is a text that says something")
    if len(reason) > REASON_CHARS_MAX:
        raise LimitExceededError(
            "reason characters", actual=len(reason), allowed=REASON_CHARS_MAX
        )
