"""JSON and YAML files of a bundle: as values, and in the form that a signature covers.

Rule: a text means one thing or is refused. The signed form is OPA's (`hash.go`): keys
in order, no spaces, each number with the digits it is written with.
"""

import json
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_NESTING_MAX
from policy import source
from policy.bundles import yamldata
from policy.bundles.numerals import Numeral
from policy.bundles.paths import YAML_NAMES, base, bytes_max

_SEPARATORS: Final = (("\u2028", "\\u2028"), ("\u2029", "\\u2029"))


def parse(name: str, content: bytes) -> Any:
    """Return what a JSON or YAML file says; its top may be anything.

    Raises:
        PolicyLoadError: not UTF-8, does not parse, a key twice, nested too deep, or in
            YAML what its readers take for different things.
    """
    return _read(name, content, exact=False)


def signed_form(name: str, content: bytes) -> bytes:
    """Return the bytes that OPA hashes for a JSON or YAML file; raises like `parse`."""
    return "".join(_written(_read(name, content, exact=True))).encode()


def _read(name: str, content: bytes, *, exact: bool) -> Any:
    text = source.decode(name, content, bytes_max=bytes_max(name))
    if base(name) in YAML_NAMES:
        found = yamldata.parse(name, text, exact=exact)
    else:
        found = _parse_json(name, text, exact=exact)
    _check_tree(name, found)
    return found


def _parse_json(name: str, text: str, *, exact: bool) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # set.add returns nothing, which is false
            _refuse(name, f"key {twice!r} stands twice in one object")
        return made

    def no_constant(word: str) -> NoReturn:
        _refuse(name, f"{word} is not JSON")

    try:
        return json.loads(
            text,
            object_pairs_hook=unique,
            parse_constant=no_constant,
            parse_int=Numeral if exact else None,
            parse_float=Numeral if exact else None,
        )
    except json.JSONDecodeError as error:
        raise PolicyLoadError(error.msg, file=name, line=error.lineno) from None
    except (RecursionError, ValueError) as error:
        _refuse(name, f"cannot be read: {error}")


def _check_tree(name: str, data: Any) -> None:
    """Return if the tree is not too deep and every text can be written as UTF-8."""
    level = [data]
    for _ in range(POLICY_NESTING_MAX):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str) and not value.isascii():
                _check_text(name, value)
        level = below
        if not level:
            return
    _refuse(name, f"nested deeper than {POLICY_NESTING_MAX}")


def _check_text(name: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse(name, f"half a character in {value[:40]!r}")


def _written(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield "{"
        for index, key in enumerate(sorted(value)):
            yield "," if index else ""
            yield _quoted(key) + ":"
            yield from _written(value[key])
        yield "}"
    elif isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            yield "," if index else ""
            yield from _written(item)
        yield "]"
    elif isinstance(value, Numeral):
        yield value
    else:
        yield _quoted(value)


def _quoted(value: str | bool | None) -> str:  # noqa: FBT001 - a value of JSON
    """Write a leaf as Go's encoder does with HTML left alone."""
    text = json.dumps(value, ensure_ascii=False)
    for character, escaped in _SEPARATORS:
        text = text.replace(character, escaped)
    return text


def _refuse(name: str, reason: str) -> NoReturn:
    raise PolicyLoadError(reason, file=name)
