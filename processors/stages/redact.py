"""Redact: takes named headers out and masks named fields of the body.

Rule: what cannot be looked into is not let through. Header names are compared
without regard to case; a body is parsed, never searched for text.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, Literal

import msgspec

from bus.core.errors import BodyTypeError, ConfigurationError, LimitExceededError
from bus.core.limits import NAMES_MEMO_MAX, REDACT_NODES_MAX, REDACT_PATHS_MAX
from bus.core.message import JSON, MSGPACK, Message

Path = tuple[str, ...]

_FORMATS: Final[dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]]] = {
    MSGPACK: (msgspec.msgpack.decode, msgspec.msgpack.encode),
    JSON: (msgspec.json.decode, msgspec.json.encode),
}


class RedactOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What to redact.

    `fields` are dotted paths into the body; `*` is any key, and a list on the way is
    entered element by element. `opaque` says what happens to a body of another type
    than MessagePack and JSON while `fields` are set.
    """

    headers: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    mask: str = "***"
    opaque: Literal["refuse", "pass"] = "refuse"


class Redact:
    """Redacts; a message with nothing to redact comes back as the same object."""

    Options: ClassVar = RedactOptions
    name: Final = "redact"
    __slots__ = ("_all_harmless", "_drop", "_mask", "_paths", "_refuse", "harmless")

    def __init__(self, options: RedactOptions) -> None:
        if not options.headers and not options.fields:
            raise ConfigurationError("redact: name at least one header or field")
        if max(len(options.headers), len(options.fields)) > REDACT_PATHS_MAX:
            raise ConfigurationError(
                f"redact: more than {REDACT_PATHS_MAX} headers or fields"
            )
        self._drop = frozenset(header.lower() for header in options.headers)
        self._paths = tuple(_parse(field) for field in options.fields)
        self._mask = options.mask
        self._refuse = options.opaque == "refuse"
        self.harmless: set[str] = set()
        self._all_harmless = self.harmless.issuperset

    def process(self, message: Message, now_ns: int) -> Message:  # noqa: ARG002 - the port's signature
        """Return the message without what is named.

        Raises:
            BodyTypeError: fields are named and the body cannot be parsed.
            LimitExceededError: looking for them would take too many looks.
        """
        headers = message.headers
        # One look at all the names when they were seen before, which measured twice
        # as fast as putting each of them into lower case.
        if headers and not self._all_harmless(headers):
            message = self._without_headers(message)
        return self._masked(message) if self._paths else message

    def _without_headers(self, message: Message) -> Message:
        kept: dict[str, str] = {}
        for name, value in message.headers.items():
            if name.lower() in self._drop:
                continue
            kept[name] = value
            if len(self.harmless) < NAMES_MEMO_MAX:
                self.harmless.add(name)
        if len(kept) == len(message.headers):
            return message
        return msgspec.structs.replace(message, headers=kept)

    def _masked(self, message: Message) -> Message:
        formats = _FORMATS.get(message.content_type)
        if formats is None:
            if self._refuse:
                raise BodyTypeError(
                    f"redact: fields of a {message.content_type} body cannot be found; "
                    f"only {MSGPACK} and {JSON} can be looked into"
                )
            return message
        decode, encode = formats
        try:
            tree = decode(message.body)
            found = _mask(tree, self._paths, self._mask)
            # A key given twice survives in the bytes though not in the tree.
            if not found and not self._named_in(message):
                return message
            body = encode(tree)
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            raise BodyTypeError(f"redact: body cannot be parsed: {error}") from error
        except (RecursionError, OverflowError) as error:
            raise BodyTypeError(f"redact: body is out of bounds: {error}") from error
        if body == message.body:
            return message
        return msgspec.structs.replace(message, body=body)

    def _named_in(self, message: Message) -> bool:
        body = message.body
        if message.content_type == JSON and b"\\" in body:
            return True
        return any(path[-1] == "*" or path[-1].encode() in body for path in self._paths)


class _Looks:
    """Counts the elements and keys looked at for one message.

    A sender chooses how many there are: a mebibyte of empty lists, gone through once
    for each path, would hold up the loop.
    """

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = 0

    def take(self, more: int) -> None:
        """Count `more`; raise `LimitExceededError` past the bound."""
        self.taken += more
        if self.taken > REDACT_NODES_MAX:
            raise LimitExceededError(
                "redact: body nodes", actual=self.taken, allowed=REDACT_NODES_MAX
            )


def _mask(tree: Any, paths: tuple[Path, ...], mask: str) -> bool:
    """Mask in place what `paths` name in a decoded body; return whether one was there."""
    found = False
    looks = _Looks()
    for *way, last in paths:
        level = [tree]
        for token in way:
            level = [
                node[key] for node, keys in _maps(level, token, looks) for key in keys
            ]
        for node, keys in _maps(level, last, looks):
            node.update(dict.fromkeys(keys, mask))
            found = True
    return found


def _maps(
    level: list[Any], token: str, looks: _Looks
) -> Iterator[tuple[dict[Any, Any], list[Any]]]:
    """Use `level` up, its lists entered; yield each map there with the keys meant."""
    while level:
        node = level.pop()
        if isinstance(node, list):
            looks.take(len(node))
            level.extend(node)
        elif isinstance(node, dict):
            keys = _keys(node, token)
            looks.take(len(keys))
            if keys:
                yield node, keys


def _keys(node: dict[Any, Any], token: str) -> list[Any]:
    if token == "*":  # noqa: S105 - a path's token, no secret
        return list(node)
    # MessagePack may spell a key as binary; some readers take it for text.
    return [key for key in (token, token.encode()) if key in node]


def _parse(field: str) -> Path:
    tokens = tuple(field.split("."))
    if not all(tokens):
        raise ConfigurationError(f"redact: field {field!r} has an empty token")
    return tokens
