"""How a handler wants to be called, read from its signature once.

async def work(task: Task) -> Result            the decoded body
async def work(task: Task, delivery: Delivery)  and the delivery, to settle it
async def work(delivery: Delivery)              the delivery alone, nothing decoded
"""

import inspect
import typing
from collections.abc import Callable
from typing import Any, Final

from bus.core import bodies, codec
from bus.core.errors import HandlerError
from bus.subscription import Delivery
from bus.wants import Handler

PARAMETERS_MAX: Final = 2  # the body, and the delivery


def inspect_handler(function: Callable[..., Any]) -> Handler:
    """Return how to call `function`.

    Raises:
        HandlerError: not an async function, too many parameters, or a body type that
            cannot be decoded; the text says which and what to write instead.
    """
    name = getattr(function, "__qualname__", repr(function))
    called = function if inspect.isroutine(function) else type(function).__call__
    if not inspect.iscoroutinefunction(called):
        raise HandlerError(f"handler {name} must be an 'async def' function")
    parameters = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
    ]
    if not 1 <= len(parameters) <= PARAMETERS_MAX or any(
        parameter.kind
        not in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
        for parameter in parameters
    ):
        raise HandlerError(
            f"handler {name} takes (body), (body, delivery) or (delivery: Delivery)"
        )
    hints = _hints(called, name)
    first = hints.get(parameters[0].name, Any)
    if first is Delivery:
        if len(parameters) == PARAMETERS_MAX:
            raise HandlerError(f"handler {name}: the body comes before the delivery")
        return Handler(function, None, wants_delivery=False)
    if (
        len(parameters) == PARAMETERS_MAX
        and hints.get(parameters[1].name, Delivery) is not Delivery
    ):
        raise HandlerError(f"handler {name}: the second parameter is a Delivery")
    try:
        decode = codec.decoder(first)
    except HandlerError as error:
        raise HandlerError(f"handler {name}: {error}") from error
    except TypeError as error:  # nothing can be looked up by it, so it is no type
        raise HandlerError(f"handler {name}: body type {first!r}: {error}") from error
    return Handler(
        function,
        decode,
        wants_delivery=len(parameters) == PARAMETERS_MAX,
        shareable=bodies.unchangeable(first),
    )


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise HandlerError(
            f"handler {name}: {error}; annotate with types of module level"
        ) from error
