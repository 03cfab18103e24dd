"""How messages and outcomes are told to clients.

Rule: leaves only. A body is told as JSON where that says the same, else as base64.
"""

import base64
from typing import Any, Final

import msgspec
from msgspec import UNSET

from bus.core.decision import Decision
from bus.core.errors import (
    BodyTypeError,
    BusError,
    DeniedError,
    MalformedMessageError,
    OverloadedError,
)
from bus.core.limits import PAYLOAD_BYTES_MAX
from bus.core.message import JSON, MSGPACK, Message
from bus.core.outcome import Accepted, Denied, Held, Outcome
from bus.edge.messaging import asked
from bus.edge.operator.told import content, rfc3339

_json: Final = msgspec.json.Encoder().encode
_msgpack: Final = msgspec.msgpack.Encoder().encode


def body_of(
    body: Any, octets: Any, content_type: str | None
) -> tuple[bytes, str | None]:
    """Return the bytes of a body as it was given, and their content type.

    Raises:
        MalformedMessageError: both a body and bytes are given.
        BodyTypeError: it cannot be told in that content type.
    """
    if octets is not UNSET:
        if body is not UNSET:
            raise MalformedMessageError("give body or body_base64, not both")
        return octets, content_type
    given = None if body is UNSET else body
    try:
        if content_type == MSGPACK:
            return _msgpack(given), MSGPACK
        return _json(given), content_type or JSON
    except (OverflowError, ValueError) as error:
        raise BodyTypeError(f"the body: {error}") from error


def outcome_of(outcome: Outcome) -> asked.Outcome:
    """Return an outcome that is an answer; raise as `unwrap` for one that is a fault."""
    if isinstance(outcome, Accepted):
        made = outcome.decision
        return asked.Outcome(
            status="accepted",
            message_id=outcome.id.hex(),
            revision=made.revision,
            decision_id=made.id or outcome.id.hex(),
            digest=made.digest,
            cached=made.cached,
            deliveries=outcome.deliveries,
            duplicate=outcome.duplicate,
        )
    if not isinstance(outcome, Held):
        outcome.unwrap()
    return asked.Outcome(
        status="held",
        message_id=outcome.id.hex(),
        revision=outcome.revision,
        reasons=(outcome.reason,),
        until=rfc3339(outcome.until_ns),
    )


def item_of(outcome: Outcome) -> asked.Outcome:
    """Return the outcome of one of a batch, a fault included."""
    if isinstance(outcome, Accepted | Held):
        return outcome_of(outcome)
    status: Any = type(outcome).__name__.lower()
    try:
        outcome.unwrap()
    except OverloadedError as error:
        return _fault(status, outcome.id, error, retry_after=error.retry_after_s)
    except DeniedError as error:
        told = {"reasons": error.reasons, "revision": error.revision}
        if isinstance(outcome, Denied):
            told["decision_id"] = error.decision_id
        return _fault(status, outcome.id, error, **told)
    except BusError as error:
        return _fault(status, outcome.id, error)


def _fault(status: Any, id_: bytes, error: BusError, **more: Any) -> asked.Outcome:
    return asked.Outcome(
        status=status,
        message_id=id_.hex(),
        code=error.code,
        detail=str(error),
        **more,
    )


def content_of(message: Message) -> asked.Content:
    """Return a message's body, whole."""
    return asked.Content(**_content(message))


def message_of(message: Message) -> asked.Message:
    """Return a message as it is told."""
    return asked.Message(**fields_of(message))


def fields_of(message: Message) -> dict[str, Any]:
    """Return the fields of `asked.Message`."""
    made: dict[str, Any] = {
        "id": message.id.hex(),
        "subject": message.subject,
        "type": message.type,
        "priority": message.priority,
        "sender": message.sender,
        "tenant": message.tenant,
        "created": rfc3339(message.created_ns),
        "size": len(message.body),
        "headers": message.headers,
        "depth": message.depth,
        "authors": message.authors,
        "revision": message.revision,
        **_content(message),
    }
    for name in ("reply_to", "correlation", "causation"):
        if (value := getattr(message, name)) is not None:
            made[name] = value
    if message.expires_ns is not None:
        made["expires"] = rfc3339(message.expires_ns)
    for name in ("root", "parent"):
        if (octets := getattr(message, name)) is not None:
            made[name] = octets.hex()
    return made


def decided(decision: Decision, message_id: bytes) -> asked.Decided:
    """Return a decision as it is told."""
    return asked.Decided(
        action=decision.action,
        allow=decision.allow,
        revision=decision.revision,
        digest=decision.digest,
        cached=decision.cached,
        reasons=decision.reasons,
        decision_id=decision.id or message_id.hex(),
    )


def _content(message: Message) -> dict[str, Any]:
    found = content(message, PAYLOAD_BYTES_MAX)
    made: dict[str, Any] = {"content_type": message.content_type}
    if found.body is not UNSET:
        made["body"] = found.body
    elif found.body_base64 is not UNSET:
        made["body_base64"] = found.body_base64
    else:  # larger than any message may be: kept under other bounds
        made["body_base64"] = base64.b64encode(message.body).decode()
    return made
