"""What the audit record says, counted by agent and tenant, and shown to whoever looks.

Rule: the bus shows whole blocks of records and never waits. Counting a block is one pass;
nothing more is done while nobody looks.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Final, cast

import msgspec

from bus.core.edgelimits import (
    LIVE_SEEN_MAX,
    TAP_AGENTS_MAX,
    TAP_RECORDS_MAX,
    TAP_TENANTS_MAX,
)
from bus.core.message import Message
from bus.edge.operator.answers import Counts
from bus.ports import Action, AuditRecord

Look = Callable[[tuple[AuditRecord, ...]], None]
"""Takes a block of records; must not wait or raise."""

COUNTED: Final = frozenset(Counts.__struct_fields__)
_Key = tuple[str, str, str]
_OF_TENANT: Final = itemgetter(0, 3)  # event, tenant
_OF_AGENT: Final = itemgetter(0, 3, 4)  # event, tenant, agent


class Tally(msgspec.Struct, frozen=True, gc=False):
    """What an agent got accepted and refused, and what was delivered to it."""

    accepted: int = 0
    denied: int = 0
    delivered: int = 0


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What the record does not say of a message."""

    subject: str
    type: str
    priority: int
    size: int
    sender: str
    action: str


class Tap:
    """Implements what `bus.adapters.audit.log.Log.watch` shows blocks to."""

    def __init__(self) -> None:
        self.all: Counter[str] = Counter()
        self.of_tenant: dict[str, Counter[str]] = {}
        self.of_agent: Counter[_Key] = Counter()
        self.total = 0  # records, of which `late` has the last
        self.late: deque[AuditRecord] = deque(maxlen=TAP_RECORDS_MAX)
        self.seen: OrderedDict[bytes, Seen] = OrderedDict()
        self._looks: dict[Look, None] = {}

    def __call__(self, records: list[AuditRecord]) -> None:
        """Count a block, and show it."""
        self.late.extend(records)
        self.total += len(records)
        try:
            self._count(records)
        except TypeError:  # no text: as it prints, and the block perhaps counted twice
            self._count([_printed(record) for record in records])
        if self._looks:
            shown = tuple(records)
            for look in tuple(self._looks):
                look(shown)

    def _count(self, records: list[AuditRecord]) -> None:
        # Counted by the interpreter's own loop: one of Python's for each agent of a
        # block measured 1000 ns a record with many agents, this 200.
        fresh = Counter(map(_OF_TENANT, records))
        keys: Iterable[_Key] = map(_OF_AGENT, records)
        if len(self.of_agent) >= TAP_AGENTS_MAX:
            keys = [key for key in keys if key in self.of_agent]
        self.of_agent.update(keys)
        for (event, tenant), count in fresh.items():
            self.all[event] += count
            known = self.of_tenant.get(tenant)
            if known is None and len(self.of_tenant) < TAP_TENANTS_MAX:
                known = self.of_tenant[tenant] = Counter()
            if known is not None:
                known[event] += count

    def counts(self, tenant: str | None) -> Counts:
        """Return the endings of a tenant, or of all, since the start."""
        found = self.all if tenant is None else self.of_tenant.get(tenant, Counter())
        return Counts(**{name: found[name] for name in COUNTED})

    def tally(self, tenant: str, agent: str) -> Tally:
        """Return what is counted of an agent."""
        found = self.of_agent
        return Tally(
            found["accepted", tenant, agent],
            found["denied", tenant, agent],
            found["delivered", tenant, agent],
        )

    def note(self, message: Message, action: Action) -> None:
        """Remember what the record will not say; for `bus.pipeline.Pipeline.seen`."""
        subject: object = message.subject  # not looked at yet, whatever it is
        self.seen[message.id] = Seen(
            subject if isinstance(subject, str) else "",
            message.type,
            message.priority,
            len(message.body),
            message.sender,
            action,
        )
        if len(self.seen) > LIVE_SEEN_MAX:
            self.seen.popitem(last=False)

    def look(self, look: Look) -> None:
        """Show each block from now on."""
        self._looks[look] = None

    def look_away(self, look: Look) -> None:
        """Show nothing more; doing so twice does nothing."""
        self._looks.pop(look, None)


def _printed(record: AuditRecord) -> AuditRecord:
    """Return a record whose fields can be counted by."""
    event, time_ns, message_id, tenant, agent, *rest = record
    told: Any = (repr(event), time_ns, message_id, repr(tenant), repr(agent), *rest)
    return cast("AuditRecord", told)
