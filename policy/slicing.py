"""Data cut into slices while it is read, from JSON text or from a program's objects.

Rule: what is large is never held as a tree. Each value is checked, written as text and
let go; an object too large to be handled at once is taken member by member. What cannot
be carried exactly is refused as `policy.values` does.
"""

import json
import re
from collections.abc import Iterator, Mapping
from heapq import merge
from itertools import pairwise
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed has no names
from typing import Any, Final

import msgspec

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_NESTING_MAX
from bus.core.policylimits import POLICY_SLICE_BYTES
from policy import values
from policy.pacing import breathe
from policy.sliced import Path, Slice, SlicedData

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_KEY_END: Final = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_NEXT: Final = re.compile(r'[ \t\n\r]*,[ \t\n\r]*"')
_WINDOW_CHARS: Final = 2 * POLICY_SLICE_BYTES
_SORTED_AT_ONCE: Final = 1_024
_NUMBER_ENDS: Final = 3  # as in `1e+5`: what may follow a number and belong to it
_MEMBER_BYTES: Final = 64  # what handling a member costs, as if it were text

_encode: Final = msgspec.json.Encoder(order="deterministic").encode

Members = dict[str, Any]
"""Text of each member by its key, as `"key":value`; of one that was cut, its members."""


def of_mapping(name: str, data: Mapping[str, Any]) -> SlicedData:
    """Return data as slices, a copy of it.

    Raises:
        PolicyLoadError: nested too deep, or a value that the engine would not read as
            it is; `name` is that of the file, for errors.
    """
    members: Members = {}
    _take(name, data, members, 0)
    return _finished(members)


def of_json(name: str, text: str) -> SlicedData:
    """Return JSON text as slices; raises as `of_mapping`, with the line if it can."""
    try:
        members = _Reader(name, text).read()
    except json.JSONDecodeError as error:
        raise PolicyLoadError(error.msg, file=name, line=error.lineno) from None
    except (RecursionError, ValueError) as error:
        values.refuse(name, f"cannot be read: {error}")
    return _finished(members)


def joined(data: SlicedData, more: SlicedData) -> SlicedData:
    """Return both as one; no section may be in both."""
    members: Members = {}
    for part in (*data.slices, *more.slices):
        into = members
        for key in part.path:
            into = into.setdefault(key, {})
        for key, value in part.values().items():
            _keep("data", into, key, value)
    return _finished(members)


def _take(name: str, data: Mapping[str, Any], into: Members, depth: int) -> None:
    if depth >= POLICY_NESTING_MAX:
        values.refuse_depth(name)
    for key, value in list(data.items()):
        if not isinstance(key, str):
            values.refuse(name, "a key is not a string")
        whole = values.check(name, value, depth + 1)
        if whole:
            _keep(name, into, key, value)
        else:
            below = into[key] = {}
            _take(name, value, below, depth + 1)


def _keep(name: str, into: Members, key: str, value: object) -> None:
    try:
        text = into[key] = _encode(key) + b":" + _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PolicyLoadError(str(error), file=name) from None
    breathe(len(text) + _MEMBER_BYTES)


def _finished(members: Members) -> SlicedData:
    names = list(_ordered(members))
    return SlicedData(names, list(_slices((), members)))


def _slices(path: Path, members: Members) -> Iterator[Slice]:
    held: list[bytes] = []
    size = 0
    first = last = ""
    for key in _ordered(members):
        text = members[key]
        large = isinstance(text, dict)
        if held and (large or size + len(text) > POLICY_SLICE_BYTES):
            yield Slice(path, first, last, b",".join(held).decode())
            held, size = [], 0
        if large:
            yield from _slices((*path, key), text)
            continue
        first, last = first if held else key, key
        held.append(text)
        size += len(text)
        breathe(_MEMBER_BYTES)
    if held:
        yield Slice(path, first, last, b",".join(held).decode())


def _ordered(members: Members) -> Iterator[str]:
    """Yield the keys in order; no more than some are sorted in one go."""
    keys = list(members)
    runs = []
    for start in range(0, len(keys), _SORTED_AT_ONCE):
        runs.append(sorted(keys[start : start + _SORTED_AT_ONCE]))
        breathe(_SORTED_AT_ONCE * _MEMBER_BYTES)
    if all(a[-1] < b[0] for a, b in pairwise(runs)):
        for run in runs:
            yield from run
    else:
        yield from merge(*runs)


class _Reader:
    """Reads one text, at most a window of it in one call."""

    __slots__ = ("_base", "_name", "_scan", "_text", "_window")

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text
        self._base = 0
        self._window = ""
        self._scan = values.scanner(name)

    def read(self) -> Members:
        """Return the members of the object that the text is."""
        text = self._text
        start = _space(text, 0)
        if not text.startswith("{", start):
            _, end = self._scanned(start)
            self._expect_end(end)
            values.refuse(self._name, "data is an object at the top")
        members: Members = {}
        self._expect_end(self._members(start + 1, members, 0))
        return members

    def _expect_end(self, end: int) -> None:
        end = _space(self._text, end)
        if end != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, end)

    def _members(self, at: int, into: Members, depth: int) -> int:
        """Read what follows `{`, and return where it ended."""
        text = self._text
        if depth >= POLICY_NESTING_MAX:
            values.refuse_depth(self._name)
        at = _space(text, at)
        if text.startswith("}", at):
            return at + 1
        if not text.startswith('"', at):
            raise json.JSONDecodeError(
                "Expecting property name enclosed in double quotes", text, at
            )
        at += 1
        while True:
            key, at = scanstring(text, at, True)
            if key in into:
                values.refuse(self._name, f"key {key!r} stands twice in one object")
            colon = _KEY_END.match(text, at)
            if colon is None:
                found = _space(text, at)
                raise json.JSONDecodeError("Expecting ':' delimiter", text, found)
            at = self._member(colon.end(), into, key, depth)
            following = _NEXT.match(text, at)
            if following is None:
                return _ended(text, at)
            at = following.end()

    def _member(self, at: int, into: Members, key: str, depth: int) -> int:
        found = self._glimpse(at)
        if found is None and self._text.startswith("{", at):
            into[key] = {}
            return self._members(at + 1, into[key], depth + 1)
        value, end = self._scanned(at) if found is None else found
        values.check(self._name, value, depth + 1, cut=False)
        _keep(self._name, into, key, value)
        return end

    def _glimpse(self, at: int) -> tuple[Any, int] | None:
        """Return the value at a place and its end, or None if no window holds it."""
        for _ in range(2):
            local = at - self._base
            try:
                value, end = self._scan(self._window, local)
            except (StopIteration, json.JSONDecodeError):
                pass
            else:
                # Of a number that the window cuts off, a part is one as well: `1.`.
                whole = self._base + len(self._window) == len(self._text)
                if whole or end + _NUMBER_ENDS <= len(self._window):
                    return value, self._base + end
            if local == 0:
                break
            self._base = at
            self._window = self._text[at : at + _WINDOW_CHARS]
        return None

    def _scanned(self, at: int) -> tuple[Any, int]:
        try:
            value, end = self._scan(self._text, at)
        except StopIteration as stop:
            raise json.JSONDecodeError(
                "Expecting value", self._text, stop.value
            ) from None
        return value, end


def _ended(text: str, at: int) -> int:
    """Return the place after `}`, or say what is missing."""
    at = _space(text, at)
    if text.startswith("}", at):
        return at + 1
    if not text.startswith(",", at):
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    raise json.JSONDecodeError(
        "Expecting property name enclosed in double quotes", text, _space(text, at + 1)
    )


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
