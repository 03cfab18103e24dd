"""The story of a message: what it is, what happened to it, and what came of it.

Rule: told from what is written down anyway, the audit record and the store, so that the
bus pays nothing for it. What could not be looked through is said.
"""

import asyncio
from typing import Any, Final

from bus.adapters.audit import FileAudit, MemoryAudit
from bus.adapters.audit.searching import Found, search
from bus.core.auditrecord import Entry as Record
from bus.core.edgeerrors import NotFoundError
from bus.core.edgelimits import (
    PENDING_SHOWN_MAX,
    STORY_BYTES_MAX,
    STORY_EVENTS_MAX,
)
from bus.core.entries import Entry
from bus.core.limits import AUDIT_TAIL_MAX
from bus.core.message import Message
from bus.edge.caller import Caller
from bus.edge.gate import Gate
from bus.edge.messaging import asked, told
from bus.edge.messaging.kept import Kept
from bus.edge.operator.told import rfc3339
from bus.holds import HeldMessage
from bus.subscription import Delivery

_NS_PER_MS: Final = 1_000_000
_MS_BYTES: Final = 6
_SLACK_MS: Final = 1_000  # that a record may be older than the records before it
_SHOWN: Final = {"delivered": "acked"}
"""The record says `delivered` once the handler is done: for a timeline that is the ack."""

_ENDINGS: Final = ("denied", "dropped", "rejected", "failed")
_OVER: Final = frozenset(
    {"delivered", "dead", "expired", "evicted", "refused", "recalled"}
)


class Stories:
    """Tells the stories of one bus's messages."""

    def __init__(self, gate: Gate, kept: Kept) -> None:
        self._gate = gate
        self._kept = kept
        self._one = asyncio.Lock()  # the record is searched for one at a time

    async def detail(self, caller: Caller, given: asked.OfMessage) -> asked.Detail:
        """Return a message with the decision that let it in, or holds it."""
        found, message = await self._found(caller, given.id)
        if isinstance(found, Entry):
            return self._kept_detail(found, message)
        return asked.Detail(
            **told.fields_of(message),
            decision=told.decided(found.decision, message.id),
            status="held",
        )

    async def message(self, caller: Caller, given: asked.OfMessage) -> Message:
        """Return a message itself, as the caller may see it."""
        return (await self._found(caller, given.id))[1]

    async def _found(
        self, caller: Caller, id_: str
    ) -> tuple[Entry | HeldMessage, Message]:
        """Return where a message is and what of it a caller may see.

        Raises:
            NotFoundError: it is not there for the caller.
        """
        await self._kept.connected(caller)
        message_id = bytes.fromhex(id_)
        held = self._kept.held(caller, message_id)
        if held is not None and await self._may_see(caller, held.message):
            return held, held.message
        entry = await self._kept.find(caller, message_id)
        seen = None if entry is None else await self._kept.seen(caller, entry)
        if entry is None or seen is None:
            raise unknown(id_)
        return entry, seen

    def _kept_detail(self, entry: Entry, seen: Message) -> asked.Detail:
        ledger = self._kept.ledger
        consumers = ledger.consumers.by_id
        return asked.Detail(
            **told.fields_of(seen),
            decision=told.decided(entry.decision, seen.id),
            status="kept",
            stream=ledger.streams.by_id[entry.stream].name,
            sequence=entry.sequence,
            consumers=tuple(
                consumers[known].row.name for known in entry.plan if known in consumers
            ),
        )

    # What happened to it.

    async def timeline(self, caller: Caller, given: asked.OfMessage) -> asked.Timeline:
        """Return what happened to a message, and what goes on with it."""
        await self._kept.connected(caller)
        message_id = bytes.fromhex(given.id)
        found = await self._records(message_id)
        own = [record for record in found.entries if caller.sees(record.tenant)]
        entry = await self._kept.find(caller, message_id)
        if not await self._known(caller, entry, own):
            raise unknown(given.id)
        pending = self._pending(message_id, caller)
        return asked.Timeline(
            id=given.id,
            status=_status(own, entry, pending),
            items=tuple(self._events(own, entry)),
            pending=pending,
            truncated=found.truncated,
        )

    async def _known(
        self, caller: Caller, entry: Entry | None, records: list[Record]
    ) -> bool:
        """Tell whether there is such a message for the caller."""
        if entry is not None:
            return await self._may_see(caller, entry.message)
        for record in records:
            if record.subject or record.event != "delivered":
                return await self._kept.may_see(
                    caller, record.tenant, record.agent, record.subject
                )
        return False

    async def _may_see(self, caller: Caller, message: Message) -> bool:
        return await self._kept.may_see(
            caller, message.tenant, message.sender, message.subject
        )

    async def _records(self, message_id: bytes) -> Found:
        """Return what the audit record says of a message; the loop goes on meanwhile.

        One thread at a time: who asks often must not take those by which the node learns
        that a token was revoked.
        """
        audit = self._gate.bus.audit
        await audit.flush()
        async with self._one:
            if isinstance(audit, MemoryAudit):
                return await asyncio.to_thread(_remembered, audit, message_id)
            return await asyncio.to_thread(self._searched, message_id)

    def _searched(self, message_id: bytes) -> Found:
        path = self._gate.bus.settings.audit.file
        if path is None:
            return Found([], truncated=True)
        made_ms = int.from_bytes(message_id[:_MS_BYTES], "big")
        return search(
            path,
            message_id,
            (made_ms - _SLACK_MS) * _NS_PER_MS,
            count=STORY_EVENTS_MAX,
            bytes_max=STORY_BYTES_MAX,
        )

    def _events(self, records: list[Record], entry: Entry | None) -> list[asked.Event]:
        made = []
        if entry is not None:
            made.append(_published(entry.message))
        for record in sorted(records, key=lambda record: record.time_ns):
            accepted = record.event == "accepted"
            if accepted and entry is None:
                made.append(_published_by(record))
            made.append(_event(record))
            if accepted and entry is not None:
                made.append(self._stored(entry))
        if entry is not None and not any(event.event == "stored" for event in made):
            made.insert(1, self._stored(entry))  # its record is out of reach
        return made

    def _stored(self, entry: Entry) -> asked.Event:
        stream = self._kept.ledger.streams.by_id[entry.stream].name
        message = entry.message
        return asked.Event(
            event="stored",
            time=rfc3339(message.created_ns),
            agent=message.sender,
            detail=f"stream {stream}, sequence {entry.sequence}, "
            f"for {len(entry.plan)} consumers",
            revision=message.revision,
        )

    def _pending(self, message_id: bytes, caller: Caller) -> tuple[asked.Pending, ...]:
        """Return the deliveries of a message in a handler's hands, or waiting."""
        found: list[asked.Pending] = []
        for sub in self._kept.host.roster.staffed:
            if not caller.sees(sub.spec.tenant):
                continue
            found += [
                _under_way(worker.delivery, "in_flight")
                for worker in sub.workers
                if _is_of(worker.delivery, message_id)
            ]
            found += [
                _under_way(delivery, "waiting")
                for delivery in sub.delayed
                if _is_of(delivery, message_id)
            ]
        return tuple(found[:PENDING_SHOWN_MAX])


