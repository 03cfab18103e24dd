"""The rules of the code that no linter knows."""

import ast
import importlib
import re
import tokenize
from pathlib import Path

import pytest

from bus.core import (
    errors,
    limits,
    operatinglimits,
    policylimits,
    recoverylimits,
    storelimits,
)
from tests.tidy.repository import PACKAGES, ROOT, module_name, sources

PRODUCT = sources(*PACKAGES)
PYTHON = sources(*PACKAGES, "benchmarks", "docs", "tests")
# A waiver names what it waives, and after a dash or a second mark says why.
WAIVER = re.compile(r"#\s*(noqa|type:\s*ignore|pragma:\s*no\s*(cover|branch))")
REASONED = re.compile(
    r"#\s*(noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\]|pragma: no (cover|branch))"
    r"\s+[#-]\s+\S+(\s+\S+)+"
)


def comments(path: Path) -> list[tuple[int, str]]:
    """Return the comments of a file with their lines."""
    with path.open("rb") as file:
        tokens = list(tokenize.tokenize(file.readline))
    return [(t.start[0], t.string) for t in tokens if t.type == tokenize.COMMENT]


def unreasoned(found: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the comments that waive a check and do not say why."""
    return [
        (line, text)
        for line, text in found
        if WAIVER.search(text) and not REASONED.search(text)
    ]


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_check_is_waived_without_a_reason(path: Path) -> None:
    """Whoever switches a check off says which and why."""
    assert unreasoned(comments(path)) == []


def test_a_waiver_without_a_reason_is_seen() -> None:
    """The test above can fail, and passes what it should."""
    mark = "no" + "qa"
    bad = ["# " + mark, f"# {mark}: S101", "# type: " + "ignore[arg-type]", f"#{mark}"]
    good = [
        f"# {mark}: S101, D100 - two words",
        "# type: " + "ignore[x-y]  # it is so",
    ]
    assert len(unreasoned([(1, text) for text in bad])) == len(bad)
    assert unreasoned([(1, text) for text in good]) == []


BOUNDS = (limits, operatinglimits, policylimits, recoverylimits, storelimits)


def test_every_limit_is_enforced_somewhere() -> None:
    """A bound that nothing reads bounds nothing."""
    own = {Path(module.__file__) for module in BOUNDS if module.__file__}
    text = "\n".join(p.read_text(encoding="utf-8") for p in PRODUCT if p not in own)
    used = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", text))
    names = [name for module in BOUNDS for name in vars(module) if name.isupper()]
    assert len(names) == len(set(names))
    assert [name for name in names if name not in used] == []


def test_every_limit_is_a_positive_number() -> None:
    """No bound is switched off by a zero or a None."""
    for name, value in [item for module in BOUNDS for item in vars(module).items()]:
        if name.isupper():
            assert isinstance(value, int | float), name
            assert value > 0, name


def _all_errors(base: type[errors.BusError]) -> list[type[errors.BusError]]:
    below = [found for child in base.__subclasses__() for found in _all_errors(child)]
    return [base, *below]


def test_every_error_has_a_code_of_its_own() -> None:
    """Codes are what callers switch on, so no two faults share one."""
    for path in PRODUCT:
        if path.stem != "__main__":
            importlib.import_module(module_name(path))
    kinds = [
        k for k in _all_errors(errors.BusError) if k.__module__.startswith(PACKAGES)
    ]
    codes = [kind.__dict__.get("code") for kind in kinds]
    assert None not in codes, "an error without a code of its own"
    assert sorted({*codes}, key=str) == sorted(codes, key=str)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", str(code)) for code in codes)


def test_every_error_stands_in_the_tree_at_the_top_of_its_file() -> None:
    """The tree says who must act; an error outside it says nothing."""
    assert errors.__doc__ is not None
    for kind in _all_errors(errors.BusError):
        if kind.__module__ == errors.__name__:
            assert re.search(rf"\b{kind.__name__}\b", errors.__doc__), kind.__name__


@pytest.mark.parametrize("path", PRODUCT, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_import_is_hidden_and_only_roots_list_names(path: Path) -> None:
    """TYPE_CHECKING hides cycles; `__all__` belongs to the package roots."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    assert "TYPE_CHECKING" not in names
    if path.name != "__init__.py":
        assert "__all__" not in names


def test_no_core_file_is_asynchronous() -> None:
    """The core is called; it never waits."""
    for path in PRODUCT:
        if path.is_relative_to(ROOT / "bus" / "core"):
            waiting = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert not any(isinstance(n, waiting) for n in ast.walk(tree)), path.name
