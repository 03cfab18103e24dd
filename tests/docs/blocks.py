"""The code blocks of a Markdown file, with what is said about each.

A comment on the line before a block may say one of:
`not run: REASON`, `new namespace`, `file: NAME` (the block is that file's text),
`compared` (console: the output must be the one shown), `exits N` (console).
"""

import re
from dataclasses import dataclass
from pathlib import Path

MARKS = ("not run", "new namespace", "file", "compared", "exits")
_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*(\{?[\w-]*\}?)[^`]*$")
_MARK = re.compile(
    r"<!--\s*(not run|new namespace|file|compared|exits)\b:?\s*(.*?)-->$"
)


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its first line of text, 1-based."""

    line: int
    language: str
    text: str
    mark: str = ""
    detail: str = ""


def blocks_of(path: Path) -> list[Block]:
    """Return the fenced blocks of a Markdown file in order.

    Raises:
        ValueError: a fence that is never closed.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    index = 0
    while index < len(lines):
        opening = _FENCE.match(lines[index])
        if opening is None:
            index += 1
            continue
        end = _closing(lines, index + 1, opening[1])
        if end is None:
            raise ValueError(f"{path.name}:{index + 1}: the fence is never closed")
        mark, detail = _mark_before(lines, index)
        text = "\n".join(lines[index + 1 : end]) + "\n"
        found.append(Block(index + 2, opening[2], text, mark, detail))
        index = end + 1
    return found


def _closing(lines: list[str], start: int, fence: str) -> int | None:
    for index in range(start, len(lines)):
        bare = lines[index].strip()
        if len(bare) >= len(fence) and set(bare) == {fence[0]}:
            return index
    return None


def _mark_before(lines: list[str], index: int) -> tuple[str, str]:
    before = index - 1
    while before >= 0 and not lines[before].strip():
        before -= 1
    found = _MARK.match(lines[before].strip()) if before >= 0 else None
    return (found[1], found[2].strip()) if found else ("", "")
