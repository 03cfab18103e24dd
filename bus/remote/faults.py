"""What a node says by a code, as the exception the embedded bus would have raised.

Rule: one table, and every code of the error modules is in it. A code that is not is a
node newer than this client: `RemoteError`, with the code in its text.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from bus.core import edgeerrors, errors
from bus.core.errors import (
    AuditBrokenError,
    BusError,
    DeniedError,
    HashMismatchError,
    LimitExceededError,
    MalformedMessageError,
    OverloadedError,
    ProtocolError,
    UnavailableError,
)
from bus.core.limits import RETRY_AFTER_S


class RemoteError(BusError):
    """A node gave a reason that this client has no word for; a newer client may."""

    code = "remote"


class NodeFaultError(UnavailableError):
    """A node could not go on, by a fault of its own or because it stops."""

    code = "node_fault"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a node said went wrong, from a frame or a problem document."""

    code: str
    text: str
    reasons: tuple[str, ...] = ()
    revision: str = ""
    decision_id: str = ""
    retry_after_s: float | None = None


_LIMIT: Final = re.compile(
    r"(?P<limit>.*): (?P<actual>[-+.\de]+) > (?P<allowed>[-+.\de]+)", re.DOTALL
)
_FULL: Final = re.compile(r"(?P<what>.*) is full; try again in \S+ s", re.DOTALL)
_HASH: Final = re.compile(
    r"constitution (?P<quote>['\"])(?P<actual>.*)(?P=quote) is not the one in force, "
    r"(?P<expected>\S+)",
    re.DOTALL,
)
_LINE: Final = re.compile(r"line (?P<line>\d{1,18}): (?P<reason>.*)", re.DOTALL)


def _denied(told: Told) -> BusError:
    return DeniedError(
        told.reasons or (told.text,),
        decision_id=told.decision_id,
        revision=told.revision,
    )


def _limit(told: Told) -> BusError:
    found = _LIMIT.fullmatch(told.text)
    if found is None:
        return _worded(LimitExceededError, told, limit=told.text, actual=0.0, allowed=0)
    return LimitExceededError(
        found["limit"],
        actual=_number(found["actual"]),
        allowed=_number(found["allowed"]),
    )


def _overloaded(told: Told) -> BusError:
    found = _FULL.fullmatch(told.text)
    wait_s = RETRY_AFTER_S if told.retry_after_s is None else told.retry_after_s
    if found is None:
        return _worded(OverloadedError, told, retry_after_s=wait_s)
    return OverloadedError(found["what"], retry_after_s=wait_s)


def _hash(told: Told) -> BusError:
    found = _HASH.fullmatch(told.text)
    if found is None:
        return _worded(HashMismatchError, told, actual="", expected="")
    return HashMismatchError(actual=found["actual"], expected=found["expected"])


def _broken(told: Told) -> BusError:
    found = _LINE.fullmatch(told.text)
    if found is None:
        return AuditBrokenError(told.text, line=0)
    return AuditBrokenError(found["reason"], line=int(found["line"]))


def _worded(kind: type[BusError], told: Told, **fields: Any) -> BusError:
    """Return an error with the node's own words, which its class would make itself."""
    made = kind.__new__(kind, told.text)
    vars(made).update(fields)
    return made


def _number(text: str) -> float:
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        return 0.0


_MAKERS: Final[Mapping[str, Callable[[Told], BusError]]] = {
    DeniedError.code: _denied,
    LimitExceededError.code: _limit,
    OverloadedError.code: _overloaded,
    HashMismatchError.code: _hash,
    AuditBrokenError.code: _broken,
}

KINDS: Final[Mapping[str, type[BusError]]] = {
    kind.code: kind
    for module in (errors, edgeerrors)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, BusError)
}
"""Each code of the error modules, and its class."""

_BY_DOORS: Final[Mapping[str, type[BusError]]] = {
    "internal": NodeFaultError,
    "going_away": NodeFaultError,
    "resumed": NodeFaultError,
    "too_slow": NodeFaultError,
    "quarantined": edgeerrors.ForbiddenError,
    "precondition_failed": edgeerrors.ConflictError,
    "expectation_failed": MalformedMessageError,
    "key_reused": MalformedMessageError,
    "method_not_allowed": MalformedMessageError,
    "not_acceptable": MalformedMessageError,
    "too_large": MalformedMessageError,
    "unsupported_media_type": MalformedMessageError,
    "uri_too_long": MalformedMessageError,
}
"""What only a door says: a code of the protocol or of HTTP, in whose words it is told."""


def fault(told: Told) -> BusError:
    """Return the exception for what a node said; nothing is raised."""
    maker = _MAKERS.get(told.code)
    if maker is not None:
        return maker(told)
    kind = KINDS.get(told.code)
    if kind is None:
        by_door = _BY_DOORS.get(told.code, RemoteError)
        return by_door(f"{told.code}: {told.text}")
    return kind(told.text)


def rejected(told: Told) -> ProtocolError:
    """Return why a message was rejected."""
    made = fault(told)
    if isinstance(made, ProtocolError):
        return made
    return ProtocolError(f"{told.code}: {told.text}")


def failed(told: Told) -> UnavailableError:
    """Return why a message failed."""
    made = fault(told)
    if isinstance(made, UnavailableError):
        return made
    return UnavailableError(f"{told.code}: {told.text}")
