"""Streams and consumers: what is kept, who gets it, and how far they are.

Rule: read in slices; the age of what is oldest is asked of the store for one page only.
"""

import asyncio
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Final, TypeVar

from bus import operating
from bus.consumers import Consumer
from bus.core.edgeerrors import NotFoundError
from bus.core.edgelimits import ROWS_PER_TURN
from bus.core.errors import MalformedMessageError
from bus.edge.caller import Caller, Scope
from bus.edge.operations import Operation
from bus.edge.operator.inside import Inside, tenant_of
from bus.edge.operator.keptanswers import (
    ConsumerRow,
    Consumers,
    Rewind,
    RewoundRow,
    StreamLimits,
    StreamLine,
    Streams,
    StreamsAsked,
)
from bus.inbox import Inbox
from bus.streams import Stream
from bus.subscription import Subscription

T = TypeVar("T")
_NS_PER_S: Final = 1_000_000_000
_PARTS: Final = 2
_Place = tuple[str, str]


class Storage:
    """What one bus keeps, as operators see it."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._host = inside.host
        self._rewind = operating.rewinds(inside.host)

    async def streams(self, caller: Caller, asked: StreamsAsked) -> Streams:
        """Return a page of streams by tenant and name."""
        ledger = self._host.ledger
        if ledger is None:
            return Streams(items=(), durable=False)
        page, following = await _page(
            ledger.streams.by_id.values(),
            lambda stream: (stream.tenant, stream.name),
            asked,
            tenant_of(caller, asked.tenant),
        )
        return Streams(items=tuple(map(_stream, page)), next=following, durable=True)

    async def consumers(self, caller: Caller, asked: StreamsAsked) -> Consumers:
        """Return a page of consumers, or of subscriptions where nothing is kept."""
        ledger, tenant = self._host.ledger, tenant_of(caller, asked.tenant)
        if ledger is None:
            subscriptions, following = await _page(
                (one for one in self._host.roster.all if not isinstance(one, Inbox)),
                lambda one: (one.spec.tenant, one.name),
                asked,
                tenant,
            )
            items = tuple(map(_subscription, subscriptions))
            return Consumers(items=items, next=following)
        page, following = await _page(
            ledger.consumers.by_id.values(),
            lambda one: (one.row.tenant, one.row.name),
            asked,
            tenant,
        )
        now_ns, rows = self._inside.now_ns(), list[ConsumerRow]()
        for one in page:
            oldest_ns: int | None = 0
            if one.pending > 0:
                oldest_ns = await ledger.rewinding.oldest_ns(one, now_ns)
            rows.append(_consumer(one, oldest_ns))
        return Consumers(items=tuple(rows), next=following)

    async def rewind(self, caller: Caller, asked: Rewind) -> RewoundRow:
        """Take a consumer back to its last ack."""
        tenant = asked.tenant or caller.tenant
        ledger = self._host.require_ledger()
        there = ledger.consumers.named(tenant, asked.name)
        if not caller.sees(tenant) or there is None:
            raise NotFoundError("there is no such consumer")
        done = await self._rewind(asked.name, tenant)
        told = f"consumer {done.consumer} rewound: {done.deliveries} not settled"
        self._inside.record("recovery", caller, tenant, told)
        return RewoundRow(
            tenant=done.tenant,
            consumer=done.consumer,
            deliveries=done.deliveries,
            in_hand=done.in_hand,
        )


def operations(inside: Inside) -> tuple[Operation, ...]:
    """Return the operations about what is kept."""
    storage = Storage(inside)
    return (
        Operation(
            name="list_streams",
            method="GET",
            path="/v1/streams",
            summary="What is kept, by tenant and stream",
            scope=Scope.OPERATOR,
            asks=StreamsAsked,
            answers=Streams,
            run=storage.streams,
        ),
        Operation(
            name="list_consumers",
            method="GET",
            path="/v1/consumers",
            summary="Who gets what is kept, and how far they are",
            scope=Scope.OPERATOR,
            asks=StreamsAsked,
            answers=Consumers,
            run=storage.consumers,
        ),
        Operation(
            name="rewind_consumer",
            method="POST",
            path="/v1/consumers/{name}/rewind",
            summary="Take a consumer back to its last ack",
            scope=Scope.OPERATOR,
            asks=Rewind,
            answers=RewoundRow,
            run=storage.rewind,
            writes=True,
            errors=("not_found", "usage", "store_unavailable"),
        ),
    )


async def _page(
    rows: Iterable[T],
    place: Callable[[T], _Place],
    asked: StreamsAsked,
    tenant: str | None,
) -> tuple[list[T], str | None]:
    """Return the rows of a tenant after a cursor, in order, and the cursor after them."""
    after = _place_of(asked.after)
    found: list[tuple[_Place, T]] = []
    for number, row in enumerate(list(rows), 1):
        where = place(row)
        if tenant in {None, where[0]} and where > after:
            found.append((where, row))
        if not number % ROWS_PER_TURN:
            await asyncio.sleep(0)
    found.sort(key=itemgetter(0))
    page = found[: asked.limit]
    more = len(found) > asked.limit
    following = _SEPARATOR.join(page[-1][0]) if more else None
    return [row for _, row in page], following


def _place_of(cursor: str) -> _Place:
    if not cursor:
        return "", ""
    parts = cursor.split(_SEPARATOR, 1)
    if len(parts) != _PARTS:
        raise MalformedMessageError("after: not a cursor of this list")
    return parts[0], parts[1]


_SEPARATOR: Final = "|"
"""No tenant has it in its name."""


def _stream(stream: Stream) -> StreamLine:
    spec = stream.spec
    age_ns = spec.max_age_ns
    return StreamLine(
        name=stream.name,
        tenant=stream.tenant,
        subjects=tuple(".".join(pattern) for pattern in spec.patterns),
        messages=stream.messages,
        bytes=stream.bytes,
        first=stream.first,
        last=stream.last,
        limits=StreamLimits(
            max_messages=spec.max_messages,
            max_bytes=spec.max_bytes,
            max_age_seconds=None if age_ns is None else age_ns / _NS_PER_S,
            discard=spec.discard,
        ),
    )


def _consumer(one: Consumer, oldest_ns: int | None) -> ConsumerRow:
    row: Any = one.row
    return ConsumerRow(
        tenant=row.tenant,
        name=row.name,
        agent=row.agent,
        pattern=row.pattern,
        queue=row.queue,
        durable=True,
        members=sum(not member.away for member in one.members),
        pending=max(one.pending, 0),
        in_flight=sum(member.in_flight for member in one.members),
        delayed=sum(len(member.delayed) for member in one.members),
        redelivered=one.redelivered,
        dead=one.dead,
        oldest_seconds=None if oldest_ns is None else oldest_ns / _NS_PER_S,
    )


def _subscription(one: Subscription) -> ConsumerRow:
    return ConsumerRow(
        tenant=one.spec.tenant,
        name=one.name,
        agent=one.agent,
        pattern=one.spec.pattern,
        queue=one.queue,
        durable=False,
        members=1,
        pending=one.load,
        in_flight=one.in_flight,
        delayed=len(one.delayed),
    )
