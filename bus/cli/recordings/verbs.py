"""What an administrator can tell of a tool by its name: does it read, or have an effect?

Rule: the first word of a plain name decides; a word that is not known to read, and a
name with any odd character, count as an effect. Nothing else of a recording is looked
at, least of all why it was made.
"""

import re
from typing import Final

import msgspec

from bus.core.errors import MalformedMessageError

READING_VERBS: Final = (
    "cat",
    "count",
    "describe",
    "fetch",
    "find",
    "get",
    "goto",
    "grep",
    "head",
    "list",
    "lookup",
    "ls",
    "open",
    "pwd",
    "read",
    "scroll",
    "search",
    "show",
    "tail",
    "view",
    "wc",
)
_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_PREFIX: Final = "tool."
_SUFFIX: Final = ".request"


class Judgement(msgspec.Struct, frozen=True):
    """Whether a tool reads only, and the word of its name that says so."""

    reads: bool
    word: str


def judge(tool: str) -> Judgement:
    """Judge a tool by its name."""
    found = _WORD.match(tool.lstrip("_-"))
    if _PLAIN.fullmatch(tool) is None or found is None:
        return Judgement(False, "an odd name")
    word = found[0].lower()
    return Judgement(word in READING_VERBS, word)


def token(tool: str) -> str:
    """Return a tool's name as one token of a subject.

    Letters, digits, `_` and `-` stay; every other byte of its UTF-8 form becomes `%`
    and two hex digits, so that no two names share a token.

    Raises:
        MalformedMessageError: it is empty.
    """
    if not tool:
        raise MalformedMessageError("a tool without a name")
    return "".join(
        char
        if _PLAIN.fullmatch(char)
        else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        for char in tool
    )


def subject_of(tool: str) -> str:
    """Return the subject on which a tool is asked for."""
    return f"{_PREFIX}{token(tool)}{_SUFFIX}"


def tool_of(subject: str) -> str | None:
    """Return the token of the tool that a subject asks for, or None for any other."""
    inner = subject.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    if subject == f"{_PREFIX}{inner}{_SUFFIX}" and inner and "." not in inner:
        return inner
    return None
