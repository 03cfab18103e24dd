"""The operator API of one node, put together: what its operations need, and when it runs.

Rule: made before the bus runs, so that nothing goes uncounted; begun once it does.
"""

import asyncio
from typing import Final

from bus.adapters.audit import MemoryAudit
from bus.adapters.audit.searching import search
from bus.core import auditrecord
from bus.core.edgelimits import (
    SERIES_STEP_S,
    STORY_BYTES_MAX,
    STORY_EVENTS_MAX,
)
from bus.core.limits import AUDIT_TAIL_MAX
from bus.edge.connections import Connections
from bus.edge.gate import Gate
from bus.edge.identity import Identity
from bus.edge.operations import Operation
from bus.edge.operator import (
    approvals,
    fleet,
    healing,
    letters,
    overview,
    policy,
    records,
    series,
    storage,
    whys,
)
from bus.edge.operator.explaining import Explainers
from bus.edge.operator.inside import Inside
from bus.edge.operator.live import Live
from bus.edge.operator.loads import Loads
from bus.edge.operator.news import Bulletin
from bus.edge.operator.putting import Putting
from bus.edge.operator.revisions import Revisions
from bus.edge.operator.rulings import Rulings
from bus.edge.operator.tap import Tap
from bus.edge.tokens import Tokens

_NS_PER_MS: Final = 1_000_000
_MS_BYTES: Final = 6
_SLACK_MS: Final = 1_000


class Office:
    """Where operators of one node work. `live` and `bulletin` are for the SSE doors."""

    def __init__(
        self,
        gate: Gate,
        identity: Identity,
        connections: Connections,
        *,
        tokens: Tokens,
        find: whys.Find,
        version: str = "",
    ) -> None:
        self._gate = gate
        inside = self._inside = Inside(gate.bus)
        tap = self.tap = Tap()
        gate.bus.audit.watch = tap
        loads = self._loads = Loads(inside)
        self._keepers = fleet.Keepers(identity, tokens, connections)
        self._version = version
        self._revisions = Revisions(inside)
        self._explainers = Explainers(inside.clock)
        self._fleet = fleet.Fleet(inside, tap, loads, self._keepers)
        self._records = records.Records(inside, tap)
        self._sampler = series.Sampler(inside, tap, loads)
        self._rulings = Rulings(
            inside=inside,
            tap=tap,
            roll=self._fleet.roll,
            revisions=self._revisions,
            explainers=self._explainers,
            putting=Putting(inside, self._revisions),
        )
        self._whys = whys.Whys(
            inside=inside,
            explainers=self._explainers,
            revisions=self._revisions,
            roll=self._fleet.roll,
            tap=tap,
            find=find,
            recorded=self._recorded,
        )
        self.live = Live(inside, tap)
        self.bulletin = Bulletin(
            inside, self._sampler, identity, self._records, self._revisions
        )

    def operations(self) -> tuple[Operation, ...]:
        """Return all operations of operators."""
        gate, inside = self._gate, self._inside
        return (
            *overview.operations(self._front()),
            *fleet.operations(self._fleet),
            *series.operations(self._sampler),
            *approvals.operations(gate, inside),
            *letters.operations(gate, inside),
            *storage.operations(inside),
            *policy.operations(self._rulings, self._whys),
            *records.operations(self._records),
            *healing.operations(inside),
        )

    def _front(self) -> overview.Front:
        """Return what tells how the node stands, which counts from now."""
        return overview.Front(
            inside=self._inside,
            tap=self.tap,
            loads=self._loads,
            roll=self._fleet.roll,
            identity=self._keepers.identity,
            connections=self._keepers.connections,
            version=self._version,
            started_ns=self._inside.now_ns(),
        )

    async def run(self) -> None:
        """Make a point each second until cancelled; the bus must be running."""
        self._revisions.note()
        while True:
            over = asyncio.Event()
            timer = self._inside.clock.call_after(SERIES_STEP_S, over.set)
            try:
                await over.wait()
            finally:
                timer.cancel()
            await self._sampler.tick()

    async def close(self) -> None:
        """End what runs beside the node; nothing is explained any more."""
        await self._explainers.close()

    async def _recorded(self, message_id: bytes) -> list[auditrecord.Entry]:
        """Return what the audit record says of an id."""
        audit = self._gate.bus.audit
        await audit.flush()
        if isinstance(audit, MemoryAudit):
            return await asyncio.to_thread(_remembered, audit, message_id)
        path = self._gate.bus.settings.audit.file
        if path is None:
            return []
        made_ms = int.from_bytes(message_id[:_MS_BYTES], "big")
        since_ns = (made_ms - _SLACK_MS) * _NS_PER_MS
        found = await asyncio.to_thread(
            search,
            path,
            message_id,
            since_ns,
            count=STORY_EVENTS_MAX,
            bytes_max=STORY_BYTES_MAX,
        )
        return found.entries


def _remembered(audit: MemoryAudit, message_id: bytes) -> list[auditrecord.Entry]:
    wanted = message_id.hex()
    tail = audit.tail(AUDIT_TAIL_MAX)
    return [entry for entry in tail if entry.id == wanted]
