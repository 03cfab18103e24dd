"""The embedded Rego engine; the only file that knows it, and every one of its traps.

Rule: nothing reaches the engine unchecked (size, nesting, thread, functions, data that
would override rules), and nothing comes back but JSON text, `None` for undefined, or
an `EvaluationError`.
"""

import re
import threading
from collections.abc import Sequence, Set as AbstractSet
from typing import Any, Final

import msgspec
import regorus  # type: ignore[import-untyped]  # it ships no type information

from bus.core.errors import PolicyLoadError, UsageError
from bus.core.limits import (
    ERROR_CHARS_MAX,
    POLICY_INPUT_BYTES_MAX,
    POLICY_NESTING_MAX,
    POLICY_SOURCE_BYTES_MAX,
)
from policy import native, source, syntax, vetting
from policy.evaluation import EvaluationError
from policy.pacing import Steps, exhaust
from policy.sliced import SlicedData
from policy.source import Source

PRINT: Final = "print"
_UNDEFINED: Final = '"<undefined>"'
_PLACE: Final = re.compile(
    r"--> (?P<file>.+?):(?P<line>\d+):(?P<column>\d+)\n(?P<shown>.*?)error: ",
    re.DOTALL,
)
_SHOWN: Final = re.compile(r"^\d+ \| (?P<text>.*)$", re.MULTILINE)
_SHOWN_CHARS: Final = 40  # of the offending line, on either side of the column
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


class Rules:
    """Policies parsed and checked, without data; for engines of the same thread.

    `native` is only ever copied.
    """

    __slots__ = ("__weakref__", "builtins", "native", "program", "sources", "thread")

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)
        self.thread = threading.get_ident()
        self.native: Any = regorus.Engine()
        native.keep(self, self.native)
        self.native.set_gather_prints(True)
        self.builtins: AbstractSet[str] = frozenset()
        self.program = syntax.Program((), {}, {})


class Engine:
    """Policies and data, loaded and checked. Usable on the thread that made it.

    Raises:
        PolicyLoadError: a file that does not parse or is past a bound, a call of a
            function that is not there or is refused, or data that overlaps a package.
    """

    __slots__ = ("__weakref__", "_engine", "_thread", "builtins", "program", "rules")

    def __init__(
        self,
        sources: Sequence[Source],
        data_json: str,
        *,
        printing: bool = False,
        rules: "Rules | None" = None,
    ) -> None:
        """Load; where `rules` are given, they are those of `sources` and of this thread."""
        if rules is None:
            rules = exhaust(parsing(sources, printing=printing))
        self.rules = rules
        self.builtins = rules.builtins
        self.program = rules.program
        self._thread = rules.thread
        self._check_thread()
        self._engine: Any = rules.native.clone()
        native.keep(self, self._engine)
        vetting.check_overlap(self.program, vetting.decoded(data_json))
        self.add(data_json)

    def add(self, data_json: str) -> None:
        """Add data at places where there is none yet.

        Raises:
            PolicyLoadError: there is some, or it is no object.
            UsageError: called on another thread.
        """
        self._check_thread()
        _load("data", lambda: self._engine.add_data_json(data_json))

    def evaluate(self, rule: str, input_json: str) -> str | None:
        """Return the rule's value as JSON, or None if it is undefined.

        Raises:
            EvaluationError: the input is past a bound, or the rule fails.
            UsageError: called on another thread.
        """
        self._accept(input_json)
        answer: str = self._run(lambda: self._engine.eval_rule_as_json(rule))
        return None if answer == _UNDEFINED else answer

    def query(self, text: str, input_json: str) -> str:
        """Evaluate any query and return the engine's JSON result set.

        Raises:
            EvaluationError: the query or the input is past a bound, or it fails.
            UsageError: called on another thread.
        """
        try:
            source.check(Source("query", text))
        except PolicyLoadError as error:
            raise EvaluationError(str(error)) from None
        self._accept(input_json)
        answer: str = self._run(lambda: self._engine.eval_query_as_json(text))
        return answer

    def trace(
        self, rule: str, input_json: str
    ) -> tuple[str | None, dict[str, frozenset[int]]]:
        """Evaluate as `evaluate` does, and return which lines of each file were run.

        A line that was run need not have been true. Raises as `evaluate`.
        """
        self._check_thread()
        self._engine.clear_coverage_data()
        self._engine.set_enable_coverage(True)
        try:
            answer = self.evaluate(rule, input_json)
            report = self._run(self._engine.get_coverage_report_as_json)
        finally:
            self._engine.set_enable_coverage(False)
        files = msgspec.json.decode(report)["files"]
        return answer, {file["path"]: frozenset(file["covered"]) for file in files}

    def prints(self) -> list[str]:
        """Return what `print` wrote since the last call."""
        self._check_thread()
        written: list[str] = self._engine.take_prints()
        return written

    def _accept(self, input_json: str) -> None:
        self._check_thread()
        size = len(input_json.encode(errors="surrogatepass"))
        if size > POLICY_INPUT_BYTES_MAX:
            raise EvaluationError(
                f"input: {size} bytes; {POLICY_INPUT_BYTES_MAX} are allowed",
                kind="input",
            )
        if depth(input_json) > POLICY_NESTING_MAX:
            raise EvaluationError(
                f"input: nested deeper than {POLICY_NESTING_MAX}", kind="input"
            )
        self._run(lambda: self._engine.set_input_json(input_json))

    def _run(self, call: Any) -> Any:
        try:
            return call()
        except BaseException as error:
            if _is_fault(error):
                file, line, reason = _told(error)
                raise EvaluationError(reason, file=file, line=line) from None
            raise

    def _check_thread(self) -> None:
        # The engine itself would panic with a BaseException that no caller expects.
        if threading.get_ident() != self._thread:
            raise UsageError("a policy engine is used on the thread that made it")


