"""Handlers: every documented form is served, any other refused at once."""

import functools
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import pytest

from bus.core.errors import (
    HandlerError,
)
from bus.subscription import Delivery
from tests.fakes.buses import new_bus, totals


class Task(msgspec.Struct):
    """A body with a type."""

    file: str


class Keeper:
    """An object to call, with a typed body."""

    def __init__(self) -> None:
        self.got: list[Task] = []

    async def __call__(self, task: Task) -> None:
        """Keep it."""
        self.got.append(task)

    async def method(self, task: Task, delivery: Delivery) -> None:
        """Keep it, as a method."""
        assert delivery.attempt == 1
        self.got.append(task)


async def _delivery_only(delivery: Delivery) -> None:
    """Take the delivery alone."""


async def _untyped(body, delivery) -> None:  # type: ignore[no-untyped-def]  # what is tried
    """Take anything."""


async def _with_default(body: int, extra: int = 5) -> None:
    """A default is the handler's own."""


async def _annotated(body: Annotated[int, msgspec.Meta(ge=0)]) -> None:
    """Take a bounded number."""


@pytest.mark.parametrize(
    "handler", [_delivery_only, _untyped, _with_default, _annotated, Keeper().method]
)
async def test_handlers_of_every_documented_form_are_served(
    handler: Callable[..., Any],
) -> None:
    """Body, body and delivery, delivery; functions and methods."""
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        body = Task("a") if handler.__name__ == "method" else 1
        await bus.agent("planner").publish("a", body)
        await bus.settle()
        assert totals(bus).delivered == 1


async def test_an_object_with_an_async_call_is_a_handler() -> None:
    """Its `__call__` says what it takes."""
    handler = Keeper()
    async with new_bus() as bus:
        bus.agent("worker").subscribe("a", handler)
        await bus.agent("planner").publish("a", {"file": "x"})
        await bus.settle()
    assert handler.got == [Task("x")]


def _plain(body: int) -> None:
    """No coroutine."""


async def _nothing() -> None:
    """Takes nothing."""


async def _three(a: int, b: Delivery, c: int) -> None:
    """Takes too much."""


async def _star(*bodies: int) -> None:
    """Takes any number."""


async def _keyword(*, body: int) -> None:
    """Takes by keyword."""


async def _swapped(delivery: Delivery, body: int) -> None:
    """The wrong way round."""


async def _second_is_no_delivery(body: int, other: int) -> None:
    """Two bodies."""


async def _undecodable(body: list[int] | set[str]) -> None:
    """Nobody could tell which of the two a body is."""


async def _missing_name(body: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821 - not there
    """A type that is not there."""


async def _missing_attribute(body: "msgspec.Nowhere") -> None:  # type: ignore[name-defined]  # not there
    """A type that is not there either."""


async def _no_expression(body: Any) -> None:
    """An annotation that is no Python."""


async def _a_value(body: Any) -> None:
    """An annotation that is no type."""


_no_expression.__annotations__["body"] = "5 +"
_a_value.__annotations__["body"] = {"a": 1}


class Own:
    """A class that is no body type."""


async def _own_class(body: Own) -> None:
    """Nothing decodes to it."""


async def _own_class_inside(body: list[Own] | None) -> None:
    """Nor to this."""


@pytest.mark.parametrize(
    "handler", [_own_class, _own_class_inside, _undecodable, _a_value]
)
async def test_a_refused_body_type_is_told_with_its_handler(
    handler: Callable[..., Any],
) -> None:
    """Who subscribes many handlers learns which one it is."""
    async with new_bus() as bus:
        with pytest.raises(HandlerError, match=f"handler {handler.__name__}: body"):
            bus.agent("worker").subscribe("a", handler)


@pytest.mark.parametrize(
    "handler",
    [
        _plain,
        _nothing,
        _three,
        _star,
        _keyword,
        _swapped,
        _second_is_no_delivery,
        _undecodable,
        _missing_name,
        _missing_attribute,
        _no_expression,
        _a_value,
        functools.partial(_plain, 1),
        lambda body: body,
        None,
        5,
        Task,
    ],
)
async def test_a_handler_that_cannot_be_served_is_refused_at_once(
    handler: Any,
) -> None:
    """With a HandlerError that says why, when subscribing."""
    async with new_bus() as bus:
        with pytest.raises(HandlerError):
            bus.agent("worker").subscribe("a", handler)
        assert bus.stats().subscriptions == 0


async def test_the_decorator_returns_the_function() -> None:
    """It can still be called by hand."""
    async with new_bus() as bus:

        @bus.agent("worker").subscriber("a.*", queue="workers", max_in_flight=2)
        async def work(body: int) -> int:
            return body + 1

        assert await work(1) == 2
        assert await bus.agent("planner").request("a.b", 2) == 3
