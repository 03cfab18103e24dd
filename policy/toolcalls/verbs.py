"""What a tool does, told by its name and its description: reads, or has an effect.

Rule: a tool reads only if the first word of its name does and no sentence of its
description begins with, or adds, anything else. A word that is not known is an effect
of its own, which a request has to name.
"""

import re
from typing import Final, Literal

from policy.toolcalls.naming import singular, words

Effect = Literal["none", "fetch", "act"]
"""`fetch` reads, but from a place that the caller names: the asking itself goes out."""

READS: Final = frozenset(
    [
        "calculate",
        "check",
        "compare",
        "compute",
        "convert",
        "count",
        "describe",
        "estimate",
        "fetch",
        "find",
        "get",
        "has",
        "inspect",
        "is",
        "list",
        "load",
        "lookup",
        "query",
        "read",
        "retrieve",
        "return",
        "scan",
        "search",
        "show",
        "summarize",
        "view",
        "visit",
    ]
)
# The classes are those for which the policy knows how people ask.
CLASSES: Final[dict[str, str]] = {
    "message": "announce broadcast email forward mail message notify post publish reply "
    "respond send submit text",
    "money": "deposit donate pay refund reimburse remit repay transfer wire withdraw",
    "create": "compose create draft generate make new open register save schedule start "
    "upload write",
    "book": "book buy checkout hire order purchase rent reserve",
    "add": "add append attach enroll include insert join put",
    "share": "allow assign delegate grant invite permit share",
    "update": "adjust change configure edit extend modify move postpone rename replace "
    "reschedule reset set switch update",
    "delete": "ban cancel clear close delete discard drop erase kick leave purge remove "
    "revoke trash uninstall unshare unsubscribe",
}
DESTRUCTIVE: Final = "delete"
_CLASS_OF: Final = {
    word: name for name, told in CLASSES.items() for word in told.split()
}
# Where a sentence says what is done: at its beginning, or after what it adds.
_SAID: Final = re.compile(r"(?:^|[.!?]\s+|\b(?:also|and|then|it)\s+)([A-Za-z]+)")


def class_of(word: str) -> str | None:
    """Return the class of effects of a verb, in the imperative or with an `s`."""
    return _CLASS_OF.get(word) or _CLASS_OF.get(singular(word))


def reads(word: str) -> bool:
    """Tell whether a verb, in the imperative or with an `s`, only reads."""
    return word in READS or singular(word) in READS


def asks(name: str, description: str) -> tuple[str, ...]:
    """Return the classes of the effects that a tool has; none for one that reads.

    A tool whose name begins with no known verb has the class its description begins
    with, or the first word of its name as a class of its own.
    """
    found = words(name)
    first = found[0] if found else ""
    said = [word.lower() for word in _SAID.findall(description.strip())]
    told = [class_ for word in said if (class_ := class_of(word)) is not None]
    if reads(first):
        return tuple(dict.fromkeys(told))
    own = class_of(first)
    if own is not None:
        return (own,)
    if said and (described := class_of(said[0])) is not None:
        return (described,)
    return (first,)
