"""What a decision rests on: the value of each definition, and which ones count.

Rule: nothing is inferred from the text. Every definition that the entry rule can reach
is evaluated by itself, on the same input and data, by the same engine.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from bus.core.decision import Decision
from bus.core.errors import PolicyLoadError
from bus.core.limits import ERROR_CHARS_MAX
from policy import definitions as rules
from policy.bundle import Bundle
from policy.definitions import CopyKey
from policy.engine import Engine
from policy.evaluation import EvaluationError
from policy.judging import Bench
from policy.syntax import Path

Place = tuple[str, str, int]
"""(rule, file, line)."""
# A set or object to which no definition gave anything.
_NOTHING: Final[tuple[Any, ...]] = ([], {})


class Value(msgspec.Struct, frozen=True):
    """A definition's value by itself, of which branch; or why there is none."""

    given: Any
    branch: int
    error: str = ""


Values = Mapping[int, Value]
"""The definitions that have a value, or failed, by their number."""


class Grounds:
    """Evaluates definitions under one bundle. Used on the thread that made it.

    Raises:
        PolicyLoadError: the bundle is refused, or has no rule `entry`.
    """

    __slots__ = (
        "_entry",
        "_gather",
        "_of_rule",
        "_package",
        "_reads",
        "definitions",
        "engine",
    )

    def __init__(self, bundle: Bundle, entry: str) -> None:
        plain = Engine(bundle.sources, bundle.data_json)
        self._entry = tuple(entry.split("."))
        if self._entry not in plain.program.rules:
            raise PolicyLoadError(f"there is no rule {entry}")
        self.definitions = rules.definitions(
            plain.program, bundle.sources, rules.reached(plain.program, self._entry)
        )
        sources, self._gather = rules.with_copies(bundle.sources, self.definitions)
        self._package = self._gather.rpartition(".")[0]
        self.engine = Engine(sources, bundle.data_json)
        self._of_rule: dict[Path, list[int]] = {}
        for number, one in enumerate(self.definitions):
            self._of_rule.setdefault(one.path, []).append(number)
        self._reads = {
            (number, branch): one.reads(plain.program, branch)
            for number, one in enumerate(self.definitions)
            for branch in range(-1, len(one.branches))
        }

    def values(self, input_json: str) -> dict[int, Value]:
        """Evaluate every definition by itself.

        Raises:
            EvaluationError: the input is past a bound.
        """
        try:
            answer = self.engine.evaluate(self._gather, input_json)
        except EvaluationError as error:
            if error.kind == "input":
                raise
            return _first_branches(self._one_by_one(input_json))
        found: dict[str, Any] = msgspec.json.decode(answer or "{}")
        return _first_branches(
            {rules.copy_key(name): Value(value, 0) for name, value in found.items()}
        )

    def decisive(self, values: Values) -> set[int]:
        """Return the numbers of the definitions that the decision rests on.

        Those that held, of a rule of which some held; all, of a rule of which none did
        or only its default. From the entry rule along what these read.
        """
        found: set[int] = set()
        todo = [self._entry]
        seen = set(todo)
        while todo:
            numbers = self._of_rule[todo.pop()]
            for number in self._counting(numbers, values):
                found.add(number)
                new = self.reads(number, values)[0] - seen
                todo.extend(new)
                seen |= new
        return found

    def givers(self, values: Values, wanted: Iterable[Any]) -> tuple[Place, ...]:
        """Return where the definitions are that gave any of `wanted`, in order.

        Of definitions that hand a value on only the one it comes from counts. Where
        none gave it, those of the entry rule that held.
        """
        decisive, sought = self.decisive(values), list(wanted)
        gave = {
            n
            for n in decisive
            if n in values and any(gives(values[n].given, one) for one in sought)
        }
        paths = {self.definitions[n].path for n in gave}
        first = {
            n
            for n in gave
            if not (self.reads(n, values)[0] - {self.definitions[n].path}) & paths
        }
        if not first:
            first = decisive & set(self._of_rule[self._entry])
        return tuple(sorted(self.place(n, values) for n in first))

    def held(self, number: int, values: Values) -> bool:
        """Tell whether a definition gave its rule's value, or a part of it."""
        definition, value = self.definitions[number], values.get(number)
        if value is None or value.error:
            return False
        if definition.kind == "partial":
            return not any(value.given == nothing for nothing in _NOTHING)
        if definition.kind == "default":
            others = self._of_rule[definition.path]
            return not any(n != number and n in values for n in others)
        return True

    def _counting(self, numbers: list[int], values: Values) -> list[int]:
        """Return which of a rule's definitions count: all, where a default held."""
        held = [n for n in numbers if self.held(n, values)]
        plain = [n for n in held if self.definitions[n].kind != "default"]
        return plain or numbers

    def place(self, number: int, values: Values) -> Place:
        """Return where a definition is; the line is that of the branch that held."""
        definition = self.definitions[number]
        line = definition.lines[0]
        if number in values and definition.branches:
            line = definition.branches[values[number].branch][1]
        return definition.rule, definition.module.file, line

    def reads(self, number: int, values: Values) -> tuple[set[Path], set[Path]]:
        """Return (rules, input paths) that a definition read, up to its branch."""
        branch = -1
        if self.held(number, values):
            branch = values[number].branch
        return self._reads[number, branch]

    def _one_by_one(self, input_json: str) -> dict[CopyKey, Value]:
        """Evaluate each copy apart, so that one that fails hides no other."""
        found: dict[CopyKey, Value] = {}
        for number, definition in enumerate(self.definitions):
            for branch in range(len(definition.branches)):
                name = rules.key_name((number, branch))
                value = self._copy(name, input_json)
                if value is not None:
                    found[number, branch] = value
        return found

    def _copy(self, name: str, input_json: str) -> Value | None:
        try:
            answer = self.engine.evaluate(f"{self._package}.{name}", input_json)
        except EvaluationError as error:
            return Value(None, 0, str(error)[:ERROR_CHARS_MAX])
        return None if answer is None else Value(msgspec.json.decode(answer), 0)


def decided(
    answer: str | None, error: EvaluationError | None = None, revision: str = ""
) -> Decision:
    """Return the decision that the bus makes of an answer, None being undefined.

    `error` is why there is no answer, if there is none.
    """
    told = {"revision": revision, "digest": "", "action": "publish"}
    if error is not None:
        return Bench(quoting=True).excuse(error, **told)
    return Bench(quoting=True).judge(answer, **told)[0]


def gives(value: object, wanted: object) -> bool:
    """Tell whether `wanted` is a value, or is in it; a reason may have been cut."""
    if isinstance(value, str):
        return value[:ERROR_CHARS_MAX] == wanted
    if type(value) is type(wanted) and value == wanted:
        return True
    if isinstance(value, dict):
        return any(gives(inner, wanted) for inner in value.values())
    if isinstance(value, list):
        return any(gives(inner, wanted) for inner in value)
    return False


def _first_branches(found: Mapping[CopyKey, Value]) -> dict[int, Value]:
    """Return each definition's value, of the first branch that has one."""
    firsts: dict[int, Value] = {}
    for number, branch in sorted(found):
        value = found[number, branch]
        firsts.setdefault(number, Value(value.given, branch, value.error))
    return firsts
