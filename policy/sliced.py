"""Data as JSON text in slices: what the engine is given piece by piece, and kept as.

Rule: a slice holds neighbouring members of one object, in the order of their keys, and
is at most so long that every use of it is short; only a single value that is no object
is never cut. The text of all slices together is that of the data, to the last byte.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from bus.core.policylimits import POLICY_SLICE_AGENTS

Path = tuple[str, ...]

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class Slice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Members of the object at `path`, from the key `first` to the key `last`.

    `members` is `"key":value` of each, separated by commas.
    """

    path: Path
    first: str
    last: str
    members: str

    def document(self) -> str:
        """Return the data with nothing in it but these members."""
        opened = "".join("{" + _quoted(key) + ":" for key in self.path)
        return opened + "{" + self.members + "}" * (len(self.path) + 1)

    def values(self) -> dict[str, Any]:
        """Return the members."""
        found: dict[str, Any] = _decode("{" + self.members + "}")
        return found


class SlicedData(Mapping[str, Any]):
    """Data whose sections are decoded each time they are asked for.

    So it takes the room of its text, and the garbage collector has nothing to look
    through: a collection of all that 20,000 agents are as objects stops the loop.
    """

    __slots__ = ("_names", "slices")

    def __init__(self, names: Iterable[str], slices: Sequence[Slice]) -> None:
        """Take the names of all sections, and slices in the order of their keys."""
        self._names = dict.fromkeys(names)
        self.slices = tuple(slices)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        kept = [part for part in self.slices if part.path[:1] == (name,)]
        if not kept:
            kept = [
                part
                for part in self.slices
                if not part.path and part.first <= name <= part.last
            ]
        return _decode("".join(written(kept)))[name]

    def parts(self, name: str) -> Iterator[Any]:
        """Yield the members of a section, a slice at a time, or what it is instead."""
        waiting: dict[str, list[Slice]] = {}
        cut = False
        for part in self.slices:
            if part.path[:1] != (name,):
                continue
            cut = True
            if len(part.path) == 1:
                yield part.values()
            else:
                waiting.setdefault(part.path[1], []).append(part)
        for member, slices in waiting.items():
            yield {member: _decode("".join(written(slices)))[name][member]}
        if not cut:
            yield self[name]

    def reaches(self, path: Path) -> bool:
        """Tell whether data stands at `path`, or a value that is no object above it."""
        for part in self.slices:
            depth = len(part.path)
            if part.path == path[:depth]:
                if depth >= len(path):
                    return True
                if part.first <= path[depth] <= part.last:
                    found = part.values()
                    if path[depth] in found:
                        return _reaches(found, path[depth:])
            elif path == part.path[: len(path)]:
                return True
        return False


def written(slices: Iterable[Slice]) -> Iterator[str]:
    """Yield the text of slices, which are in order, as one object."""
    yield "{"
    at: Path = ()
    separator = ""
    for part in slices:
        shared = 0
        for mine, its in zip(at, part.path, strict=False):
            if mine != its:
                break
            shared += 1
        yield "}" * (len(at) - shared) + separator
        for key in part.path[shared:]:
            yield _quoted(key) + ":{"
        yield part.members
        at, separator = part.path, ","
    yield "}" * (len(at) + 1)


def parts(data: Mapping[str, Any], name: str) -> Iterator[Any]:
    """Yield the members of the section `name`, some at a time.

    A section that is no object is yielded as it is.
    """
    if isinstance(data, SlicedData):
        yield from data.parts(name)
        return
    section = data[name]
    if not isinstance(section, Mapping):
        yield section
        return
    members = iter(section.items())
    while some := dict(islice(members, POLICY_SLICE_AGENTS)):
        yield some


def keys(data: Mapping[str, Any], name: str) -> dict[str, None]:
    """Return the keys of the section `name`, of which there are none if it is missing."""
    found: dict[str, None] = {}
    for part in parts(data, name) if name in data else ():
        found.update(dict.fromkeys(part))
    return found


def reaches(data: Mapping[str, Any], path: Path) -> bool:
    """Tell whether data stands at `path`, or a value that is no object above it."""
    return data.reaches(path) if isinstance(data, SlicedData) else _reaches(data, path)


def _reaches(data: Mapping[str, Any], path: Path) -> bool:
    place: Any = data
    for step in path:
        if not isinstance(place, Mapping):
            return True
        if step not in place:
            return False
        place = place[step]
    return True


def _quoted(key: str) -> str:
    return _encode(key).decode()
