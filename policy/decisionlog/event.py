"""A decision as OPA's decision log writes it: one event, one line of JSON.

Rule: the input is the whole document that a rule could have seen, so that another
policy can be asked the same question later; a body is never in it. What cannot be
encoded is left out and said, never the event as a whole.
"""

import contextlib
import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from bus.core.decision import Decision, Principal
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.message import Message
from bus.ports import Access
from policy.fields import MESSAGE_FIELDS, RECORDED

PATH: Final = "assent/authz/decision"
BUNDLE: Final = "assent"
Entry = tuple[
    str, int, str, Message | Access, tuple[str, ...], Decision | None, int, int, str
]
"""(decision id, time_ns, action, what was asked for, the agent's roles, the decision,
how long it took in ns, bytes of the body, why there is no decision).

The message may have lost its body, which is why its size is told apart."""

_NS_PER_S: Final = 1_000_000_000
# What encoding raises for values that JSON cannot carry.
_UNENCODABLE: Final = (
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


def _plain_fields() -> tuple[str, ...]:
    """Return the fields of the input that a message has just so, found by trying."""
    names = Message.__struct_fields__
    probe: Any = Message(*(object() for _ in names))  # type: ignore[arg-type]  # told apart by identity
    found = []
    for name in set(names) & MESSAGE_FIELDS.keys():
        with contextlib.suppress(*_UNENCODABLE):
            if MESSAGE_FIELDS[name](probe) is getattr(probe, name):
                found.append(name)
    return tuple(sorted(found))


# The message part of the input, filled without a call for almost every field: with its
# encoding 1.2 us, where the document that the engine gets takes 3 us to make.
_PLAIN: Final = _plain_fields()
_MADE: Final = {
    name: get
    for name, get in MESSAGE_FIELDS.items()
    if name not in _PLAIN and name != "size"
}
_plain_of: Final = operator.attrgetter(*_PLAIN)
_getters: Final = tuple(_MADE.values())
_Message: Final = msgspec.defstruct(
    "_Message", [*_PLAIN, *_MADE, "size"], frozen=True, gc=False
)


class _Input(msgspec.Struct, frozen=True, gc=False):
    action: str
    principal: Principal
    message: Any


class _Result(msgspec.Struct, gc=False):
    allow: bool
    reasons: Any
    obligations: Any


class _Metrics(msgspec.Struct, gc=False, omit_defaults=True):
    timer_server_handler_ns: int
    counter_server_query_cache_hit: int | None = None


class _Custom(msgspec.Struct, gc=False, omit_defaults=True):
    action: str
    message: str = ""
    cached: bool | None = None
    input_digest: str | None = None


class Event(msgspec.Struct, gc=False, omit_defaults=True):
    """One element of what OPA posts to `/logs`; the names are OPA's (EventV1)."""

    labels: msgspec.Raw
    decision_id: str
    timestamp: str
    path: str
    requested_by: str
    metrics: _Metrics
    custom: _Custom
    bundles: msgspec.Raw | None = None
    input: _Input | msgspec.Raw | None = None
    result: _Result | None = None
    erased: tuple[str, ...] = ()
    error: dict[str, str] | None = None


class EventMaker:
    """Makes lines for one instance, which `labels` name. Used by one thread."""

    __slots__ = (
        "_bundles",
        "_encode",
        "_labels",
        "_revision",
        "_second",
        "_second_text",
    )

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._encode: Callable[[Event], bytes] = msgspec.json.Encoder().encode
        self._labels = msgspec.Raw(msgspec.json.encode(dict(labels)))
        self._revision: str | None = None
        self._bundles = msgspec.Raw(b"{}")
        self._second = -1
        self._second_text = ""

    def line(self, entry: Entry) -> bytes:
        """Return the event as JSON without a newline."""
        event = self._event(entry)
        try:
            event.input = _input(entry)
            return self._encode(event)
        except _UNENCODABLE as error:
            event.input = None
            event.erased = ("/input",)
            reason = f"the input cannot be written: {type(error).__name__}"
            event.error = event.error or {"code": "policy_input", "message": reason}
            return self._encode(_plain(event))

    def _event(self, entry: Entry) -> Event:
        decision_id, now_ns, action, asked, _, decision, took_ns, _, error = entry
        message_id = _hex(asked.id) if type(asked) is Message else ""
        metrics, custom = _Metrics(took_ns), _Custom(action, message_id)
        event = Event(
            self._labels,
            decision_id,
            self._timestamp(now_ns),
            PATH,
            asked.sender,
            metrics,
            custom,
        )
        if decision is None:
            event.error = {"code": "policy_unavailable", "message": error}
            return event
        custom.cached = decision.cached
        custom.input_digest = decision.digest
        metrics.counter_server_query_cache_hit = int(decision.cached)
        event.bundles = self._bundled(decision.revision)
        event.result = _Result(decision.allow, decision.reasons, decision.obligations)
        if not decision.allow and not decision.cached:
            event.error = fault_of(decision)
        return event

    def _bundled(self, revision: str) -> msgspec.Raw:
        if revision != self._revision:
            self._bundles = msgspec.Raw(
                msgspec.json.encode({BUNDLE: {"revision": revision}})
            )
            self._revision = revision
        return self._bundles

    def _timestamp(self, now_ns: int) -> str:
        """Return RFC 3339 with nanoseconds, in UTC."""
        second, ns = divmod(now_ns, _NS_PER_S)
        if second != self._second:
            told = datetime.fromtimestamp(second, UTC)
            self._second_text = told.strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._second_text}.{ns:09d}Z"


def fault_of(decision: Decision) -> dict[str, str] | None:
    """Return OPA's error object for a denial that stands for an engine's failure."""
    fault = decision.fault
    if not fault:
        return None  # policy's own word, whatever it says
    code = "malformed" if fault in {"undefined", "unusable"} else fault
    reason = decision.reasons[0] if decision.reasons else ""
    return {"code": f"policy_{code}", "message": reason[:ERROR_CHARS_MAX]}


def _input(entry: Entry) -> _Input | msgspec.Raw:
    _, _, action, asked, roles, _, _, size, _ = entry
    if not isinstance(asked, Message):
        return msgspec.Raw(RECORDED.access_document(asked, roles).encode())
    made = [get(asked) for get in _getters]
    message = _Message(*_plain_of(asked), *made, size)
    return _Input(action, Principal(asked.sender, asked.tenant, roles), message)


def _hex(told: object) -> str:
    return told.hex() if isinstance(told, bytes) else ""


def _plain(event: Event) -> Event:
    """Make sure that what names the event can be written, whatever it holds."""
    event.requested_by = ascii(event.requested_by)[1:-1]
    if event.result is not None:
        event.result.reasons = _written(event.result.reasons)
        event.result.obligations = _written(event.result.obligations)
    if event.error is not None:
        event.error = {name: _written(text) for name, text in event.error.items()}
    return event


def _written(value: Any) -> Any:
    try:
        msgspec.json.encode(value)
    except _UNENCODABLE:
        return ascii(value)
    return value
