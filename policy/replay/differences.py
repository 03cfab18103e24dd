"""Decisions that came out otherwise, told apart by rule and by what changed.

Rule: every difference is in exactly one group. Where a reason names values of the
input, the names of the fields stand for them, so that alike differences meet.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Literal

import msgspec

from bus.core.decision import Decision
from bus.core.limits import REDECIDE_GROUPS_MAX, REDECIDE_WORDS_MAX
from policy.explain import Explanation
from policy.grounds import Place

Change = Literal["allow to deny", "deny to allow", "obligations", "reasons"]
CHANGES: Final[tuple[Change, ...]] = (
    "allow to deny",
    "deny to allow",
    "obligations",
    "reasons",
)
OTHER: Final = ("more kinds of difference than are told apart",)
_WORD_CHARS_MIN: Final = 2
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Told(msgspec.Struct, frozen=True):
    """A decision as it is compared and shown."""

    allow: bool
    reasons: tuple[str, ...]
    obligations: tuple[dict[str, Any], ...]


class Kind(msgspec.Struct, frozen=True):
    """What the differences of a group have in common.

    `rules` are the places in the candidate that made the new decision. `gone` and
    `new` are reasons and obligations that only the old or only the new decision has.
    """

    change: Change
    rules: tuple[Place, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]


class Example(msgspec.Struct, frozen=True):
    """One difference, with the input that the candidate read."""

    file: str
    line: int
    decision_id: str
    message_id: str
    before: Told
    after: Told
    input: Any


class Group(msgspec.Struct):
    """How many differences of a kind there are, and the first of them."""

    count: int
    examples: list[Example]


class Groups(msgspec.Struct):
    """The differences by kind; examples of each up to a number."""

    examples_max: int
    found: dict[Kind, Group] = {}

    def add(self, kind: Kind, count: int, examples: Iterable[Example]) -> None:
        """Count differences of a kind; keep examples as far as there is room."""
        if kind not in self.found and len(self.found) >= REDECIDE_GROUPS_MAX:
            kind = Kind(kind.change, (), (), OTHER)
        group = self.found.setdefault(kind, Group(0, []))
        group.count += count
        room = self.examples_max - len(group.examples)
        group.examples.extend(islice(examples, room))

    def largest_first(self) -> list[tuple[Kind, Group]]:
        """Return the groups: by change, and within one the largest first."""
        return sorted(
            self.found.items(),
            key=lambda entry: (
                CHANGES.index(entry[0].change),
                -entry[1].count,
                entry[0].rules,
                entry[0].new,
            ),
        )


def told(decision: Decision | Explanation) -> Told:
    """Return what is compared of a decision: the order of reasons means nothing."""
    return Told(
        decision.allow,
        tuple(sorted(set(decision.reasons))),
        tuple(sorted(decision.obligations, key=_encode)),
    )


def change_of(before: Told, after: Told) -> Change | None:
    """Return what changed, the gravest first; None where nothing did."""
    if before.allow != after.allow:
        return "deny to allow" if after.allow else "allow to deny"
    if texts(before.obligations) != texts(after.obligations):
        return "obligations"
    return "reasons" if before.reasons != after.reasons else None


def texts(obligations: Iterable[dict[str, Any]]) -> list[str]:
    """Return obligations as JSON, the same text for the same obligation."""
    return [_encode(one).decode() for one in obligations]


def kind_of(
    change: Change, sides: tuple[Told, Told], rules: tuple[Place, ...], given: Any
) -> Kind:
    """Return the kind of a difference between `sides`, before and after.

    `given` is the input, whose values are taken out of the reasons.
    """
    before, after = (
        [*_templates(side.reasons, given), *texts(side.obligations)] for side in sides
    )
    return Kind(
        change,
        rules,
        tuple(one for one in before if one not in after),
        tuple(one for one in after if one not in before),
    )


def _templates(reasons: Sequence[str], given: Any) -> list[str]:
    """Return the reasons with `<field>` for each value of the input, the longest first."""
    if not reasons:
        return []
    names: dict[str, str] = {}
    for name, value in _words(given):
        names.setdefault(value, name)
        if len(names) >= REDECIDE_WORDS_MAX:
            break
    if not names:
        return list(reasons)
    longest = sorted(names, key=len, reverse=True)
    words = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)")
    return [words.sub(lambda m: f"<{names[m.group()]}>", one) for one in reasons]


def _words(given: Any) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of every text in an input that a reason may name."""
    todo = [("", given)]
    while todo:
        name, found = todo.pop()
        if isinstance(found, str) and len(found) >= _WORD_CHARS_MIN:
            yield name, found
        elif isinstance(found, dict):
            inner = [
                (f"{name}.{key}" if name else key, one) for key, one in found.items()
            ]
            todo.extend(reversed(inner))
