"""Exceptions the bus raises, classed by who must act; each has a stable `code`.

BusError
├── ProtocolError               the peer: what it sent breaks the contract
│   ├── MalformedMessageError   ├── SubjectError   ├── LimitExceededError
│   ├── BodyTypeError          ├── ForgedSenderError
│   └── ConstitutionalError
│       ├── HashMismatchError   ├── StampMismatchError
│       ├── UnknownKeyError     └── MessageExpiredError
├── DeniedError                 the peer: policy said no
├── HeldError                   nobody yet: it waits to be released
├── UnavailableError            later: a dependency or a consumer did not answer
│   ├── OverloadedError         ├── NoRespondersError   ├── RequestTimeoutError
│   ├── AuditStalledError       ├── ProcessingError     ├── PolicyUnavailableError
│   ├── StoreUnavailableError   └── RemoteFaultError
├── DroppedError                a processing stage ended the message on purpose
├── UsageError                  the host program: the call cannot be right
│   ├── BusNotStartedError      ├── BusAlreadyStartedError  ├── UnknownAgentError
│   ├── AlreadySettledError     ├── NotHeldError            └── HandlerError
├── ConfigurationError          the operator: settings that cannot be honoured
│   ├── ConstitutionError       ├── KeyRingError
│   └── PolicyLoadError
├── AuditBrokenError            the record was changed
├── StoreBrokenError            what was kept was changed, cut short or is not ours
└── IllegalTransitionError      us: an event that the table does not allow
"""

from typing import ClassVar


class BusError(Exception):
    """Base of every exception raised on purpose by this distribution."""

    code: ClassVar[str] = "error"


class ProtocolError(BusError):
    """The peer sent something the contract forbids; sending it again cannot help."""

    code = "protocol"


class MalformedMessageError(ProtocolError):
    """The bytes or fields do not make a message."""

    code = "malformed"


class SubjectError(ProtocolError):
    """A subject or pattern breaks the grammar."""

    code = "bad_subject"


class BodyTypeError(ProtocolError):
    """A body cannot be encoded, or does not decode to the handler's type."""

    code = "bad_body"


class LimitExceededError(ProtocolError):
    """A bound in `bus.core.limits` was exceeded."""

    code = "limit_exceeded"

    def __init__(self, limit: str, *, actual: float, allowed: float) -> None:
        super().__init__(f"{limit}: {actual} > {allowed}")
        self.limit = limit
        self.actual = actual
        self.allowed = allowed


class ForgedSenderError(ProtocolError):
    """A message is not from who presents it."""

    code = "forged_sender"


class ConstitutionalError(ProtocolError):
    """The message does not stand under the constitution in force."""

    code = "constitutional"


class HashMismatchError(ConstitutionalError):
    """The message names the hash of another constitution."""

    code = "hash_mismatch"

    def __init__(self, *, actual: str, expected: str) -> None:
        super().__init__(f"constitution {actual!r} is not the one in force, {expected}")
        self.actual = actual
        self.expected = expected


class StampMismatchError(ConstitutionalError):
    """A covered field or the stamp itself was changed after stamping."""

    code = "stamp_mismatch"


class UnknownKeyError(ConstitutionalError):
    """The stamp was made under a key that is not in the ring."""

    code = "unknown_key"


class MessageExpiredError(ConstitutionalError):
    """The message's time is over."""

    code = "expired"


class DeniedError(BusError):
    """Policy said no. `reasons` are written for a person.

    `passing` tells that the engine could not be asked: later it may answer otherwise.
    """

    code = "denied"

    def __init__(
        self,
        reasons: tuple[str, ...],
        *,
        decision_id: str,
        revision: str,
        passing: bool = False,
    ) -> None:
        super().__init__("; ".join(reasons) or "denied by default")
        self.passing = passing
        self.reasons = reasons
        self.decision_id = decision_id
        self.revision = revision


class HeldError(BusError):
    """The message waits for somebody to release it; what becomes of it is recorded."""

    code = "held"


class UnavailableError(BusError):
    """A dependency did not answer; the caller may try again."""

    code = "unavailable"


class OverloadedError(UnavailableError):
    """A queue is full. `retry_after_s` is when trying again is worth it."""

    code = "overloaded"

    def __init__(self, what: str, *, retry_after_s: float) -> None:
        super().__init__(f"{what} is full; try again in {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class NoRespondersError(UnavailableError):
    """Nobody subscribes to the subject."""

    code = "no_responders"


class RequestTimeoutError(UnavailableError):
    """No reply came in time."""

    code = "timeout"


class PolicyUnavailableError(UnavailableError):
    """No decision could be had; nothing was let through."""

    code = "policy_unavailable"


class ProcessingError(UnavailableError):
    """A stage or strategy failed; the message was not let through."""

    code = "processing_failed"


class RemoteFaultError(UnavailableError):
    """The handler of a request gave it up; the text says why."""

    code = "remote_fault"


class StoreUnavailableError(UnavailableError):
    """The store cannot keep anything now, so nothing was let in; the text says why."""

    code = "store_unavailable"


class AuditStalledError(UnavailableError):
    """The audit record cannot be written, so nothing may happen unrecorded."""

    code = "audit_stalled"


class DroppedError(BusError):
    """A processing stage ended the message on purpose."""

    code = "dropped"


class UsageError(BusError):
    """The host program called something that cannot be right."""

    code = "usage"


class BusNotStartedError(UsageError):
    """The bus is not running: enter `async with bus` first, or it was closed."""

    code = "not_started"


class BusAlreadyStartedError(UsageError):
    """The bus was started before; make a new one."""

    code = "already_started"


class UnknownAgentError(UsageError):
    """The policy data names no such agent."""

    code = "unknown_agent"


class HandlerError(UsageError):
    """A handler's signature cannot be served."""

    code = "bad_handler"


class NotHeldError(UsageError):
    """No message is held under that id for this tenant: released, denied, or never."""

    code = "not_held"


class AlreadySettledError(UsageError):
    """A delivery was acked, naked or terminated before."""

    code = "already_settled"


class ConfigurationError(BusError):
    """Settings that cannot be honoured; the start stops here."""

    code = "configuration"


class ConstitutionError(ConfigurationError):
    """A constitution document is not valid."""

    code = "bad_constitution"


class KeyRingError(ConfigurationError):
    """Stamp keys are missing, too short or doubled."""

    code = "bad_keys"


class PolicyLoadError(ConfigurationError):
    """A policy or its data was refused; the revision in force stays."""

    code = "bad_policy"

    def __init__(self, reason: str, *, file: str = "", line: int = 0) -> None:
        place = f"{file}:{line}: " if line else f"{file}: " if file else ""
        super().__init__(place + reason)
        self.reason = reason
        self.file = file
        self.line = line


class AuditBrokenError(BusError):
    """The audit record was changed. `line` is the first broken one, 1-based."""

    code = "audit_broken"

    def __init__(self, reason: str, *, line: int) -> None:
        super().__init__(f"line {line}: {reason}")
        self.reason = reason
        self.line = line


class StoreBrokenError(BusError):
    """What a store holds is not what was kept. Nothing of it is delivered."""

    code = "store_broken"


class IllegalTransitionError(BusError):
    """An event arrived in a state that does not allow it."""

    code = "illegal_transition"
