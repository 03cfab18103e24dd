"""What `assent policy check, test and eval` do, as calls that return values.

Rule: a test passes only if its rule is exactly true; one that is undefined, false or
faulty fails, and a folder without tests is not a pass.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from bus.core.errors import PolicyLoadError
from policy import data as policy_data, slicing
from policy.bundle import BUILT_IN, Bundle, read_folder
from policy.engine import Engine
from policy.evaluation import EvaluationError
from policy.loading import build
from policy.source import Source

Ending = Literal["passed", "failed", "error"]
_PREFIX = "test_"


class Readable(Protocol):
    """Where a policy comes from."""

    def read(self) -> Bundle:
        """Return its files, or raise `PolicyLoadError`."""


class RuleTest(msgspec.Struct, frozen=True):
    """How one test ended. `printed` is what its rules printed."""

    file: str
    line: int
    name: str
    ending: Ending
    detail: str = ""
    printed: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """What a check found. `input` is None if the rule reads the whole input.

    It has a revision exactly where nothing was wrong.
    """

    revision: str = ""
    files: tuple[str, ...] = ()
    input: tuple[str, ...] | None = ()
    data: tuple[str, ...] = ()
    builtins: tuple[str, ...] = ()
    volatile: tuple[str, ...] = ()
    agents: int = 0
    problems: tuple[str, ...] = ()

    @property
    def cacheable(self) -> bool:
        """Whether decisions may be kept."""
        return not self.volatile


def check(origin: Readable) -> Report:
    """Load a policy as the bus would, and tell what it reads or why it is refused."""
    try:
        bundle = origin.read()
        policy = build(bundle)
    except PolicyLoadError as error:
        return Report(problems=(str(error),))
    read = policy.dependencies
    return Report(
        revision=policy.revision,
        files=tuple(file.name for file in bundle.sources),
        input=None if read.input is None else _dotted(read.input),
        data=_dotted(read.data),
        builtins=tuple(sorted(read.builtins)),
        volatile=tuple(sorted(read.volatile)),
        agents=len(policy.agents),
    )


def run_tests(
    folders: Sequence[Path], *, data: Mapping[str, Any] | None = None
) -> list[RuleTest]:
    """Run every `test_*` rule below the folders, each on its own.

    `data` is what the rules find as `data` beside what the tests put there themselves.

    Raises:
        PolicyLoadError: a file is refused, or there is no test.
    """
    sources = list(_sources(folders))
    text = msgspec.json.encode(policy_data.accept("data", data or {})).decode()
    engine = Engine(sources, text, printing=True)
    results = [
        _run(engine, module.file, name, path)
        for module in engine.program.modules
        for name, path in dict.fromkeys(
            (name, ".".join((*module.package, name)))
            for name, _ in module.rules
            if name.startswith(_PREFIX)
        )
    ]
    if not results:
        raise PolicyLoadError(
            f"no rule {_PREFIX}* in {', '.join(str(folder) for folder in folders)}"
        )
    return results


def evaluate(
    query: str,
    *,
    input_text: str = "{}",
    input_name: str = "input",
    origin: Readable | None = None,
) -> list[dict[str, Any]]:
    """Evaluate a query and return its results: expressions and bindings of each.

    Without `origin` the built-in rules are loaded with no data. An undefined query has
    no results. `input_name` is for errors.

    Raises:
        PolicyLoadError: the policy or its data is refused, or the input is not JSON.
        EvaluationError: the query fails.
    """
    if origin is None:
        sources, data_json = tuple(read_folder(BUILT_IN)), "{}"
    else:
        bundle = origin.read()
        sources, data_json = bundle.sources, bundle.data_json
    engine = Engine(sources, data_json, printing=True)
    answer = engine.query(query, normal(input_name, input_text))
    found: list[dict[str, Any]] = msgspec.json.decode(answer).get("result", [])
    return found


def normal(name: str, text: str) -> str:
    """Return an input, JSON whatever it is called, as the engine is given it.

    Raises:
        PolicyLoadError: not JSON, no object, or past a bound; it names `name`.
    """
    read = policy_data.accept(name, dict(slicing.of_json(name, text)))
    return msgspec.json.encode(read).decode()


def _run(engine: Engine, file: str, name: str, path: str) -> RuleTest:
    nodes = engine.program.rules[tuple(path.split("."))]
    line = min(_line(node) for module, node in nodes if module.file == file)
    try:
        answer = engine.evaluate(path, "{}")
    except EvaluationError as error:
        ending: Ending = "error"
        detail = str(error)
    else:
        ending = "passed" if answer == "true" else "failed"
        detail = "" if answer == "true" else f"it is {answer or 'undefined'}, not true"
    return RuleTest(file, line, name, ending, detail, tuple(engine.prints()))


def _line(node: Mapping[str, Any]) -> int:
    (kind,) = node.values()
    line: int = kind["span"]["line"]
    return line


def _sources(folders: Sequence[Path]) -> Iterator[Source]:
    for folder in folders:
        for file in read_folder(folder, tests=True):
            yield Source(f"{folder.name}/{file.name}", file.text)


def _dotted(paths: frozenset[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted(".".join(path) for path in paths))
