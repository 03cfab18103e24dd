"""Body types: what can never be decoded to, and what nobody can change."""

import asyncio
import enum
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Protocol,
    TypedDict,
    TypeVar,
)

import msgspec
import pytest

from bus.core import bodies

T = TypeVar("T")
Number = NewType("Number", int)


class Plain:
    """A class of the program's own."""


class Colour(enum.Enum):
    """A choice."""

    RED = "red"


class Speaks(Protocol):
    """What can speak; nobody can ask at run time."""

    def speak(self) -> str:
        """Speak."""


@dataclass
class Card:
    """A dataclass."""

    holder: Plain | None


class Row(NamedTuple):
    """A named tuple."""

    cells: list[Plain]


class Sheet(TypedDict):
    """A typed dict."""

    rows: dict[str, Plain]


class Leaf(msgspec.Struct, frozen=True):
    """All of it is fixed."""

    name: str
    size: int | None = None
    kind: Literal["a", "b"] = "a"


class Tree(msgspec.Struct, frozen=True):
    """Contains itself, and ends."""

    leaf: Leaf
    below: tuple["Tree", ...] = ()
    marks: frozenset[str] = frozenset()
    place: tuple[float, float] = (0.0, 0.0)


class Box(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Frozen, with a list that is not."""

    items: list[int]


class Shelf(msgspec.Struct, frozen=True):
    """Frozen, with what is not further down."""

    boxes: tuple[Box | None, ...]


class Open(msgspec.Struct):
    """Fields can be assigned."""

    name: str


class Caching(msgspec.Struct, frozen=True, dict=True):
    """Frozen, with room for more than its fields."""

    name: str


class Made(msgspec.Struct, frozen=True):
    """A field whose default is not of its type."""

    items: tuple[int, ...] = msgspec.field(default_factory=list)  # type: ignore[arg-type]  # the point


class Pair(msgspec.Struct, Generic[T], frozen=True):
    """Of any type."""

    one: T
    other: T


class Endless(msgspec.Struct, Generic[T]):
    """Each level is another type."""

    inner: "Endless[list[T]] | None" = None


@pytest.mark.parametrize(
    ("body_type", "wrong"),
    [
        (Plain, Plain),
        (asyncio.Future, asyncio.Future),
        (asyncio.Future[int], asyncio.Future),
        (Plain | None, Plain),
        (list[Plain], Plain),
        (dict[str, tuple[int, Plain]], Plain),
        (Annotated[Plain, "a note"], Plain),
        (Card, Plain),
        (Row, Plain),
        (Sheet, Plain),
        (Pair[Plain], Plain),
        (Speaks, Speaks),
        (Callable[[int], int], Callable),
    ],
    ids=str,
)
def test_a_class_that_nothing_decodes_to_is_found(body_type: Any, wrong: Any) -> None:
    """Wherever in the type it stands."""
    assert bodies.undecodable(body_type) is wrong


@pytest.mark.parametrize(
    "body_type",
    [
        Any,
        object,
        int,
        str | None,
        list[int],
        Mapping[str, int],
        Iterable,
        dict[str, Any],
        Colour,
        Number,
        datetime,
        uuid.UUID,
        msgspec.Raw,
        Annotated[int, msgspec.Meta(ge=0)],
        Tree,
        Pair[int],
        Open | None,
    ],
    ids=str,
)
def test_a_type_that_something_decodes_to_is_fine(body_type: Any) -> None:
    """`object` and the like included: a body of any kind is one."""
    assert bodies.undecodable(body_type) is None


@pytest.mark.parametrize(
    "body_type",
    [
        str,
        int,
        float,
        bool,
        bytes,
        type(None),
        str | None,
        tuple[int, ...],
        tuple[str, Leaf],
        frozenset[str],
        Annotated[str, msgspec.Meta(max_length=3)],
        Leaf,
        Leaf | None,
        Tree,
        Pair[int],
    ],
    ids=str,
)
def test_what_is_fixed_all_the_way_down_cannot_be_changed(body_type: Any) -> None:
    """A type that contains itself is looked at once."""
    assert bodies.unchangeable(body_type)


@pytest.mark.parametrize(
    "body_type",
    [
        Any,
        object,
        list[int],
        set[int],
        dict[str, int],
        bytearray,
        tuple[list[int], ...],
        Open,
        Box,
        Shelf,
        Caching,
        Made,
        Card,
        Row,
        Pair[list[int]],
        Leaf | list[int],
    ],
    ids=str,
)
def test_frozen_outside_is_not_unchangeable_inside(body_type: Any) -> None:
    """One list anywhere in it, and a handler could change what another sees."""
    assert not bodies.unchangeable(body_type)


@pytest.mark.parametrize("ask", [bodies.undecodable, bodies.unchangeable])
def test_a_type_without_an_end_is_an_error(ask: Callable[[Any], object]) -> None:
    """It is not looked into for ever."""
    with pytest.raises(RecursionError):
        ask(Endless[int])
