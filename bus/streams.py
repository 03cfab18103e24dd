"""The streams of a bus with a store: which one keeps a message, and its limits.

Rule: a tenant has streams of its own, so no tenant's messages take another's room. A
stream that is full is cut as its settings say; where that frees nothing, it refuses.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from bus.core import subject as grammar
from bus.core.changes import Bounds, PutStream, StreamRow, Trimmed
from bus.core.entries import SEQUENCE_MAX, STREAMS_IDS_MAX, key_of
from bus.core.errors import LimitExceededError, OverloadedError
from bus.core.limits import RETRY_AFTER_S
from bus.core.storelimits import (
    STREAM_BYTES_DEFAULT,
    STREAM_MESSAGES_DEFAULT,
    STREAM_SLACK_SHARE,
    STREAMS_OPEN_MAX,
)

Discard = Literal["settled", "old", "refuse"]
DEFAULT: Final = "default"
_NS_PER_S: Final = 1_000_000_000
_LOOKS_PER_AGE: Final = 20


class StreamSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream keeps, and how much of it for each tenant.

    `discard` is what makes room at a limit: the oldest that everybody has settled
    (`settled`), the oldest whatever it is still wanted for (`old`), or nothing
    (`refuse`). What is older than `max_age_ns` goes in the same way; None is for ever.
    """

    name: str
    patterns: tuple[tuple[str, ...], ...]
    max_age_ns: int | None = None
    max_messages: int = STREAM_MESSAGES_DEFAULT
    max_bytes: int = STREAM_BYTES_DEFAULT
    discard: Discard = "settled"
    dedup_ns: int = 120 * _NS_PER_S


CATCH_ALL: Final = StreamSpec(name=DEFAULT, patterns=((">",),))


class Stream:
    """One tenant's stream, and what is in it, counted as it is submitted."""

    # fmt: off
    __slots__ = (
        "_looked_ns",
        "bytes",
        "cutting",
        "first",
        "id",
        "last",
        "messages",
        "saved",
        "spec",
        "tenant",
    )
    # fmt: on

    def __init__(self, spec: StreamSpec, row: StreamRow, *, saved: bool) -> None:
        self.spec = spec
        self.id = row.id
        self.tenant = row.tenant
        self.messages = row.messages
        self.bytes = row.bytes
        self.first = row.first
        self.last = row.last
        self.saved = saved
        self._looked_ns = 0
        self.cutting: asyncio.Future[int] | None = None  # while it is made room in

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.spec.name

    @property
    def row(self) -> StreamRow:
        """What is in it, as a store tells it."""
        return StreamRow(
            self.id,
            self.tenant,
            self.name,
            self.messages,
            self.bytes,
            self.first,
            self.last,
        )

    def next_key(self) -> int:
        """Return the key of the next message.

        Raises:
            LimitExceededError: there were as many messages as keys.
        """
        if self.last >= SEQUENCE_MAX:
            raise LimitExceededError(
                f"messages of stream {self.name}",
                actual=self.last + 1,
                allowed=SEQUENCE_MAX,
            )
        self.last += 1
        return key_of(self.id, self.last)

    def full(self, size: int) -> bool:
        """Tell whether a message of so many bytes is past a limit."""
        spec = self.spec
        return self.messages >= spec.max_messages or self.bytes + size > spec.max_bytes

    def count(self, size: int, step: int = 1) -> None:
        """Count a message in (1), or out again (-1)."""
        self.messages += step
        self.bytes += size * step

    def bounds(self, size: int, now_ns: int) -> Bounds:
        """Return what it must be cut to for a message of so many bytes to fit in.

        A little more goes than must, so that not every publish has to cut.
        """
        spec = self.spec
        return Bounds(
            messages=spec.max_messages
            - int(spec.max_messages * STREAM_SLACK_SHARE)
            - 1,
            bytes=max(
                spec.max_bytes - int(spec.max_bytes * STREAM_SLACK_SHARE) - size, 0
            ),
            before_ns=self.horizon_ns(now_ns),
            settled_only=spec.discard != "old",
        )

    def aged(self, now_ns: int) -> Bounds:
        """Return what it must be cut to for nothing to be too old."""
        spec = self.spec
        return Bounds(
            messages=spec.max_messages,
            bytes=spec.max_bytes,
            before_ns=self.horizon_ns(now_ns),
            settled_only=spec.discard != "old",
        )

    def old_at(self, now_ns: int) -> bool:
        """Tell whether it is time to look for what is too old.

        Each look is a transaction, so a twentieth of the age lies between two.
        """
        age_ns = self.spec.max_age_ns
        if age_ns is None or now_ns < self._looked_ns + age_ns // _LOOKS_PER_AGE:
            return False
        self._looked_ns = now_ns
        return True

    def horizon_ns(self, now_ns: int) -> int:
        """Return the time before which a message is too old; 0 if none is."""
        age_ns = self.spec.max_age_ns
        return 0 if age_ns is None else max(now_ns - age_ns, 0)

    def trimmed(self, told: Trimmed) -> None:
        """Take over what a cut removed; what was submitted meanwhile stays counted."""
        self.messages -= told.messages
        self.bytes -= told.bytes
        self.first = told.stream.first

    def refuse(self) -> OverloadedError:
        """Return what a publisher is told when nothing can make way."""
        return OverloadedError(f"stream {self.name}", retry_after_s=RETRY_AFTER_S)


