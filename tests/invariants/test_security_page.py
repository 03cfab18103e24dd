"""docs/security.md names tests that are there, and every attacker's test is named there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
ATTACKS = "tests/invariants/test_edge_*.py"


@pytest.fixture(scope="module")
def named() -> set[str]:
    """The tests that the page names."""
    return set(re.findall(r"`(test_\w+)`", PAGE.read_text()))


def functions_in(pattern: str) -> set[str]:
    """Return the names of the test functions in the files of a pattern."""
    found = set()
    for file in ROOT.glob(pattern):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
    return {name for name in found if name.startswith("test_")}


def test_every_test_that_the_page_names_is_there(named: set[str]) -> None:
    """A threat whose test is gone has none."""
    assert named - functions_in("tests/**/test_*.py") == set()


def test_every_attack_is_named_by_the_page(named: set[str]) -> None:
    """What an attacker tries is a threat of the page."""
    assert functions_in(ATTACKS) - named == set()


def test_every_threat_has_a_test() -> None:
    """A row without one is a promise."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    heading = ""
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if cells[-1] == "tests":
            heading = cells[0]
        elif cells[0] in {"what", "from"}:
            heading = ""
        elif heading:
            assert "`test_" in cells[-1], row
