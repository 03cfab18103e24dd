"""What a tool does, told by its name and its description: reads, or has an effect.

Rule: a tool reads only if the first word of its name does, every verb that a sentence of
its description begins with or adds does, and no argument is a program. A verb that is
not known is an effect of its own, which a request has to name.
"""

import re
from collections.abc import Collection
from itertools import pairwise
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
        "filter",
        "find",
        "gather",
        "get",
        "has",
        "inspect",
        "is",
        "list",
        "lookup",
        "query",
        "read",
        "retrieve",
        "return",
        "scan",
        "search",
        "select",
        "show",
        "summarise",
        "summarize",
        "tell",
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
# Arguments that say what is to be run, whatever the tool is called.
_PROGRAMS: Final = frozenset(["cmd", "command", "program", "script", "shell", "sql"])
# "check in" is no checking.
_PHRASAL: Final = frozenset(["check"])
_PARTICLES: Final = frozenset(["in", "off", "out"])
# Words by what they can be in a sentence.
_GRAMMAR: Final[dict[str, str]] = {
    # They begin a sentence, or follow "and", and are no verb of the tool's.
    "no verb": "a about above after all along although an and any are as at be because "
    "been before both but by can each either every example examples existing finally for "
    "from given has have her here his how however if in into is its just may more most "
    "must my neither new no none nor not note nothing of on once one only optionally or "
    "other otherwise our per please should since so some such that the their them then "
    "there these they this those though to unless until use used useful was were what "
    "when where whether which while who whose will with within without you your",
    "auxiliary": "are can could has have is may must should was were will would",
    # A word before one of these is a verb.
    "object": "a all an any each every her him his it its that the their them these "
    "this those your",
}
_NO_VERBS, _AUXILIARIES, _OBJECTS = (
    frozenset(told.split()) for told in _GRAMMAR.values()
)
_WORD: Final = r"[a-z]+(?:[-'][a-z]+)*"
_MARKUP: Final = re.compile(r"[`*\"]")
_SENTENCE: Final = re.compile(r"(?<!\be\.g)(?<!\bi\.e)[.!?;](?:\s+|$)|\n\s*\n")
# Parts of a docstring that say what goes in and comes out, and marks before a sentence.
_PARTS: Final = re.compile(
    r":|(?:arg|argument|example|input|output|param|parameter|raise|return|yield)s?:"
)
_MARKS: Final = re.compile(r"(?:[-#>]+ ?|(?:description|important|note|warning): ?)+")
# What may stand before a verb.
_BEFORE: Final = (
    r"(?:(?:can|first|may|must|then|to|which|will|"
    r"al(?:so|ways)|(?!(?:app|re|supp|multip|comp)ly)[a-z]+ly) )*"
)
_OPENING: Final = re.compile(
    r"(?:(?:this|the) (?:command|endpoint|function|method|operation|tool) |it |"
    r"an? (?:command|endpoint|function|method|operation|tool) (?:that|which|to) |"
    r"(?:can |may |should |must )?be used (?:for|to) |used (?:for|to) |"
    r"use (?:it|this)(?: tool)? to )?"
    rf"{_BEFORE}({_WORD})(?: ({_WORD}))?"
)
# What follows is looked at only, since it may join the next verb itself.
_ADDED: Final = re.compile(
    rf"\b(also|and|it|or|then|which),? (?={_BEFORE}({_WORD})(?: ({_WORD}))?)"
)


def class_of(word: str) -> str | None:
    """Return the class of effects of a verb, in the imperative or with an `s`."""
    return _CLASS_OF.get(word) or _CLASS_OF.get(singular(word))


def reads(word: str) -> bool:
    """Tell whether a verb, in the imperative or with an `s`, only reads."""
    return word in READS or singular(word) in READS


def asks(
    name: str, description: str, arguments: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the classes of the effects that a tool has; none for one that reads.

    A tool whose name begins with no known verb has the class its description begins
    with, or the first word of its name as a class of its own. `arguments` are the names
    of what it takes: one that takes a program runs it.
    """
    found = words(name)
    first = found[0] if found else ""
    said = _verbs(description)
    if reads(first):
        told = [class_of(word) or word for word in said if not reads(word)]
        told += _added_by_name(found)
        if first in _PHRASAL and found[1:2] and found[1] in _PARTICLES:
            told.append(f"{first} {found[1]}")
        if any(_PROGRAMS & set(words(argument)) for argument in arguments):
            told.append("run")
        return tuple(dict.fromkeys(told))
    own = class_of(first)
    if own is not None:
        return (own,)
    if said and (described := class_of(said[0])) is not None:
        return (described,)
    return (first,)


def _added_by_name(found: tuple[str, ...]) -> list[str]:
    """Return what a name adds: `get_and_run`, `find_file_and_delete`."""
    added: list[str] = []
    for place, (before, word) in enumerate(pairwise(found)):
        known = class_of(word)
        if before in {"and", "then"} and (known or place == 1) and not reads(word):
            added.append(known or word)
    return added


def _verbs(description: str) -> list[str]:
    """Return the verbs of a description: those it begins sentences with, and adds."""
    found: list[str] = []
    text = _MARKUP.sub(" ", description.replace("&", " and ")).lower()
    # "Lists" or "List": the others are in the same form.
    third = False
    for number, sentence in enumerate(_SENTENCE.split(text)):
        line = _MARKS.sub("", " ".join(sentence.split()), count=1)
        if not line or _PARTS.match(line):
            continue
        opening = _OPENING.match(line)
        if opening and _is_opening_verb(opening[1], opening[2], first=number == 0):
            if number == 0:
                third = opening[1].endswith("s")
            found.append(_base(opening[1]))
        found.extend(_added(line, third=third))
    return found


def _is_opening_verb(word: str, after: str | None, *, first: bool) -> bool:
    """Tell whether a sentence begins with a verb, not with what it is about."""
    if word in _NO_VERBS:
        return False
    return first or after not in _AUXILIARIES


def _added(line: str, *, third: bool) -> list[str]:
    """Return the verbs that a sentence adds after its first.

    After `and` may stand a noun: it is one where it has another form than the verb
    before, as in "Get the rating and reviews", or is the second of two plurals.
    """
    found: list[str] = []
    for place in _ADDED.finditer(line):
        joint, word, after = place.groups()
        before = line[: place.start()].rstrip(" ,")
        if word in _NO_VERBS or (joint == "which" and after in _AUXILIARIES):
            continue
        noun = (
            joint in {"and", "or"}
            and class_of(word) is None
            and after not in _OBJECTS
            and (
                word.endswith("s") != third
                or after == "of"
                or (third and before.endswith("s"))
            )
        )
        if not noun:
            found.append(_base(word))
    return found


def _base(word: str) -> str:
    """Return a verb in the imperative, as far as its form tells."""
    return word if reads(word) or class_of(word) else singular(word)