class Streams:
    """The streams of all tenants, made when a tenant's first message needs one."""

    def __init__(self, specs: Sequence[StreamSpec]) -> None:
        self.specs = (*(spec for spec in specs if spec.name != DEFAULT), CATCH_ALL)
        for spec in specs:
            if spec.name == DEFAULT:
                self.specs = (*self.specs[:-1], spec)
        self._by_name = {spec.name: spec for spec in self.specs}
        self.by_id: dict[int, Stream] = {}
        self._known: dict[tuple[str, str], Stream] = {}
        self._next_id = 1

    def restore(self, rows: Sequence[StreamRow]) -> None:
        """Take over what a store holds.

        One that the settings do not name any more keeps what it has, under the limits
        of the catch-all.
        """
        for row in rows:
            spec = self._by_name.get(row.name)
            if spec is None:
                spec = msgspec.structs.replace(self.specs[-1], name=row.name)
            self._add(Stream(spec, row, saved=True))

    def of(self, tenant: str, tokens: tuple[str, ...]) -> Stream:
        """Return the stream that keeps a subject's messages of a tenant.

        The first whose patterns match; the bus's own subjects go to the catch-all.

        Raises:
            LimitExceededError: too many streams of too many tenants.
        """
        for spec in self.specs:
            if any(grammar.matches(pattern, tokens) for pattern in spec.patterns):
                break
        known = self._known.get((tenant, spec.name))
        if known is not None:
            return known
        if len(self.by_id) >= STREAMS_OPEN_MAX or self._next_id > STREAMS_IDS_MAX:
            raise LimitExceededError(
                "streams", actual=len(self.by_id) + 1, allowed=STREAMS_OPEN_MAX
            )
        made = Stream(spec, StreamRow(self._next_id, tenant, spec.name), saved=False)
        self._add(made)
        return made

    def of_tenant(self, tenant: str) -> list[Stream]:
        """Return a tenant's streams, in the order they were made in."""
        return [stream for stream in self.by_id.values() if stream.tenant == tenant]

    def _add(self, stream: Stream) -> None:
        self.by_id[stream.id] = stream
        self._known[stream.tenant, stream.name] = stream
        self._next_id = max(self._next_id, stream.id + 1)


def putting(stream: Stream) -> PutStream:
    """Return the change that makes a stream in the store."""
    return PutStream(stream.id, stream.tenant, stream.name)
