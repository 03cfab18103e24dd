"""What should be asked for anew, and each second's point, told to whoever listens.

Rule: news say that something changed, never what; a listener that is slow gets the last
point, and each change once. Changes are looked for once a second.
"""

import asyncio

from bus.core.edgelimits import NEWS_LISTENERS_MAX
from bus.core.errors import OverloadedError
from bus.core.limits import RETRY_AFTER_S
from bus.edge.caller import Caller
from bus.edge.identity import Identity
from bus.edge.operator.answers import Changed, News, Point
from bus.edge.operator.inside import Inside, seen_by
from bus.edge.operator.records import Records
from bus.edge.operator.revisions import Revisions
from bus.edge.operator.series import Sampler

Told = tuple[Point | None, tuple[News, ...]]


class Bulletin:
    """The listeners of one node."""

    def __init__(
        self,
        inside: Inside,
        sampler: Sampler,
        identity: Identity,
        records: Records,
        revisions: Revisions,
    ) -> None:
        self._inside = inside
        self._sampler = sampler
        self._identity = identity
        self._records = records
        self._revisions = revisions
        self._listeners: dict[Listener, None] = {}
        self._before: dict[Changed, object] = self._state()
        sampler.after_each(self._tell)

    def listen(self, caller: Caller) -> "Listener":
        """Begin to listen; `Listener.close` ends it.

        Raises:
            OverloadedError: NEWS_LISTENERS_MAX listen already.
        """
        if len(self._listeners) >= NEWS_LISTENERS_MAX:
            raise OverloadedError("the news", retry_after_s=RETRY_AFTER_S)
        tenant = seen_by(caller)
        self._sampler.last(tenant)  # its points are kept from now on
        listener = Listener(self, tenant, self._of_tenant(tenant))
        self._listeners[listener] = None
        return listener

    def left(self, listener: "Listener") -> None:
        """Be told that somebody listens no more."""
        self._listeners.pop(listener, None)

    def _tell(self) -> None:
        self._revisions.note()
        if not self._listeners:
            return
        now = self._state()
        changed = {what for what, state in now.items() if state != self._before[what]}
        self._before = now
        for listener in self._listeners:
            mine = self._of_tenant(listener.tenant)
            listener.tell(self._sampler.last(listener.tenant), changed, mine)

    def _state(self) -> dict[Changed, object]:
        """Return what stands for each list that is the node's, or hardly ever changes."""
        recovery = self._inside.bus.supervision.orchestrator.history()
        return {
            "policy": self._inside.bus.revision,
            "agents": tuple(self._identity.quarantined.items()),
            "recovery": recovery[-1:],
            "audit": self._records.last.ended,
        }

    def _of_tenant(self, tenant: str | None) -> dict[Changed, object]:
        """Return what stands for the lists of a tenant, or of all."""
        host = self._inside.host
        held = [
            one.message.id
            for one in host.holds.kept
            if tenant in {None, one.message.tenant}
        ]
        dead = self._sampler.dead(tenant)
        store = None if host.ledger is None else host.ledger.store.stats().letters
        whole = store if tenant is None else None
        return {"approvals": (len(held), held[-1:]), "letters": (dead, whole)}


class Listener:
    """Somebody who listens."""

    def __init__(
        self, bulletin: Bulletin, tenant: str | None, before: dict[Changed, object]
    ) -> None:
        self.tenant = tenant
        self._bulletin = bulletin
        self._before = before
        self._changed: dict[Changed, None] = {}
        self._point: Point | None = None
        self._more = asyncio.Event()

    def tell(
        self, point: Point | None, changed: set[Changed], mine: dict[Changed, object]
    ) -> None:
        """Keep a point, and what changed, until it is asked for."""
        changed = changed | {
            what for what, state in mine.items() if state != self._before[what]
        }
        self._before = mine
        self._changed.update(dict.fromkeys(sorted(changed)))
        self._point = point
        self._more.set()

    async def next(self) -> Told:
        """Wait for the next point; return it with what has changed since the last."""
        await self._more.wait()
        self._more.clear()
        changed, self._changed = tuple(self._changed), {}
        point, self._point = self._point, None
        return point, tuple(News(what=what) for what in changed)

    def close(self) -> None:
        """Listen no more; doing so twice does nothing."""
        self._bulletin.left(self)
