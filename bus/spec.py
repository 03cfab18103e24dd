"""What a subscriber asks for, checked before anything else happens."""

from collections.abc import Callable
from typing import Any, TypedDict

from bus.core import subject as grammar
from bus.core.decision import Principal
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.limits import (
    ACK_WAIT_S_MAX,
    ACK_WAIT_S_MIN,
    BACKLOG_MESSAGES_DEFAULT,
    BACKLOG_MESSAGES_MAX,
    DELIVERIES_MAX_ALLOWED,
    IN_FLIGHT_MAX,
)
from bus.core.names import check_name
from bus.core.suggest import hint
from bus.handlers import inspect_handler
from bus.parts import Parts
from bus.wants import OVERFLOWS, Overflow, Spec


class SubscribeOptions(TypedDict, total=False):
    """What a subscriber may choose.

    `queue` is a group whose members share the messages; `max_in_flight` handlers run
    at once; `capacity` messages wait before publishers do (`overflow`: `wait`, `refuse`
    or `drop_oldest`); a message is tried `max_deliver` times, each time for at most
    `ack_wait` seconds without a sign of life.
    """

    queue: str
    max_in_flight: int
    overflow: Overflow
    capacity: int
    max_deliver: int
    ack_wait: float


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
    known = SubscribeOptions.__annotations__
    for option in options:
        if option not in known:
            raise MalformedMessageError(
                f"no subscriber option {option!r}{hint(option, known)}"
            )
    tokens = grammar.parse_pattern(pattern)
    queue = options.get("queue", "")
    if queue:
        check_name("queue group", queue)
    overflow = options.get("overflow", "wait")
    if overflow not in OVERFLOWS:
        raise MalformedMessageError(
            f"overflow {overflow!r} is none of {', '.join(OVERFLOWS)}"
        )
    return Spec(
        pattern=pattern,
        tokens=tokens,
        agent=principal.id,
        tenant=principal.tenant,
        handler=inspect_handler(handler),
        queue=queue,
        max_in_flight=_count(options, "max_in_flight", 1, IN_FLIGHT_MAX),
        overflow=overflow,
        capacity=_count(
            options, "capacity", BACKLOG_MESSAGES_DEFAULT, BACKLOG_MESSAGES_MAX
        ),
        max_deliver=_count(
            options, "max_deliver", parts.max_deliver, DELIVERIES_MAX_ALLOWED
        ),
        ack_wait_s=_seconds(options, "ack_wait", parts.ack_wait_s, ACK_WAIT_S_MAX),
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
