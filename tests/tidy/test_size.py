"""Files and functions stay small."""

import ast
from pathlib import Path

import pytest

from tests.tidy.repository import PACKAGES, ROOT, sources

FILE_LINES_MAX = 300
TEST_FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 50
LONG_ON_PURPOSE = "PLR0915"  # waived on the line of its name, with the reason
SOURCES = sources(*PACKAGES, "benchmarks", "tests")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_size(path: Path) -> None:
    """A file fits in one sitting and a function on one screen."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    test = path.is_relative_to(ROOT / "tests")
    assert len(lines) <= (TEST_FILE_LINES_MAX if test else FILE_LINES_MAX)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            waived = LONG_ON_PURPOSE in lines[node.lineno - 1]
            assert waived or length <= FUNCTION_LINES_MAX, node.name