def unknown(message_id: str) -> NotFoundError:
    """Return what is said of a message that is not there for a caller."""
    return NotFoundError(f"no message {message_id} is known here")


def _remembered(audit: FileAudit | MemoryAudit, message_id: bytes) -> Found:
    """Return what the record in memory says of a message. Blocks."""
    if not isinstance(audit, MemoryAudit):
        return Found([], truncated=True)
    name = message_id.hex()
    tail = audit.tail(AUDIT_TAIL_MAX)
    found = [record for record in tail if record.id == name]
    begun = bool(found) and found[0].event not in _OVER
    cut = len(tail) >= AUDIT_TAIL_MAX and not begun
    return Found(found[:STORY_EVENTS_MAX], cut or len(found) > STORY_EVENTS_MAX)


def _published(message: Message) -> asked.Event:
    return asked.Event(
        event="published",
        time=rfc3339(message.created_ns),
        agent=message.sender,
        detail=f"{message.type} on {message.subject}, {len(message.body)} bytes",
        revision=message.revision,
    )


def _published_by(record: Record) -> asked.Event:
    return asked.Event(
        event="published",
        time=rfc3339(record.time_ns),
        agent=record.agent,
        detail=f"on {record.subject}",
        revision=record.revision,
    )


def _event(record: Record) -> asked.Event:
    return asked.Event(
        event=_SHOWN.get(record.event, record.event),
        time=rfc3339(record.time_ns),
        agent=record.agent,
        detail=record.detail,
        revision=record.revision,
    )


def _status(
    records: list[Record], entry: Entry | None, pending: tuple[asked.Pending, ...]
) -> str:
    """Return where a message stands, by the last that is known of it."""
    events = [record.event for record in records]
    for ending in _ENDINGS:
        if ending in events and "accepted" not in events:
            return ending
    if "accepted" not in events and entry is None:
        return "held" if "held" in events else "unknown"
    over = sum(event in _OVER for event in events)
    if pending or (entry is not None and over < len(entry.plan)):
        return "pending"
    if "dead" in events:
        return "dead"
    return "delivered" if over else "accepted"


def _is_of(delivery: Delivery | None, message_id: bytes) -> bool:
    return delivery is not None and delivery.message.id == message_id


def _under_way(delivery: Any, state: Any) -> asked.Pending:
    return asked.Pending(
        consumer=delivery.consumer,
        agent=delivery.subscription.agent,
        state=state,
        attempt=delivery.attempt,
    )
