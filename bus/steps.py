"""What the steps of ingest do when they do not simply let a message through.

Rule: leaves only. The order of the steps is the pipeline's.
"""

import hashlib
import inspect
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from bus.core.decision import Decision
from bus.core.errors import (
    BusError,
    IllegalTransitionError,
    LimitExceededError,
    MalformedMessageError,
    NoRespondersError,
    OverloadedError,
    ProcessingError,
    ProtocolError,
    SubjectError,
    UnavailableError,
)
from bus.core.features import asks_of_store
from bus.core.limits import ERROR_CHARS_MAX, SUBJECT_BYTES_MAX
from bus.core.message import Message
from bus.core.outcome import (
    Accepted,
    Denied,
    Dropped,
    Failed,
    Held,
    Outcome,
    Rejected,
)
from bus.core.stats import SubjectStats
from bus.core.validation import check_headers
from bus.outbox import outbox
from bus.ports import Action, AuditRecord, Strategy
from bus.routes import Route
from bus.subscription import Subscription

_log: Final = logging.getLogger("assent.pipeline")
_BY_AGENTS: Final = frozenset({"publish", "request"})
_KEPT_BY_STAGES: Final = tuple(
    name
    for name in Message.__struct_fields__
    if name not in {"body", "content_type", "headers", "expires_ns"}
)


class EndedEarly(Exception):  # noqa: N818 - not an error, an ending on its way out
    """Carries an ending other than Accepted out of a step."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def guard(message: Message, action: Action, route: Route, now_ns: int) -> None:
    """Keep what agents publish off the bus's own subjects, and off those made quiet."""
    if action not in _BY_AGENTS:
        return
    if route.reserved:
        raise SubjectError(f"{message.subject!r}: '$' belongs to the bus")
    for until_ns, told in route.quiet:
        if now_ns < until_ns:
            reasons = (f"subject {message.subject} is {told}",)
            raise EndedEarly(Denied(message.id, reasons, message.revision))


def oblige(message: Message, decision: Decision) -> Message:
    """Return the message as the decision wants it; a deny ends it."""
    if not decision.allow:
        reasons, revision = decision.reasons, decision.revision
        raise EndedEarly(Denied(message.id, reasons, revision, decision.id))
    headers, expires_ns = message.headers, message.expires_ns
    if decision.redact_headers:
        headers = {
            name: value
            for name, value in headers.items()
            if name.lower() not in decision.redact_headers
        }
    if decision.ttl_ns is not None:
        latest = message.created_ns + decision.ttl_ns
        expires_ns = latest if expires_ns is None else min(expires_ns, latest)
    return msgspec.structs.replace(
        message, headers=headers, expires_ns=expires_ns, revision=decision.revision
    )


def full_detail(message: Message, decision: Decision) -> str:
    """Return what the record says of a message that is to be recorded in full."""
    if not decision.audit_full:
        return decision.digest
    told = {
        "digest": decision.digest,
        "body": hashlib.sha256(message.body).hexdigest(),
        "bytes": len(message.body),
        "reasons": decision.reasons,
        "obligations": decision.obligations,
        "authors": message.authors,
    }
    return msgspec.json.encode(told).decode()[:ERROR_CHARS_MAX]


def bound(message: Message, decision: Decision) -> None:
    """Raise `LimitExceededError` for what is past the decision's bounds."""
    size = len(message.body)
    if size > decision.body_bytes_max:
        raise LimitExceededError(
            "body bytes", actual=size, allowed=decision.body_bytes_max
        )
    if message.depth > decision.depth_max:
        raise LimitExceededError(
            "lineage depth", actual=message.depth, allowed=decision.depth_max
        )


async def changed(message: Message, result: object, decision: Decision) -> Message:
    """Return what a stage made of the message, held to what a stage may do."""
    if inspect.isawaitable(result):
        try:
            result = await result
        except BusError as error:
            raise stage_fault(error) from error
    if isinstance(result, Dropped):
        raise EndedEarly(result)
    if not isinstance(result, Message):
        raise ProcessingError(f"a stage returned {type(result).__name__}")
    for name in _KEPT_BY_STAGES:
        if getattr(result, name) != getattr(message, name):
            raise ProcessingError(f"a stage changed {name!r}, which it may not")
    try:
        bound(result, decision)
        check_headers(result.headers)
    except ProtocolError as error:
        raise stage_fault(error) from error
    return result