def parsing(sources: Sequence[Source], *, printing: bool = False) -> Steps[Rules]:
    """Parse and check policies, a file in a step; raises as `Engine`."""
    made = yield from _parsing(sources)
    known = made.builtins | ({PRINT} if printing else frozenset())
    vetting.check_calls(made.program, known)
    yield
    vetting.check_recursion(made.program)
    return made


def parsed(sources: Sequence[Source]) -> syntax.Program:
    """Parse policies that may call functions of others; raises as `Engine`."""
    return exhaust(_parsing(sources)).program


def _parsing(sources: Sequence[Source]) -> Steps[Rules]:
    _check_together(sources)
    made = Rules(sources)
    for file in made.sources:
        source.check(file)
        _load(file.name, lambda f=file: made.native.add_policy(f.name, f.text))
        yield
    made.builtins = _builtins()
    tree = _load("", made.native.get_ast_as_json)
    yield
    made.program = syntax.parse(tree)
    yield
    return made


def loading(
    sources: Sequence[Source], data: SlicedData, before: Engine | None = None
) -> Steps[Engine]:
    """Make an engine, a file or a slice of the data in a step; raises as `Engine`.

    What `before` parsed of the same files on this thread is not parsed again.
    """
    yield from native.dropping()
    rules = None if before is None else before.rules
    if rules is None or rules.sources != tuple(sources) or not _is_here(rules):
        rules = yield from parsing(sources)
    made = Engine(sources, "{}", rules=rules)
    vetting.check_overlap(made.program, data)
    for part in data.slices:
        yield
        made.add(part.document())
    return made


def _is_here(rules: Rules) -> bool:
    return rules.thread == threading.get_ident()


def depth(json_text: str) -> int:
    """Return how deep JSON text nests, or an upper bound where that is small."""
    most = json_text.count("{") + json_text.count("[")
    if most <= POLICY_NESTING_MAX:
        return most
    level = deepest = 0
    for character in _STRING.sub("", json_text):
        if character in "[{":
            level += 1
            deepest = max(deepest, level)
        elif character in "]}":
            level -= 1
    return deepest


def _check_together(sources: Sequence[Source]) -> None:
    if not sources:
        raise PolicyLoadError("no policy file")
    size = sum(len(file.text) for file in sources)
    if size > POLICY_SOURCE_BYTES_MAX:
        raise PolicyLoadError(
            f"policy files together: {size} bytes; {POLICY_SOURCE_BYTES_MAX} are allowed"
        )


def _builtins() -> AbstractSet[str]:
    """Return the names of the functions that this build of the engine has."""
    engine = regorus.Engine()
    engine.add_policy("builtins", "package builtins")
    answer = engine.eval_query("opa.runtime().builtins")
    return frozenset(answer["result"][0]["expressions"][0]["value"])


def _load(file: str, call: Any) -> Any:
    try:
        return call()
    except BaseException as error:
        if not _is_fault(error):
            raise
        told_file, line, reason = _told(error)
        reason += _column(str(error))
        raise PolicyLoadError(reason, file=told_file or file, line=line) from None


def _is_fault(error: BaseException) -> bool:
    """Tell whether the engine raised it; a panic of its is a bare BaseException."""
    return isinstance(error, RuntimeError | TypeError | ValueError) or (
        type(error).__name__ == "PanicException"
    )


def _told(error: BaseException) -> tuple[str, int, str]:
    """Return (file, line, reason) from the engine's own message."""
    text = str(error).split("\n\nStack backtrace:", 1)[0].strip()
    found = _PLACE.search(text)
    if found is None:
        return "", 0, text[:ERROR_CHARS_MAX]
    return found["file"], int(found["line"]), text[found.end() :][:ERROR_CHARS_MAX]


def _column(text: str) -> str:
    """Return where on its line a file is wrong, with what stands there."""
    found = _PLACE.search(text)
    if found is None:
        return ""
    column = int(found["column"])
    shown = _SHOWN.search(found["shown"])
    line = "" if shown is None else shown["text"]
    near = line[max(column - _SHOWN_CHARS, 0) : column + _SHOWN_CHARS].strip()
    return f" (column {column}: {near})" if near else f" (column {column})"
