"""Values that the engine reads exactly as they are written, and no others.

Rule: a number it would round, a key twice, what JSON has no form for, and what nests too
deep is refused with its reason; nothing is converted.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_NESTING_MAX
from bus.core.policylimits import POLICY_SLICE_VALUES
from policy.pacing import breathe

_INTEGER_MAX: Final = (1 << 64) - 1  # larger ones lose their last digits in the engine
_INTEGER_MIN: Final = -(1 << 63)
_VALUE_BYTES: Final = 8  # what looking at a value costs, as if it were text

Scan = Callable[[str, int], tuple[Any, int]]
"""Returns the value at a place of a text and where it ends.

Raises StopIteration where none begins, and `json.JSONDecodeError`.
"""


def scanner(name: str) -> Scan:
    """Return what reads one value of JSON; `name` is that of the file, for errors.

    It raises `PolicyLoadError` for a key that stands twice, and for NaN and the like.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                refuse(name, f"key {key!r} stands twice in one object")
            seen.add(key)
        return made

    def no_constant(word: str) -> NoReturn:
        refuse(name, f"{word} is not JSON")

    decoder = json.JSONDecoder(object_pairs_hook=unique, parse_constant=no_constant)
    scan: Scan = decoder.scan_once  # type: ignore[attr-defined]  # typeshed lacks it
    return scan


def check(name: str, data: object, depth: int = 0, *, cut: bool = True) -> bool:
    """Return whether all of a value that stands `depth` deep was checked.

    With `cut`, an object of more than `POLICY_SLICE_VALUES` values is not checked to its
    end: its members are to be checked one by one.

    Raises:
        PolicyLoadError: nested too deep, or a value that the engine would change.
    """
    most = POLICY_SLICE_VALUES if cut and isinstance(data, Mapping) else None
    level: list[object] = [data]
    seen = 0
    for _ in range(depth, POLICY_NESTING_MAX):
        seen += len(level)
        if most is not None and seen > most:
            return False
        level = _below(name, level)
        if not level:
            return True
    return refuse_depth(name)


def _below(name: str, level: list[object]) -> list[object]:
    """Return the values that those of a level consist of."""
    below: list[object] = []
    for value in level:
        if type(value) is str:  # most are, and only this is the same for all of them
            continue
        if isinstance(value, Mapping):
            below.extend(value.values())
            if not all(isinstance(key, str) for key in value):
                refuse(name, "a key is not a string")
        elif isinstance(value, list | tuple):
            below.extend(value)
        else:
            _check_leaf(name, value)
    breathe(_VALUE_BYTES * len(level))
    return below


def refuse(name: str, reason: str) -> NoReturn:
    """Raise the error for a file of this name."""
    raise PolicyLoadError(reason, file=name)


def refuse_depth(name: str) -> NoReturn:
    """Raise the error for what nests too deep."""
    refuse(name, f"nested deeper than {POLICY_NESTING_MAX}")


def _check_leaf(name: str, value: object) -> None:
    match value:
        case None | bool() | str():
            return
        case int() if not _INTEGER_MIN <= value <= _INTEGER_MAX:
            refuse(name, f"{value}: a number of more than 64 bits")
        case float() if not math.isfinite(value):
            refuse(name, f"{value} is not a number that JSON can carry")
        case int() | float():
            return
        case _:
            refuse(name, f"{value!r} is not a value that JSON can carry")
