"""Where data does not have the form that is wanted, and what is wrong there.

Rule: the innermost value that does not fit is named by its keys, and an unknown field
by the one that was probably meant.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from bus.core.suggest import hint

T = TypeVar("T")

_KEY_CHARS_SHOWN: Final = 64


class FormError(Exception):
    """Data does not fit. `place` is the keys on the way to it, dotted; empty at the top."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.place = place
        self.problem = problem


def fit(data: object, form: type[T]) -> T:
    """Return data as a struct of the class `form`.

    Raises:
        FormError: it does not fit; nothing in it is converted or guessed.
    """
    try:
        return msgspec.convert(data, form)
    except msgspec.ValidationError as error:
        raise _innermost("", data, form, error) from None


def _innermost(
    place: str, value: object, form: Any, error: msgspec.ValidationError
) -> FormError:
    """Return the error of the first value inside that does not fit, or this value's."""
    for step, inner, inner_form in _inside(value, form):
        try:
            msgspec.convert(inner, inner_form)
        except msgspec.ValidationError as found:
            where = f"{place}.{step}" if place else step
            return _innermost(where, inner, inner_form, found)
    return FormError(place, _unknown(value, form) or str(error))


def _inside(value: object, form: Any) -> Iterator[tuple[str, object, Any]]:
    """Yield (key, value, form) of what a value consists of, where its form says so."""
    if isinstance(value, Mapping) and get_origin(form) is dict:
        for key, inner in value.items():
            yield key, inner, get_args(form)[1]
    elif isinstance(value, list) and get_origin(form) is list:
        for index, inner in enumerate(value):
            yield str(index), inner, get_args(form)[0]
    elif isinstance(value, Mapping) and _is_struct(form):
        for name, inner_form in get_type_hints(form, include_extras=True).items():
            if name in value:
                yield name, value[name], inner_form


def _unknown(value: object, form: Any) -> str:
    """Return what to say of the first field that the form does not know, or nothing."""
    if not isinstance(value, Mapping) or not _is_struct(form):
        return ""
    if not form.__struct_config__.forbid_unknown_fields:
        return ""
    known = form.__struct_fields__
    for key in value:
        if key not in known:
            shown = key[:_KEY_CHARS_SHOWN]
            return f"unknown field {shown!r}{hint(shown, known)}"
    return ""


def _is_struct(form: Any) -> bool:
    return isinstance(form, type) and issubclass(form, msgspec.Struct)
