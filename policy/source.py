"""A policy file as text, refused before the engine's parser could choke on it.

Rule: the parser has no limit of time and doubles its work with each level of a nested
literal, so size, nesting and length of expressions are bounded here, by a scan that
is linear and knows strings and comments.
"""

import re
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from bus.core.errors import PolicyLoadError
from bus.core.limits import (
    POLICY_BRACKETS_MAX,
    POLICY_FILE_BYTES_MAX,
    POLICY_NESTING_MAX,
    POLICY_OPERATORS_MAX,
    POLICY_PARSE_COST_MAX,
)

_TOKEN: Final = re.compile(
    r"""(?P<skip>"(?:[^"\\\n]|\\.)*"|`[^`]*`|\#[^\n]*|[^\S\n]+|[\w.]+)"""
    r"""|(?P<open>[\[{(])|(?P<close>[\]})])|(?P<end>[,;])|(?P<line>\n)"""
    r"""|(?P<operator>[-+*/%|&=<>!:]+)"""
)
_CHEAP_LEVELS: Final = 2  # brackets that nest no deeper cost next to nothing


class Source(msgspec.Struct, frozen=True):
    """One policy file: its name inside the bundle and its text."""

    name: str
    text: str


def decode(name: str, content: bytes, *, bytes_max: int = POLICY_FILE_BYTES_MAX) -> str:
    """Return a file's text.

    Raises:
        PolicyLoadError: too big, or not UTF-8; then with the line.
    """
    if len(content) > bytes_max:
        raise PolicyLoadError(
            f"{len(content)} bytes; {bytes_max} are allowed", file=name
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyLoadError("not UTF-8", file=name, line=line) from None


def read(name: str, path: Path, *, bytes_max: int = POLICY_FILE_BYTES_MAX) -> str:
    """Read a file's text, never more of it than is allowed.

    Raises:
        PolicyLoadError: cannot be read, too big, or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise PolicyLoadError(f"cannot be read: {error.strerror}", file=name) from None
    return decode(name, content, bytes_max=bytes_max)


def check(source: Source) -> None:
    """Return if the engine can parse the file in bounded time.

    Raises:
        PolicyLoadError: too big, nested too deep, or an expression too long.
    """
    size = len(source.text.encode(errors="surrogatepass"))
    if size > POLICY_FILE_BYTES_MAX:
        raise PolicyLoadError(
            f"{size} bytes; {POLICY_FILE_BYTES_MAX} are allowed", file=source.name
        )
    scan = _Scan(source.name)
    for token in _TOKEN.finditer(source.text):
        kind = token.lastgroup
        if kind == "open":
            scan.open(token.group())
        elif kind == "close":
            scan.close(token.group())
        elif kind == "operator":
            scan.operator()
        elif kind == "line":
            scan.next_line()
        elif kind == "end":
            scan.end_expression()
        else:
            scan.operand(token.group())


class _Scan:
    """Where in the file the scan is, and what it has counted.

    `operators` is a stack: a count for each open bracket and one for outside of all.
    """

    __slots__ = (
        "after_operator",
        "brackets",
        "broken",
        "cost",
        "file",
        "line",
        "operators",
    )

    def __init__(self, file: str) -> None:
        self.file = file
        self.line = 1
        self.brackets = 0
        self.cost = 0
        self.operators = [0]
        self.after_operator = False
        self.broken = False  # a line ended where an expression may have

    def open(self, bracket: str) -> None:
        if self.broken:
            self.end_expression()
        self.after_operator = False
        self.operators.append(0)
        if len(self.operators) > POLICY_NESTING_MAX:
            self._refuse(f"nested deeper than {POLICY_NESTING_MAX}")
        if bracket == "(":
            return
        self.brackets += 1
        if self.brackets > POLICY_BRACKETS_MAX:
            self._refuse(f"brackets nested deeper than {POLICY_BRACKETS_MAX}")
        if self.brackets > _CHEAP_LEVELS:
            self.cost += 1 << self.brackets
        if self.cost > POLICY_PARSE_COST_MAX:
            self._refuse("too many deeply nested brackets")

    def close(self, bracket: str) -> None:
        if len(self.operators) > 1:
            self.operators.pop()
        if bracket != ")":
            self.brackets = max(self.brackets - 1, 0)
        self.after_operator = False
        self.broken = False

    def operator(self) -> None:
        self.operators[-1] += 1
        self.after_operator = True
        self.broken = False
        if self.operators[-1] > POLICY_OPERATORS_MAX:
            self._refuse(f"more than {POLICY_OPERATORS_MAX} operators in an expression")

    def operand(self, text: str) -> None:
        self.line += text.count("\n")  # a raw string may span lines
        if text[0] in " \t\r\f\v#":
            return
        if self.broken:
            self.end_expression()
        self.after_operator = False

    def next_line(self) -> None:
        self.line += 1
        self.broken = not self.after_operator

    def end_expression(self) -> None:
        self.operators[-1] = 0
        self.after_operator = False
        self.broken = False

    def _refuse(self, reason: str) -> NoReturn:
        raise PolicyLoadError(reason, file=self.file, line=self.line)