def stage_fault(error: BusError) -> UnavailableError:
    """Return what a stage's error is: its fault, not the publisher's.

    That it is overloaded stays, with the time to try again.
    """
    if isinstance(error, OverloadedError):
        return error
    return ProcessingError(f"a stage failed: {error.code}: {error}"[:ERROR_CHARS_MAX])


def planned(
    message: Message, route: Route, strategy: Strategy
) -> tuple[Subscription, ...]:
    """Return the strategy's plan, which must be some of the route's takers."""
    plan = strategy.plan(message, route.takers)
    if not plan:
        raise NoRespondersError(f"nobody subscribes to {message.subject!r}")
    members = route.members
    chosen = tuple(taker for taker in plan if taker in members)
    if not len(set(chosen)) == len(chosen) == len(plan):
        raise ProcessingError(
            f"strategy {strategy.name!r} chose a stranger, or one taker twice"
        )
    return chosen


def nobody_yet(action: Action, route: Route) -> bool:
    """Tell whether a message may be kept although nobody subscribes to its subject."""
    return action == "publish" and not route.takers and not route.reserved


def require_somebody(message: Message, takers: Sequence[Subscription]) -> None:
    """Raise `NoRespondersError` for a request that nobody is there to answer now."""
    if all(taker.away for taker in takers):
        raise NoRespondersError(
            f"nobody who subscribes to {message.subject!r} is there to answer"
        )


def require_no_hold(decision: Decision) -> None:
    """Raise `MalformedMessageError` for a message that a transaction cannot hold back."""
    if decision.hold is not None and outbox.get() is not None:
        raise MalformedMessageError(
            "policy holds this message, and a handler with once=True could not take it "
            "back; publish it from another handler"
        )


def require_no_store(message: Message) -> None:
    """Raise `MalformedMessageError` for what a bus without a store cannot do."""
    if asks_of_store(message.headers):
        raise MalformedMessageError(
            "dedup and delay need a store: set store.kind to 'memory' or 'sqlite'"
        )


def outcome_of(message: Message, error: Exception) -> Outcome:
    """Map a fault to how the message ends: the peer's, or for later."""
    subject: object = message.subject
    if not isinstance(subject, str):
        return Rejected(message.id, SubjectError("a subject is a string"))
    if isinstance(error, ProtocolError):
        return Rejected(message.id, error)
    if isinstance(error, UnavailableError):
        return Failed(message.id, error)
    _log.error("message %s failed in processing", message.id.hex(), exc_info=error)
    # Its text stays in the log: it may hold what the publisher must not see.
    fault = ProcessingError(f"a stage or strategy raised {type(error).__name__}")
    fault.__cause__ = error
    return Failed(message.id, fault)


def tell(stats: SubjectStats, outcome: Outcome) -> tuple[str, str]:
    """Count an ending; return its name and its reason for the record."""
    match outcome:
        case Denied():
            stats.denied += 1
            return "denied", "; ".join(outcome.reasons)
        case Held():
            stats.held += 1
            return "held", outcome.reason
        case Dropped():
            stats.dropped += 1
            return "dropped", f"{outcome.by}: {outcome.reason}"
        case Rejected():
            stats.rejected += 1
            return "rejected", f"{outcome.code}: {outcome.reason}"
        case Failed():
            stats.failed += 1
            return "failed", f"{outcome.code}: {outcome.reason}"
        case Accepted():
            raise IllegalTransitionError("an accepted message has no other ending")


def record_of(message: Message, event: str, subject: str, detail: str) -> AuditRecord:
    """Return the record of an ending other than Accepted."""
    return (
        event,
        message.created_ns,
        message.id,
        message.tenant,
        message.sender,
        subject[:SUBJECT_BYTES_MAX],
        message.revision,
        detail[:ERROR_CHARS_MAX],
        b"",
    )
