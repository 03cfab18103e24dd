"""A message as it waits in the outbox: a row, sealed as a whole.

Rule: what was put is what is published. Whoever may write to the table can take a row
away, but cannot change one, nor add one in the agent's name.
"""

from typing import Any, Final, TypedDict, Unpack

import msgspec

from bus.core import subject as grammar, validation
from bus.core.codec import encode_any
from bus.core.errors import (
    LimitExceededError,
    MalformedMessageError,
    MessageExpiredError,
    StampMismatchError,
    SubjectError,
)
from bus.core.limits import PAYLOAD_BYTES_MAX
from bus.core.message import OCTETS
from bus.effects.publishing import Publisher, lineage

_NS: Final = 1_000_000_000
_DOMAIN: Final = "outbox 1"  # so that no seal is taken for that of something else

_encode: Final = msgspec.msgpack.Encoder().encode


class PutOptions(TypedDict, total=False):
    """What may be set beside subject and body; as in `Agent.publish`.

    `ttl` counts from the call that puts the message. `dedup` is what the message is
    called, and made up where it is not given.
    """

    type: str
    priority: int
    headers: dict[str, str]
    ttl: float
    reply_to: str
    correlation: str
    causation: str
    content_type: str
    ordering_key: str
    dedup: str


class _Told(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True
):
    """The options of a row, as they stand in its column."""

    type: str | None = None
    priority: int | None = None
    headers: dict[str, str] | None = None
    reply_to: str | None = None
    correlation: str | None = None
    causation: str | None = None
    ordering_key: str | None = None
    expires_ns: int | None = None


class Row(msgspec.Struct, frozen=True):
    """A row of the outbox: what is to be published, and how often that was tried."""

    id: int
    attempts: int
    dedup: str
    subject: str
    body: bytes
    content_type: str
    options: str
    lineage: bytes
    seal: bytes


class Refused(msgspec.Struct, frozen=True):
    """A row that is not tried again: `id` is what `reoffer` and `discard` take."""

    id: int
    subject: str
    dedup: str
    reason: str
    attempts: int


_options: Final = msgspec.json.Encoder().encode
_read_options: Final = msgspec.json.Decoder(_Told).decode


def make(
    publisher: Publisher,
    subject: str,
    body: object,
    now_ns: int,
    given: PutOptions,
) -> Row:
    """Return a sealed row; its id is 0 until the database gives one.

    Raises:
        ProtocolError: something given breaks a rule of publishing.
    """
    unknown = sorted(set(given) - PutOptions.__annotations__.keys())
    if unknown:
        raise MalformedMessageError(f"unknown option {', '.join(unknown)}")
    grammar.parse(subject)
    encoded, content_type = encode_any(body)
    if len(encoded) > PAYLOAD_BYTES_MAX:
        raise LimitExceededError(
            "payload bytes", actual=len(encoded), allowed=PAYLOAD_BYTES_MAX
        )
    if "content_type" in given:
        if content_type != OCTETS:
            raise MalformedMessageError("content_type is for a body of bytes")
        validation.check_claim("content type", given["content_type"])
        content_type = given["content_type"]
    dedup = given.get("dedup", "")
    validation.check_claim("dedup id", dedup)
    if not dedup:
        raise MalformedMessageError("a dedup id is not empty")
    options = _options(_checked(now_ns, **given)).decode()
    noted = lineage()
    covered = (dedup, subject, encoded, content_type, options, noted)
    seal = publisher.vouch(_covering(publisher, covered))
    return Row(0, 0, *covered, seal)


def read(row: tuple[Any, ...]) -> Row:
    """Return a row as the database gave it."""
    id_, attempts, dedup, subject, body, content_type, options, noted, seal = row
    return Row(
        id_,
        attempts,
        dedup,
        subject,
        bytes(body),
        content_type,
        options,
        bytes(noted),
        bytes(seal),
    )


def arguments(publisher: Publisher, row: Row, now_ns: int) -> dict[str, Any]:
    """Return what the row is published with, beside subject and body.

    Raises:
        StampMismatchError: the row was changed, or not put by this agent.
        UnknownKeyError: it was sealed under a key that is not in the ring any more.
        MessageExpiredError: its time is over.
    """
    covered = (
        row.dedup,
        row.subject,
        row.body,
        row.content_type,
        row.options,
        row.lineage,
    )
    if not publisher.vouched(_covering(publisher, covered), row.seal):
        raise StampMismatchError(
            f"outbox row {row.id} is not as {publisher.name} put it there"
        )
    kept = _read_options(row.options)
    told = {
        name: value
        for name, value in msgspec.structs.asdict(kept).items()
        if value is not None and name != "expires_ns"
    }
    if kept.expires_ns is not None:
        if kept.expires_ns <= now_ns:
            raise MessageExpiredError(f"outbox row {row.id} expired before it was sent")
        told["ttl"] = (kept.expires_ns - now_ns) / _NS
    return {**told, "content_type": row.content_type, "dedup": row.dedup}


def _covering(publisher: Publisher, covered: tuple[object, ...]) -> bytes:
    return _encode((_DOMAIN, publisher.tenant, publisher.name, *covered))


def _checked(now_ns: int, **given: Unpack[PutOptions]) -> _Told:
    """Return the options, each checked as publishing would, so that none fails there."""
    if "type" in given:
        validation.check_type(given["type"])
    if "headers" in given:
        validation.check_headers(given["headers"])
    if "reply_to" in given:
        grammar.parse(given["reply_to"])
        if given["reply_to"].startswith("$"):
            raise SubjectError(
                f"reply_to {given['reply_to']!r}: '$' belongs to the bus"
            )
    if "ordering_key" in given:
        validation.check_ordering_key(given["ordering_key"])
    claims = {
        "correlation": given.get("correlation"),
        "causation": given.get("causation"),
    }
    for kind, claim in claims.items():
        if claim is not None:
            validation.check_claim(kind, claim)
    ttl = given.get("ttl")
    return _Told(
        type=given.get("type"),
        priority=validation.check_priority(given["priority"])
        if "priority" in given
        else None,
        headers=given.get("headers"),
        reply_to=given.get("reply_to"),
        correlation=given.get("correlation"),
        causation=given.get("causation"),
        ordering_key=given.get("ordering_key"),
        expires_ns=None if ttl is None else validation.expiry_ns(now_ns, ttl),
    )
