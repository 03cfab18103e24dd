"""Enrich: adds headers that are configured or follow from the message.

Rule: what is derived is true, so a sender's own header of that name gives way. What is
configured gives way to the sender's, unless `override` says otherwise. Names are
compared without regard to case.
"""

from collections import Counter
from collections.abc import Callable
from typing import ClassVar, Final, Literal

import msgspec

from bus.core import subject as grammar
from bus.core.errors import ConfigurationError, LimitExceededError
from bus.core.limits import HEADER_BYTES_MAX, HEADERS_MAX
from bus.core.message import Message

Source = Literal["id", "subject", "template", "tenant", "sender", "type", "root"]
OTHER: Final = "other"


class EnrichOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What to add: `headers` as they stand, `derived` by the name of a source.

    The source `template` is the first of `templates`, subject patterns, that the
    subject falls under, or `other`. `override` is about `headers` alone.
    """

    headers: dict[str, str] = {}
    derived: dict[str, Source] = {}
    templates: tuple[str, ...] = ()
    override: bool = False


class Enrich:
    """Adds headers; a message that has them all comes back as the same object."""

    Options: ClassVar = EnrichOptions
    name: Final = "enrich"
    __slots__ = ("_derived", "_replaced", "_static", "_templates")

    def __init__(self, options: EnrichOptions) -> None:
        _check(options)
        self._static = [
            (header, header.lower(), value) for header, value in options.headers.items()
        ]
        self._templates = tuple(
            (grammar.parse_pattern(pattern), pattern) for pattern in options.templates
        )
        self._derived = [
            (header, self._reader(source)) for header, source in options.derived.items()
        ]
        ours = (*options.derived, *(options.headers if options.override else ()))
        self._replaced = frozenset(header.lower() for header in ours)

    def process(self, message: Message, now_ns: int) -> Message:  # noqa: ARG002 - the port's signature
        """Return the message with its headers added.

        Raises:
            LimitExceededError: with them it would have too many or too long headers.
        """
        headers = self._enriched(message)
        if headers == message.headers:
            return message
        if len(headers) > HEADERS_MAX:
            raise LimitExceededError(
                "enrich: headers", actual=len(headers), allowed=HEADERS_MAX
            )
        size = _bytes(headers)
        if size > HEADER_BYTES_MAX:
            raise LimitExceededError(
                "enrich: header bytes", actual=size, allowed=HEADER_BYTES_MAX
            )
        return msgspec.structs.replace(message, headers=headers)

    def _enriched(self, message: Message) -> dict[str, str]:
        headers: dict[str, str] = {}
        kept: set[str] = set()
        for name, value in message.headers.items():
            plain = name.lower()
            if plain not in self._replaced:
                headers[name] = value
                kept.add(plain)
        headers.update(
            (name, value) for name, plain, value in self._static if plain not in kept
        )
        for name, read in self._derived:
            headers[name] = read(message)
        return headers

    def _reader(self, source: Source) -> Callable[[Message], str]:
        readers: dict[Source, Callable[[Message], str]] = {
            "id": lambda message: message.id.hex(),
            "subject": lambda message: message.subject,
            "template": self._template,
            "tenant": lambda message: message.tenant,
            "sender": lambda message: message.sender,
            "type": lambda message: message.type,
            # A message that nothing caused is the root of what it causes.
            "root": lambda message: (message.root or message.id).hex(),
        }
        return readers[source]

    def _template(self, message: Message) -> str:
        tokens = tuple(message.subject.split("."))
        for pattern, template in self._templates:
            if grammar.matches(pattern, tokens):
                return template
        return OTHER


def _check(options: EnrichOptions) -> None:
    names = [*options.headers, *options.derived]
    if not names:
        raise ConfigurationError("enrich: name at least one header")
    if len(names) > HEADERS_MAX or _bytes(options.headers) > HEADER_BYTES_MAX:
        raise ConfigurationError(
            f"enrich: more than {HEADERS_MAX} headers or {HEADER_BYTES_MAX} bytes"
        )
    for name in names:
        if not (name.isascii() and name.isprintable() and name.split() == [name]):
            raise ConfigurationError(f"enrich: {name!r} is not the name of a header")
    doubled = [
        name for name, times in Counter(map(str.lower, names)).items() if times > 1
    ]
    if doubled:
        raise ConfigurationError(f"enrich: {sorted(doubled)} would have two values")
    if "template" in options.derived.values() and not options.templates:
        raise ConfigurationError("enrich: `template` needs `templates` to choose from")


def _bytes(headers: dict[str, str]) -> int:
    return sum(
        len(name.encode()) + len(value.encode()) for name, value in headers.items()
    )
