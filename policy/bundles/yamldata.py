"""YAML data, read event by event into what JSON could have said.

Rule: no anchors, aliases, tags, directives or second document, and no plain word that
YAML 1.1, YAML 1.2 and OPA's reader take for different things: those are to be quoted.
So nothing grows, and a bundle says the same to every engine.
"""

import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final, NoReturn

import rfc8785

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_NESTING_MAX
from policy.bundles.extra import needed
from policy.bundles.numerals import Numeral

_WORDS: Final = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
}
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
# What some reader or other of YAML does not take for text.
_DOUBTFUL: Final = re.compile(
    r"[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?0[xXoObB][0-9a-fA-F_]+"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"
    r"|[-+]?\.(?:inf|nan)"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*"
    r"|null|true|false|yes|no|on|off|y|n|=|<<",
    re.IGNORECASE,
)
_DIGITS_MAX: Final = 400  # of a number; longer ones are none that an engine could hold


def parse(name: str, text: str, *, exact: bool) -> Any:
    """Return the document; with `exact`, numbers as OPA writes them before it hashes.

    Raises:
        PolicyLoadError: not YAML, or something in it that is not taken; with the line.
        ConfigurationError: the reader is not installed.
    """
    yaml = needed("yaml", "YAML data in bundles")
    try:
        return _Reader(name, yaml, text, exact=exact).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error)
        line = mark.line + 1 if mark is not None else 0
        raise PolicyLoadError(" ".join(said.split()), file=name, line=line) from None


class _Reader:
    """Builds values from the parser's events; never calls itself past the bound."""

    __slots__ = ("_events", "_exact", "_name", "_yaml")

    def __init__(self, name: str, yaml: ModuleType, text: str, *, exact: bool) -> None:
        self._name = name
        self._yaml = yaml
        self._exact = exact
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)

    def document(self) -> Any:
        next(self._events)  # the stream begins
        opening = next(self._events)
        if isinstance(opening, self._yaml.StreamEndEvent):
            self._refuse(opening, "an empty file")
        if opening.version or opening.tags:
            self._refuse(opening, "a directive is not taken")
        found = self._value(next(self._events), 0)
        next(self._events)  # the document ends
        after = next(self._events)
        if not isinstance(after, self._yaml.StreamEndEvent):
            self._refuse(after, "a second document")
        return found

    def _value(self, event: Any, depth: int) -> Any:
        if isinstance(event, self._yaml.AliasEvent) or event.anchor is not None:
            self._refuse(event, "anchors and aliases are not taken: write it out")
        if event.tag is not None:
            self._refuse(event, f"the tag {event.tag} is not taken")
        if depth >= POLICY_NESTING_MAX:
            self._refuse(event, f"nested deeper than {POLICY_NESTING_MAX}")
        if isinstance(event, self._yaml.MappingStartEvent):
            return self._mapping(depth)
        if isinstance(event, self._yaml.SequenceStartEvent):
            return self._sequence(depth)
        return self._scalar(event)

    def _mapping(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while True:
            event = next(self._events)
            if isinstance(event, self._yaml.MappingEndEvent):
                return made
            key = self._value(event, depth + 1)
            if not isinstance(key, str) or isinstance(key, Numeral):
                self._refuse(event, "a key that is no string: put it in quotes")
            if key in made:
                self._refuse(event, f"key {key!r} stands twice")
            made[key] = self._value(next(self._events), depth + 1)

    def _sequence(self, depth: int) -> list[Any]:
        made: list[Any] = []
        while True:
            event = next(self._events)
            if isinstance(event, self._yaml.SequenceEndEvent):
                return made
            made.append(self._value(event, depth + 1))

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.style is not None:  # quoted, or a block
            return text
        if text in _WORDS:
            return _WORDS[text]
        if len(text) <= _DIGITS_MAX and _INTEGER.fullmatch(text) and text != "-0":
            return Numeral(text) if self._exact else int(text)
        if len(text) <= _DIGITS_MAX and _DECIMAL.fullmatch(text):
            return self._decimal(event, float(text))
        if _DOUBTFUL.fullmatch(text):
            self._refuse(
                event, f"{text[:40]!r} is read differently by YAML's readers: quote it"
            )
        return text

    def _decimal(self, event: Any, value: float) -> float | Numeral:
        if value in (float("inf"), float("-inf")) or (
            value == 0 and str(value) == "-0.0"
        ):
            self._refuse(event, f"{event.value[:40]!r} is a number JSON cannot carry")
        return Numeral(rfc8785.dumps(value).decode()) if self._exact else value

    def _refuse(self, event: Any, reason: str) -> NoReturn:
        line = event.start_mark.line + 1
        raise PolicyLoadError(reason, file=self._name, line=line)
