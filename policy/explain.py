"""Why policy decided as it did, and what a rule can read, for a person.

Rule: the decision is the one that the bus would make of the same answer; each
definition says by itself whether it held, and the engine says which were run.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from bus.core.decision import Decision
from bus.core.errors import PolicyLoadError
from bus.core.suggest import hint
from policy import definitions as rules
from policy.bundle import Bundle
from policy.deps import Dependencies, dependencies
from policy.engine import Engine
from policy.evaluation import EvaluationError
from policy.grounds import Grounds, Values, decided, gives
from policy.loading import ENTRY
from policy.syntax import Path

State = Literal["held", "not held", "not reached", "called", "failed"]
Run = Mapping[str, frozenset[int]]
"""The lines of each file that were run; empty where the evaluation failed."""


class Finding(msgspec.Struct, frozen=True):
    """What one definition came to. `line` is that of the branch that held.

    `decided` tells that the decision rests on it: that it held, or that it did not.
    `reasons` and `obligations` are those of the decision that it gave. A function is
    `called`: it has a value only for its arguments.
    """

    rule: str
    file: str
    line: int
    kind: rules.Kind
    state: State
    decided: bool
    value: Any = None
    reasons: tuple[str, ...] = ()
    obligations: tuple[dict[str, Any], ...] = ()
    error: str = ""


class Field(msgspec.Struct, frozen=True):
    """An input field that was read; `value` means nothing where it is not there."""

    name: str
    there: bool
    value: Any = None


class Explanation(msgspec.Struct, frozen=True):
    """A decision, the definitions it can rest on, and the input they read."""

    rule: str
    revision: str
    allow: bool
    reasons: tuple[str, ...]
    obligations: tuple[dict[str, Any], ...]
    findings: tuple[Finding, ...]
    input: tuple[Field, ...]


class RuleReport(msgspec.Struct, frozen=True):
    """What a rule can read, where it is defined, and the rules it can read."""

    rule: str
    read: Dependencies
    defined: tuple[str, ...]
    rules: tuple[str, ...]


class Explainer:
    """Explains decisions under one bundle. Used on the thread that made it.

    Raises:
        PolicyLoadError: the bundle is refused, or has no rule `entry`.
    """

    __slots__ = ("_entry", "_grounds", "_revision")

    def __init__(self, bundle: Bundle, entry: str = ENTRY) -> None:
        self._entry = entry
        self._revision = bundle.revision
        self._grounds = Grounds(bundle, entry)

    def explain(self, input_json: str) -> Explanation:
        """Explain the decision on an input, JSON text.

        Raises:
            EvaluationError: the input is past a bound. What a rule does wrong is
                part of the explanation.
        """
        grounds = self._grounds
        answer, run, error = self._ask(input_json)
        made = decided(answer, error, self._revision)
        values = grounds.values(input_json)
        decisive = grounds.decisive(values)
        findings: list[Finding] = []
        read: set[Path] = set()
        for number in range(len(grounds.definitions)):
            state = self._state(number, values, run)
            counts = number in decisive and state != "not reached"
            findings.append(self._finding(number, state, values, made))
            if counts:
                findings[-1] = msgspec.structs.replace(findings[-1], decided=True)
                read |= grounds.reads(number, values)[1]
        return Explanation(
            rule=self._entry,
            revision=self._revision,
            allow=made.allow,
            reasons=made.reasons,
            obligations=made.obligations,
            findings=tuple(findings),
            input=_fields(read, msgspec.json.decode(input_json)),
        )

    def _ask(self, input_json: str) -> tuple[str | None, Run, EvaluationError | None]:
        try:
            answer, run = self._grounds.engine.trace(self._entry, input_json)
        except EvaluationError as error:
            if error.kind == "input":
                raise
            return None, {}, error
        return answer, run, None

    def _state(self, number: int, values: Values, run: Run) -> State:
        definition, value = self._grounds.definitions[number], values.get(number)
        first, last = definition.lines
        lines = run.get(definition.module.file, ())
        if run and not any(first <= line <= last for line in lines):
            return "not reached"
        if value is not None and value.error:
            return "failed"
        if definition.kind == "function":
            return "called"
        return "held" if self._grounds.held(number, values) else "not held"

    def _finding(
        self, number: int, state: State, values: Values, made: Decision
    ) -> Finding:
        rule, file, line = self._grounds.place(number, values)
        value = values.get(number)
        given = value.given if state == "held" and value is not None else None
        return Finding(
            rule=rule,
            file=file,
            line=line,
            kind=self._grounds.definitions[number].kind,
            state=state,
            decided=False,
            value=given,
            reasons=tuple(one for one in made.reasons if gives(given, one)),
            obligations=tuple(one for one in made.obligations if gives(given, one)),
            error="" if value is None else value.error,
        )


def reading(bundle: Bundle, rule: str) -> RuleReport:
    """Return what a rule, or all rules of a package, can read.

    `rule` may do without its first word, `data`.

    Raises:
        PolicyLoadError: the bundle is refused, or nothing is at that path.
    """
    engine = Engine(bundle.sources, bundle.data_json)
    program = engine.program
    named = tuple(rule.replace("/", ".").strip(".").split("."))
    path = named if named[0] == "data" else ("data", *named)
    text = ".".join(path)
    if path not in program.below:
        known = [".".join(one) for one in program.below]
        raise PolicyLoadError(f"there is no rule {text}{hint(text, known)}")
    reached = rules.reached(program, path)
    inside = [one for one in reached if one[: len(path)] == path]
    defined = rules.definitions(program, bundle.sources, inside)
    return RuleReport(
        text,
        dependencies(program, text, engine.builtins),
        tuple(f"{one.module.file}:{one.lines[0]}" for one in defined),
        tuple(sorted(".".join(one) for one in set(reached) - set(inside))),
    )


def _fields(read: Iterable[Path], given: Any) -> tuple[Field, ...]:
    """Return the fields at `read`, without those inside another of them."""
    paths = set(read)
    outermost = (
        path for path in paths if not any(path[:n] in paths for n in range(len(path)))
    )
    return tuple(_field(path, given) for path in sorted(outermost))


def _field(path: Path, given: Any) -> Field:
    name = ".".join(path) or "all of it"
    for step in path:
        if not isinstance(given, dict) or step not in given:
            return Field(name, there=False)
        given = given[step]
    return Field(name, there=True, value=given)
