"""Plain data as TOML text, for a policy file that a person keeps in TOML.

Rule: what is written reads back as the very same data, or it is refused. Comments are
the person's, and are not kept.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from bus.core.errors import MalformedMessageError

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_encode: Final = msgspec.json.Encoder().encode


def written(data: Mapping[str, Any]) -> str:
    """Return data as TOML.

    Raises:
        MalformedMessageError: TOML cannot carry it: a null, or a number it has not.
    """
    text = "\n".join(_tables((), data)).lstrip("\n") + "\n"
    try:
        same = tomllib.loads(text) == data
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise MalformedMessageError(
            f"data: not to be written as TOML: {error}"
        ) from error
    if not same:
        raise MalformedMessageError("data: not to be written as TOML without a change")
    return text


def _tables(path: tuple[str, ...], data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table, and then those of the tables in it."""
    plain = {key: value for key, value in data.items() if not isinstance(value, dict)}
    inner = {key: value for key, value in data.items() if isinstance(value, dict)}
    if path and (plain or not inner):
        yield ""
        yield f"[{'.'.join(map(_key, path))}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in inner.items():
        yield from _tables((*path, key), value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(value: str) -> str:
    """Return a basic string: that of JSON is one, but for DEL."""
    return _encode(value).decode().replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, int | float):
        return repr(value)
    raise MalformedMessageError(
        f"data: TOML has no {type(value).__name__}; leave the field out"
    )
