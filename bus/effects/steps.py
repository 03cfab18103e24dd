"""Work on a database as plain steps: what to say and what to make of the answer.

Rule: steps do no I/O. They yield statements and are sent rows, so one text of the logic
serves connections that block and connections that are awaited.
"""

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")

Rows = list[tuple[Any, ...]]
Statement = tuple[str, tuple[object, ...]]
"""SQL with `?` for each parameter, and the parameters."""
Steps = Generator[Statement, Rows, T]
