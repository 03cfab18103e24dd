"""Changes are plain values: nobody alters one on its way, and two that say the same are equal."""

import typing

import msgspec
import pytest

from bus.core import changes
from bus.core.changes import (
    Append,
    Change,
    ConsumerRow,
    Contents,
    Letter,
    StreamRow,
    Trimmed,
)

VALUES: dict[type, object] = {int: 7, str: "x", bytes: b"y", bool: True}
KINDS = [
    kind
    for kind in vars(changes).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
]


def made(kind: type) -> msgspec.Struct:
    """Return a value of a kind whose fields without a default are set."""
    fields = msgspec.structs.fields(kind)
    given = {}
    for field in fields:
        if field.required:
            nested = isinstance(field.type, type) and issubclass(
                field.type, msgspec.Struct
            )
            given[field.name] = made(field.type) if nested else VALUES[field.type]
    value = kind(**given)
    assert isinstance(value, msgspec.Struct)
    return value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_is_a_plain_value(kind: type) -> None:
    """Frozen, compared by what it says, and usable as a key."""
    one, two = made(kind), made(kind)
    assert one == two
    assert hash(one) == hash(two)
    for field in msgspec.structs.fields(kind):
        with pytest.raises(AttributeError):
            setattr(one, field.name, None)


def test_no_field_holds_what_can_be_changed() -> None:
    """No list, dictionary or set: what was submitted stays as it was."""
    for kind in KINDS:
        for field in msgspec.structs.fields(kind):
            names = {
                origin.__name__
                for origin in _types(field.type)
                if isinstance(origin, type)
            }
            assert not names & {"list", "dict", "set", "bytearray"}, field.name


def _types(kind: object) -> list[object]:
    inner = [one for arg in typing.get_args(kind) for one in _types(arg)]
    return [typing.get_origin(kind) or kind, *inner]


def test_every_change_is_one_that_a_store_is_asked_for() -> None:
    """What is read back is none; nor is a letter, which comes with its `Bury`."""
    asked = set(typing.get_args(Change))
    read = {"Letter", "ConsumerRow", "StreamRow", "DeliveryRow", "DueRow"}
    read |= {"Bounds", "Trimmed", "Contents"}
    assert {kind.__name__ for kind in KINDS} - read == {k.__name__ for k in asked}


def test_what_is_left_out_stands_for_nothing() -> None:
    """A message for nobody, a consumer that caught up, a stream where nothing was."""
    message = Append(1, 2, b"e")
    assert (message.deliveries, message.dedup) == ((), None)
    row = ConsumerRow(1, "acme", "name", "agent", "a.>", "")
    assert (row.replay, row.pending) == (b"", 0)
    stream = StreamRow(1, "acme", "default")
    assert (stream.messages, stream.bytes, stream.first, stream.last) == (0, 0, 1, 0)
    assert Trimmed(stream, 0, 0).evicted == ()
    contents = Contents(epoch=1, clean=True, next_number=1, next_letter=1)
    assert (contents.streams, contents.consumers, contents.dedup) == ((), (), ())
    assert (contents.letters, contents.next_due_ns) == (0, 0)


def test_every_kind_survives_being_encoded() -> None:
    """So a store or a test may write them down as they are."""
    letter = Letter(1, 2, "acme", "consumer", 3, "reason", 4, b"entry")
    for value in [*map(made, KINDS), letter]:
        data = msgspec.msgpack.encode(value)
        assert msgspec.msgpack.decode(data, type=type(value)) == value
