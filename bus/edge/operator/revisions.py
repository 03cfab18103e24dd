"""The last revisions of policy, with their texts, and what differs between two.

Rule: bounded in number and bytes; the oldest goes. Texts are compared in a thread, data
member by member.
"""

import difflib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from bus.core.edgeerrors import NotFoundError
from bus.core.edgelimits import (
    DIFF_BYTES_MAX,
    DIFF_LINES_MAX,
    REVISIONS_BYTES_MAX,
    REVISIONS_KEPT_MAX,
)
from bus.edge.operator.inside import Inside
from bus.edge.operator.policyanswers import FileDiff

_DATA: Final = "data"
_encode: Final = msgspec.json.Encoder(order="sorted").encode


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A revision: its files (`policy.bundle.Bundle`), since when, and who put it there."""

    bundle: Any
    since_ns: int
    by: str = ""

    @property
    def size(self) -> int:
        """Bytes of its texts, about."""
        rules = sum(len(source.text) for source in self.bundle.sources)
        data = sum(len(piece.members) for piece in self.bundle.sliced.slices)
        return int(rules + data)


class Revisions:
    """The revisions that were in force while the node ran, the newest last."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._sizes: dict[str, int] = {}

    def note(self, by: str = "") -> bool:
        """Take over the revision in force; tell whether it is another one."""
        revision = self._inside.bus.revision
        if next(reversed(self._kept), None) == revision:
            if by:  # noted by the clock before who did it could say so
                known = self._kept[revision]
                self._kept[revision] = msgspec.structs.replace(known, by=by)
            return False
        bundle = self._inside.policy.bundle()
        if bundle is None or bundle.revision != revision:
            return False  # another server's, or just going over
        self._kept.pop(revision, None)
        kept = Kept(bundle=bundle, since_ns=self._inside.now_ns(), by=by)
        self._kept[revision], self._sizes[revision] = kept, kept.size
        while len(self._kept) > 1 and (
            len(self._kept) > REVISIONS_KEPT_MAX
            or sum(self._sizes.values()) > REVISIONS_BYTES_MAX
        ):
            gone, _ = self._kept.popitem(last=False)
            del self._sizes[gone]
        return True

    @property
    def newest_first(self) -> list[Kept]:
        """All that are kept."""
        return list(reversed(self._kept.values()))

    def of(self, revision: str) -> Kept:
        """Return a revision; the one in force for the empty name.

        Raises:
            NotFoundError: it is not kept, or not any more.
        """
        wanted = revision or self._inside.bus.revision
        if wanted not in self._kept:
            self.note()  # it may be in force since less than a step
        found = self._kept.get(wanted)
        if found is None:
            raise NotFoundError("the texts of that revision are not kept here")
        return found


def differences(before: Any, after: Any, *, with_data: bool) -> list[FileDiff]:
    """Return what differs between two bundles, by file. Blocks."""
    old = {source.name: source.text for source in before.sources}
    new = {source.name: source.text for source in after.sources}
    found = [
        _difference(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    if with_data and before.sliced.slices != after.sliced.slices:
        lines = list(_of_data(before.sliced, after.sliced))
        if lines:
            found.append(_told(_DATA, "changed", lines))
    return found


def _difference(name: str, old: str | None, new: str | None) -> FileDiff:
    if old is None:
        return _told(name, "added", [f"+{line}" for line in (new or "").splitlines()])
    if new is None:
        return _told(name, "removed", [f"-{line}" for line in old.splitlines()])
    if len(old) + len(new) > DIFF_BYTES_MAX:
        return FileDiff(name=name, change="changed", lines=(), cut=True)
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), "before", "after", lineterm=""
    )
    return _told(name, "changed", list(lines))


def _told(name: str, change: Any, lines: list[str]) -> FileDiff:
    shown = tuple(lines[:DIFF_LINES_MAX])
    return FileDiff(
        name=name, change=change, lines=shown, cut=len(lines) > DIFF_LINES_MAX
    )


def _of_data(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield the members of each section that differ, as lines."""
    for section in sorted({*before, *after}):
        old, new = _members(before, section), _members(after, section)
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                for sign, members in (("-", old), ("+", new)):
                    if name in members:
                        yield f"{sign}{section}{name}: {members[name].decode()}"


def _members(data: Mapping[str, Any], section: str) -> dict[str, bytes]:
    """Return each member of a section by its name, as JSON."""
    from policy.sliced import parts  # noqa: PLC0415 - policy is not for the whole edge

    found: dict[str, bytes] = {}
    for part in parts(data, section) if section in data else ():
        if isinstance(part, Mapping):
            found |= {f".{name}": _encode(value) for name, value in part.items()}
        else:
            found[""] = _encode(part)
    return found
