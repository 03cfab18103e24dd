"""Each line of a log is sorted: it becomes a question, or is counted as what it is.

Rule: a question holds exactly the fields that the candidate can read; equal ones are
put once. A record that lacks any of these fields is counted, and nothing is guessed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from bus.core.limits import (
    REDECIDE_LINE_BYTES_MAX,
    REDECIDE_LISTED_MAX,
    REDECIDE_REVISIONS_MAX,
)
from policy.deps import Dependencies
from policy.loading import ENTRY
from policy.replay import reading
from policy.replay.deciding import Question, Verdict
from policy.replay.reading import Line, Recorded, UnreadableError
from policy.syntax import Path

Tree = dict[str, Any] | None
"""The fields read, by their keys; None is all of what is there."""
_Key = tuple[bytes, bytes, int]
OTHERS: Final = "others"  # revisions past those told apart
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Lacking(msgspec.Struct, frozen=True):
    """A line that could not be used, and why."""

    file: str
    line: int
    decision_id: str
    why: str


class Counts(msgspec.Struct):
    """What became of the lines: `lines` is the sum of those from `duplicates` to `decided`.

    `other` were decisions of another rule, `failed` were none of policy: the engine
    had failed. `hidden` lack a field that the candidate reads. `different` is part of
    `decided`; `evaluated` is how often the candidate was asked.
    """

    lines: int = 0
    duplicates: int = 0
    unreadable: int = 0
    other: int = 0
    failed: int = 0
    hidden: int = 0
    decided: int = 0
    different: int = 0
    evaluated: int = 0


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A line that asked a question."""

    file: str
    line: int
    decision_id: str
    message_id: str


class Asked(msgspec.Struct):
    """A question, by how many lines it was asked, the first of them, and its verdict."""

    question: Question
    count: int
    seen: list[Seen]
    verdict: Verdict | None = None


class Sorter:
    """Sorts lines; `examples` lines of each question are remembered.

    `unreadable` and `hidden` are the first of them.
    """

    def __init__(self, read: Dependencies, examples: int) -> None:
        self.counts = Counts()
        self.unreadable: list[Lacking] = []
        self.hidden: list[Lacking] = []
        self.revisions: dict[str, int] = {}
        self._paths = ((),) if read.input is None else tuple(read.input)
        self._tree = tree_of(read.input)
        self._volatile = bool(read.volatile)
        self._examples = examples
        self._ids: dict[int, int] = {}
        self._asked: dict[_Key, Asked] = {}

    def sort(self, line: Line) -> Asked | None:
        """Count a line; return the question it asks if nobody asked it before."""
        self.counts.lines += 1
        try:
            recorded = self._new(line)
            if recorded is None or not self._usable(line, recorded):
                return None
            key, asked = self._question(recorded)
        except UnreadableError as error:
            self.counts.unreadable += 1
            _keep(self.unreadable, Lacking(line.file, line.number, "", str(error)))
            return None
        self.counts.decided += 1
        self._under(recorded.under)
        asked.count += 1
        if len(asked.seen) < self._examples:
            ids = recorded.decision_id, recorded.message_id
            asked.seen.append(Seen(line.file, line.number, *ids))
        if key in self._asked:
            return None
        self._asked[key] = asked
        self.counts.evaluated += 1
        return asked

    def _question(self, recorded: Recorded) -> tuple[_Key, Asked]:
        """Return the question of a record, the one kept where there is an equal one."""
        given = {} if recorded.input is UNSET else recorded.input
        read = _text(narrowed(self._tree, given))
        result = recorded.result
        text = b"" if isinstance(result, UnsetType) else bytes(result)
        # What a volatile rule answered once says nothing of the next time.
        key = (read, text, self.counts.lines if self._volatile else 0)
        kept = self._asked.get(key)
        return key, kept or Asked(Question(read, _text(given), text), 0, [])

    def forget(self) -> list[Asked]:
        """Return all questions asked since the last time, in order; none is kept."""
        asked = list(self._asked.values())
        self._asked = {}
        return asked

    @property
    def size(self) -> int:
        """How many questions are kept."""
        return len(self._asked)

    def _new(self, line: Line) -> Recorded | None:
        """Return what a line records, None if it was there before."""
        if not line.text:
            raise UnreadableError(f"longer than {REDECIDE_LINE_BYTES_MAX} bytes")
        recorded = reading.decode(line.text)
        key, text = hash(recorded.decision_id), hash(line.text.strip())
        before = self._ids.get(key)
        if before is None:
            self._ids[key] = text
            return recorded
        if before != text:
            name = recorded.decision_id
            raise UnreadableError(f"another decision than before has the id {name}")
        self.counts.duplicates += 1
        return None

    def _usable(self, line: Line, recorded: Recorded) -> bool:
        if recorded.rule != ENTRY:
            self.counts.other += 1
            return False
        if recorded.faulty:
            self.counts.failed += 1
            return False
        missing = missing_fields(recorded, self._paths)
        if missing:
            self.counts.hidden += 1
            why = ", ".join(missing)
            lacking = Lacking(line.file, line.number, recorded.decision_id, why)
            _keep(self.hidden, lacking)
        return not missing

    def _under(self, revision: str) -> None:
        if revision not in self.revisions:
            full = len(self.revisions) >= REDECIDE_REVISIONS_MAX
            revision = OTHERS if full else revision
        self.revisions[revision] = self.revisions.get(revision, 0) + 1


def missing_fields(recorded: Recorded, read: Sequence[Path]) -> tuple[str, ...]:
    """Return what a record lacks of the input paths read, and of the result, by name."""
    if recorded.input is UNSET and read:
        return ("input",)
    return tuple(
        ".".join(place)
        for place in recorded.hidden
        if place[0] == "result"
        or (place[0] == "input" and any(_meet(place[1:], path) for path in read))
    )


def tree_of(paths: Iterable[Path] | None) -> Tree:
    """Return the tree of the paths that a rule reads; none is inside another."""
    if paths is None:
        return None
    tree: dict[str, Any] = {}
    for path in paths:
        inner = tree
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = None
    return tree


def narrowed(tree: Tree, given: Any) -> Any:
    """Return of a document what is in the tree, and nothing else."""
    if tree is None or not isinstance(given, Mapping):
        return given
    return {
        key: narrowed(inner, given[key]) for key, inner in tree.items() if key in given
    }


def _meet(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _text(given: Any) -> bytes:
    try:
        return _encode(given)
    except (msgspec.MsgspecError, OverflowError, RecursionError) as error:
        raise UnreadableError(f"its input cannot be put to policy: {error}") from None


def _keep(kept: list[Lacking], lacking: Lacking) -> None:
    if len(kept) < REDECIDE_LISTED_MAX:
        kept.append(lacking)
