"""What can be told of a body type before there is a body.

Rule: a type is judged with every type below it, each once, so that types which
contain themselves end. What is not known to be unchangeable is not.
"""

from collections.abc import Iterator
from typing import Any, Final, get_origin

import msgspec
from msgspec import inspect

# What msgspec makes of a value for which no type is named.
_UNTYPED: Final = (dict, list, str, bytes, int, float, bool, type(None))
_UNCHANGEABLE: Final = (
    inspect.StrType,
    inspect.IntType,
    inspect.FloatType,
    inspect.BoolType,
    inspect.BytesType,
    inspect.NoneType,
    inspect.LiteralType,
    inspect.UnionType,
    inspect.TupleType,
    inspect.VarTupleType,
    inspect.FrozenSetType,
)


def undecodable(body_type: Any) -> type | None:
    """Return a class in `body_type` to which nothing decodes, or None.

    Raises:
        TypeError, ValueError, RecursionError, NameError, AttributeError: it cannot be
            told what the type is; the text says why.
    """
    for part in _parts(inspect.type_info(body_type)):
        if isinstance(part, inspect.CustomType) and not _is_built(part.cls):
            return part.cls
    return None


def unchangeable(body_type: Any) -> bool:
    """Tell whether nobody can change a value decoded to the type, or anything in it.

    Raises:
        TypeError, ValueError, RecursionError, NameError, AttributeError: as
            `undecodable`.
    """
    return all(
        _is_frozen(part)
        if isinstance(part, inspect.StructType)
        else isinstance(part, _UNCHANGEABLE)
        for part in _parts(inspect.type_info(body_type))
    )


def _parts(top: inspect.Type) -> Iterator[inspect.Type]:
    """Yield a type and all types below it, each once."""
    seen: set[int] = set()
    waiting = [top]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        waiting.extend(_below(part))


def _below(part: inspect.Type) -> Iterator[inspect.Type]:
    """Yield the types that a type's description names, its fields' types among them."""
    for name in part.__struct_fields__:
        told = getattr(part, name)
        for inner in told if isinstance(told, tuple) else (told,):
            if isinstance(inner, inspect.Field):
                yield inner.type
            elif isinstance(inner, inspect.Type):
                yield inner


def _is_built(cls: Any) -> bool:
    """Tell whether a value that msgspec makes unasked is an instance of `cls`."""
    try:
        return any(issubclass(built, cls) for built in _UNTYPED)
    except TypeError:  # a protocol that cannot be asked at run time
        return False


def _is_frozen(part: inspect.StructType) -> bool:
    """Tell whether a struct's fields stay, where each came from its declared type."""
    cls = get_origin(part.cls) or part.cls  # without what a generic one is made of
    # One with a __dict__ keeps more than its fields, as cached properties do.
    return (
        cls.__struct_config__.frozen
        and not cls.__dictoffset__
        and all(field.default_factory is msgspec.NODEFAULT for field in part.fields)
    )
