"""What a subscriber asks for, checked before anything else happens."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypedDict

from bus.core import subject as grammar
from bus.core.decision import Principal
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.limits import (
    ACK_WAIT_S_MAX,
    ACK_WAIT_S_MIN,
    BACKLOG_MESSAGES_DEFAULT,
    BACKLOG_MESSAGES_MAX,
    BACKOFF_STEPS_MAX,
    DELIVERIES_MAX_ALLOWED,
    IN_FLIGHT_MAX,
    MAX_ACK_PENDING,
    MAX_ACK_PENDING_ALLOWED,
    NAK_DELAY_S_MAX,
)
from bus.core.names import check_name
from bus.core.suggest import hint
from bus.core.validation import check_seconds
from bus.handlers import inspect_handler
from bus.parts import Parts
from bus.wants import OVERFLOWS, Overflow, Spec, Start

_YEAR_PAST_NS = 2262  # nanoseconds since the epoch do not reach it


class SubscribeOptions(TypedDict, total=False):
    """What a subscriber may choose.

    `queue` is a group whose members share the messages; `max_in_flight` handlers run
    at once; `capacity` messages wait before publishers do (`overflow`: `wait`, `refuse`
    or `drop_oldest`); a message is tried `max_deliver` times, each time for at most
    `ack_wait` seconds without a sign of life. `backoff` lists the seconds before the
    second attempt, the third and so on, the last of them before all that follow; without
    it they double. Of messages handed out and not settled there are `max_ack_pending` at
    most, those that wait for their redelivery among them; at the bound no new one goes
    out. By default it is 1,000, or `max_in_flight` if that is more.

    On a bus with a store a subscription is `durable`: what it has not settled is kept for
    it under its agent and pattern, or a name given here; False opts out. It begins, when
    it is made, with what is `new`, with `all` that is kept, with a sequence of the stream,
    or at a time. With `once` what the handler publishes and its ack are one transaction.
    """

    queue: str
    max_in_flight: int
    overflow: Overflow
    capacity: int
    max_deliver: int
    ack_wait: float
    backoff: Sequence[float]
    max_ack_pending: int
    durable: bool | str
    once: bool
    start: Start


def make_spec(
    principal: Principal,
    pattern: str,
    handler: Callable[..., Any],
    options: SubscribeOptions,
    parts: Parts,
) -> Spec:
    """Return the spec of a subscription.

    Raises:
        SubjectError, LimitExceededError, MalformedMessageError, HandlerError: what
            was asked for cannot be had; the text says what and why.
    """
    _require_known(options)
    tokens = grammar.parse_pattern(pattern)
    queue = options.get("queue", "")
    if queue:
        check_name("queue group", queue)
    max_in_flight = _count(options, "max_in_flight", 1, IN_FLIGHT_MAX)
    return Spec(
        pattern=pattern,
        tokens=tokens,
        agent=principal.id,
        tenant=principal.tenant,
        handler=inspect_handler(handler),
        queue=queue,
        max_in_flight=max_in_flight,
        overflow=_overflow(options),
        capacity=_count(
            options, "capacity", BACKLOG_MESSAGES_DEFAULT, BACKLOG_MESSAGES_MAX
        ),
        max_deliver=_count(
            options, "max_deliver", parts.max_deliver, DELIVERIES_MAX_ALLOWED
        ),
        ack_wait_s=_seconds(options, "ack_wait", parts.ack_wait_s, ACK_WAIT_S_MAX),
        backoff=_waits(options.get("backoff")),
        max_ack_pending=_count(
            options,
            "max_ack_pending",
            max(MAX_ACK_PENDING, max_in_flight),
            MAX_ACK_PENDING_ALLOWED,
        ),
        durable=_durable(options.get("durable", True)),
        once=_once(options, parts),
        start=_start(options, parts),
    )


def _require_known(options: SubscribeOptions) -> None:
    known = SubscribeOptions.__annotations__
    for option in options:
        if option not in known:
            raise MalformedMessageError(
                f"no subscriber option {option!r}{hint(option, known)}"
            )


def _overflow(options: SubscribeOptions) -> Overflow:
    overflow = options.get("overflow", "wait")
    if overflow not in OVERFLOWS:
        raise MalformedMessageError(
            f"overflow {overflow!r} is none of {', '.join(OVERFLOWS)}"
        )
    return overflow


def _waits(given: object) -> tuple[float, ...]:
    if given is None:
        return ()
    if not isinstance(given, list | tuple) or not given:
        raise MalformedMessageError(f"backoff is {given!r}; a list of seconds")
    if len(given) > BACKOFF_STEPS_MAX:
        raise LimitExceededError(
            "backoff steps", actual=len(given), allowed=BACKOFF_STEPS_MAX
        )
    return tuple(float(check_seconds("backoff", s, NAK_DELAY_S_MAX)) for s in given)


def _durable(given: object) -> bool | str:
    if isinstance(given, str):
        check_name("durable name", given)
        return given
    if type(given) is not bool:
        raise MalformedMessageError(f"durable is {given!r}; a name, True or False")
    return given


def _once(options: SubscribeOptions, parts: Parts) -> bool:
    given: object = options.get("once", False)
    if type(given) is not bool:
        raise MalformedMessageError(f"once is {given!r}; True or False")
    if given and (parts.kept is None or options.get("durable", True) is False):
        raise MalformedMessageError(
            "once needs a store, and a durable subscription: set store.kind"
        )
    return given


def _start(options: SubscribeOptions, parts: Parts) -> Start:
    given: object = options.get("start", "new")
    if given != "new" and (parts.kept is None or options.get("durable", True) is False):
        raise MalformedMessageError(
            "start needs a store, and a durable subscription: set store.kind"
        )
    return check_start(given)


def check_start(given: object) -> Start:
    """Return where to begin in what is kept, or raise `MalformedMessageError`."""
    if given == "new":
        return "new"
    if given == "all":
        return "all"
    if type(given) is int and given >= 1:
        return given
    zoned = isinstance(given, datetime) and given.tzinfo is not None
    if zoned and isinstance(given, datetime) and given.year < _YEAR_PAST_NS:
        return given
    raise MalformedMessageError(
        f"start is {given!r}; 'new', 'all', a sequence from 1, or a time with its zone"
    )


def _count(options: SubscribeOptions, name: str, default: int, allowed: int) -> int:
    value: object = options.get(name, default)
    if type(value) is not int or value < 1:
        raise MalformedMessageError(f"{name} is {value!r}; a whole number from 1")
    if value > allowed:
        raise LimitExceededError(name, actual=value, allowed=allowed)
    return value


def _seconds(
    options: SubscribeOptions, name: str, default: float, allowed: float
) -> float:
    value: object = options.get(name, default)
    if type(value) not in {int, float} or not float(str(value)) >= ACK_WAIT_S_MIN:
        raise MalformedMessageError(f"{name} is {value!r}; seconds from 0.001")
    seconds = float(str(value))
    if seconds > allowed:
        raise LimitExceededError(f"{name} seconds", actual=seconds, allowed=allowed)
    return seconds
