"""How the node stands, on one page.

Rule: everything from memory. What is of several tenants at once is an admin's.
"""

from typing import Final

import msgspec

from bus.core.recovering import Standing, standing
from bus.edge.caller import Caller, Scope
from bus.edge.connections import Connections
from bus.edge.identity import Identity
from bus.edge.operations import Operation
from bus.edge.operator.answers import CacheRow, CheckRow, Nothing, Overview
from bus.edge.operator.inside import Inside, seen_by
from bus.edge.operator.loads import Loads
from bus.edge.operator.roll import Roll
from bus.edge.operator.tap import Tap
from bus.edge.operator.told import rfc3339
from bus.watching import score_of

_NS_PER_S: Final = 1_000_000_000


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """What the overview is made of."""

    inside: Inside
    tap: Tap
    loads: Loads
    roll: Roll
    identity: Identity
    connections: Connections
    version: str
    started_ns: int

    async def overview(self, caller: Caller, asked: Nothing) -> Overview:
        """Return how the node stands, of what the caller may see."""
        del asked
        tenant = seen_by(caller)
        bus, host = self.inside.bus, self.inside.host
        checks, now_ns = bus.health(), self.inside.now_ns()
        score, stands = health_of(self.inside)
        load = await self.loads.of(tenant)
        decisions = host.parts.authorizer.stats()
        return Overview(
            time=rfc3339(now_ns),
            tenant=tenant,
            version=self.version,
            revision=bus.revision,
            constitution=bus.constitution,
            standing=stands.value,
            score=score,
            phase=bus.phase.value,
            checks=tuple(
                CheckRow(name=name, ok=ok, text=text if tenant is None else "")
                for name, (ok, text) in checks.items()
            ),
            counts=self.tap.counts(tenant),
            queued=load.queued,
            in_flight=load.in_flight,
            held=sum(tenant in {None, held.message.tenant} for held in host.holds.kept),
            dead_letters=self._letters(tenant),
            agents=await self.roll.count(tenant),
            quarantined=await self._quarantined(tenant),
            connections=sum(
                tenant in {None, place.caller.tenant} for place in self.connections
            ),
            durable=host.ledger is not None,
            uptime_seconds=max(now_ns - self.started_ns, 0) / _NS_PER_S,
            cache=CacheRow(
                hits=decisions.hits, misses=decisions.misses, size=decisions.size
            ),
        )

    def _letters(self, tenant: str | None) -> int:
        """Return the dead letters kept; of a tenant those of memory, or since the start."""
        host = self.inside.host
        if tenant is None:
            if host.ledger is not None:
                return host.ledger.store.stats().letters
            return len(host.letters.kept)
        return self.tap.counts(tenant).dead

    async def _quarantined(self, tenant: str | None) -> int:
        count = 0
        for name in tuple(self.identity.quarantined):
            known = await self.roll.find(name)
            count += known is not None and tenant in {None, known.tenant}
        return count


def health_of(inside: Inside) -> tuple[float, Standing]:
    """Return the node's score and what it means; without recovery, that of its checks."""
    board = inside.bus.supervision.board
    if board is None:
        score = score_of(inside.bus.health())
        return score, standing(score)
    health = board.now()
    return health.score, health.standing


def operations(front: Front) -> tuple[Operation, ...]:
    """Return the operation that tells how the node stands."""
    return (
        Operation(
            name="get_overview",
            method="GET",
            path="/v1/overview",
            summary="How the node stands",
            scope=Scope.OPERATOR,
            asks=Nothing,
            answers=Overview,
            run=front.overview,
        ),
    )
