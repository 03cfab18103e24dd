"""Policy's answer as text becomes a Decision; what it obliges is made ready for use.

Rule: an answer that is not exactly a decision denies, and so does an obligation that
the bus does not know or cannot read. Where several bound one thing, the strictest wins.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bus.core.decision import Decision, Hold, Rate
from bus.core.limits import (
    ERROR_CHARS_MAX,
    HEADERS_MAX,
    HOLD_S,
    HOLD_S_MAX,
    LINEAGE_DEPTH_MAX,
    PAYLOAD_BYTES_MAX,
    POLICY_ANSWER_BYTES_MAX,
    POLICY_MEMO_ANSWER_CHARS_MAX,
    POLICY_MEMO_ANSWERS_MAX,
    POLICY_NESTING_MAX,
    POLICY_OBLIGATIONS_MAX,
    POLICY_REASONS_MAX,
    RATE_BURST_MAX,
    RATE_PER_S_MAX,
    RATE_PER_S_MIN,
    TTL_S_MAX,
)
from policy.engine import depth

UNDEFINED: Final = "policy answered nothing (undefined)"
UNUSABLE: Final = "unusable"  # the fault of an answer that is no decision
OVERSIZE: Final = "oversize"  # that of one past a bound, whichever engine gave it
# What encoding raises for a value that MessagePack or JSON cannot carry, and what the
# lookup raises for an action that is none: the question cannot be put.
UNASKABLE: Final = (
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
_NS_PER_S: Final = 1_000_000_000


class _Answer(msgspec.Struct):
    """What the entry rule answers. Strict: `1` or `"true"` is not an allow."""

    allow: bool
    reasons: Annotated[list[str], Meta(max_length=POLICY_REASONS_MAX)] = []
    obligations: Annotated[
        list[dict[str, Any]], Meta(max_length=POLICY_OBLIGATIONS_MAX)
    ] = []


class _Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["limit"]
    body_bytes: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    depth: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


class _Ttl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["ttl"]
    seconds: Annotated[float, Meta(gt=0, le=TTL_S_MAX)]


class _Redact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["redact"]
    headers: Annotated[list[str], Meta(max_length=HEADERS_MAX)]


class _Audit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["audit"]
    level: Literal["standard", "full"]


class _Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["rate"]
    key: Literal["agent", "tenant", "subject"]
    per_second: Annotated[float, Meta(ge=RATE_PER_S_MIN, le=RATE_PER_S_MAX)]
    burst: Annotated[int, Meta(ge=1, le=RATE_BURST_MAX)] = 1


class _Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["hold"]
    reason: Annotated[str, Meta(min_length=1, max_length=ERROR_CHARS_MAX)]
    seconds: Annotated[float, Meta(gt=0, le=HOLD_S_MAX)] = HOLD_S


_Obligation = _Limit | _Ttl | _Redact | _Audit | _Rate | _Hold
_KNOWN: Final[dict[object, Any]] = {
    "limit": _Limit,
    "ttl": _Ttl,
    "redact": _Redact,
    "audit": _Audit,
    "rate": _Rate,
    "hold": _Hold,
}
# What short answers stand for, by their text: it depends on nothing else.
_made: Final[dict[str, Decision]] = {}
_decode: Final = msgspec.json.Decoder(_Answer).decode


class _Bounds:
    """The strictest of the obligations seen so far."""

    __slots__ = (
        "audit_full",
        "body_bytes",
        "depth",
        "headers",
        "hold",
        "rates",
        "ttl_ns",
    )

    def __init__(self) -> None:
        self.body_bytes = PAYLOAD_BYTES_MAX
        self.depth = LINEAGE_DEPTH_MAX
        self.ttl_ns: int | None = None
        self.headers: frozenset[str] = frozenset()
        self.audit_full = False
        self.rates: dict[Rate, None] = {}
        self.hold: Hold | None = None

    def add(self, obligation: _Obligation) -> None:  # noqa: C901 - one case a kind
        """Tighten by one obligation."""
        match obligation:
            case _Limit(body_bytes=body_bytes, depth=depth):
                if body_bytes is not UNSET:
                    self.body_bytes = min(self.body_bytes, body_bytes)
                if depth is not UNSET:
                    self.depth = min(self.depth, depth)
            case _Ttl(seconds=seconds):
                ttl_ns = int(seconds * _NS_PER_S)
                self.ttl_ns = (
                    ttl_ns if self.ttl_ns is None else min(self.ttl_ns, ttl_ns)
                )
            case _Redact(headers=headers):
                # Header names are compared without regard to case.
                self.headers |= frozenset(map(str.lower, headers))
            case _Audit(level=level):
                self.audit_full |= level == "full"
            case _Rate(key=key, per_second=per_second, burst=burst):
                self.rates[Rate(key, per_second, burst)] = None
            case _Hold():
                self._hold(obligation)

    def _hold(self, obligation: _Hold) -> None:
        """Hold for every reason there is, and no longer than any of them says."""
        wait_ns = int(obligation.seconds * _NS_PER_S)
        if self.hold is None:
            self.hold = Hold(obligation.reason, wait_ns)
        else:
            reason = f"{self.hold.reason}; {obligation.reason}"[:ERROR_CHARS_MAX]
            self.hold = Hold(reason, min(self.hold.wait_ns, wait_ns))


def denial(
    reason: str, *, revision: str, digest: str, action: str = "publish", fault: str = ""
) -> Decision:
    """Return a deny for one reason."""
    return Decision(
        allow=False,
        reasons=(reason[:ERROR_CHARS_MAX],),
        revision=revision,
        digest=digest,
        action=action,
        fault=fault,
    )


def decision(
    answer: str,
    *,
    revision: str,
    digest: str,
    action: str = "publish",
    quoting: bool = True,
) -> tuple[Decision, bool]:
    """Return the decision that `answer` stands for, and whether policy itself made it.

    `answer` is the JSON of {"allow", "reasons", "obligations"}. Where it is anything
    else, past a bound, or obliges what is not known, the decision denies and is not
    policy's. The reason then quotes the answer, unless `quoting` is False.
    """
    known = _made.get(answer)
    if known is not None:  # most answers are: reading one again took a tenth of a miss
        return msgspec.structs.replace(
            known, revision=revision, digest=digest, action=action
        ), True
    past = _past_bound(answer)
    if past is not None:
        reason = f"{OVERSIZE}: policy could not be evaluated: it answered {past}"
        denied = denial(
            reason, revision=revision, digest=digest, action=action, fault=OVERSIZE
        )
        return denied, False
    try:
        told = _decode(answer)
    except (msgspec.MsgspecError, RecursionError) as error:
        why = f": {error}" if quoting else ""
        reason = f"policy answered something that is no decision{why}"
        return _unusable(reason, revision, digest, action), False
    bounds = _bounds(told.obligations, quoting=quoting)
    if isinstance(bounds, str):
        return _unusable(bounds, revision, digest, action), False
    made = _decided(told, bounds, revision, digest, action)
    _learn(answer, made)
    return made, True


def _decided(
    told: _Answer, bounds: _Bounds, revision: str, digest: str, action: str
) -> Decision:
    reasons = tuple(reason[:ERROR_CHARS_MAX] for reason in told.reasons)
    if not told.allow and not reasons:
        reasons = ("policy denied without a reason",)
    return Decision(
        allow=told.allow,
        reasons=reasons,
        revision=revision,
        digest=digest,
        obligations=tuple(told.obligations),
        body_bytes_max=bounds.body_bytes,
        depth_max=bounds.depth,
        ttl_ns=bounds.ttl_ns,
        redact_headers=bounds.headers,
        rates=tuple(bounds.rates),
        hold=bounds.hold,
        audit_full=bounds.audit_full,
        action=action,
    )


def _learn(answer: str, made: Decision) -> None:
    """Keep what a short answer stands for."""
    if len(answer) <= POLICY_MEMO_ANSWER_CHARS_MAX:
        if len(_made) >= POLICY_MEMO_ANSWERS_MAX:
            _made.clear()
        _made[answer] = made


def _past_bound(answer: str) -> str | None:
    """Return the bound that an answer is past, in words."""
    if len(answer.encode()) > POLICY_ANSWER_BYTES_MAX:
        return f"more than {POLICY_ANSWER_BYTES_MAX} bytes"
    if depth(answer) > POLICY_NESTING_MAX:
        return f"something nested deeper than {POLICY_NESTING_MAX}"
    return None


def _bounds(obligations: list[dict[str, Any]], *, quoting: bool) -> _Bounds | str:
    """Return what all obligations bind together, or why one cannot be carried out."""
    bounds = _Bounds()
    for obligation in obligations:
        try:
            bounds.add(_read(obligation))
        except (msgspec.ValidationError, TypeError) as error:
            return _cannot(obligation, error, quoting=quoting)
    return bounds


def _cannot(obligation: dict[str, Any], error: Exception, *, quoting: bool) -> str:
    """Return why an obligation cannot be carried out."""
    kind = obligation.get("type")
    if quoting:
        return f"obligation {kind!r} cannot be carried out: {error}"
    known = isinstance(kind, str) and kind in _KNOWN
    name = repr(kind) if known else "of an unknown type"
    return f"obligation {name} cannot be carried out"


def _unusable(reason: str, revision: str, digest: str, action: str) -> Decision:
    return denial(
        reason, revision=revision, digest=digest, action=action, fault=UNUSABLE
    )


def _read(obligation: dict[str, Any]) -> _Obligation:
    kind = _KNOWN.get(obligation.get("type"))
    if kind is None:
        raise msgspec.ValidationError("the bus does not know it")
    read: _Obligation = msgspec.convert(obligation, kind)
    return read
