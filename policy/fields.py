"""The input document: how each field is had from a message, for keys and for rules.

Rule: a rule sees exactly the fields it was found to read, and the key holds the value
of every one of them, or of what determines it. A field that can be missing is keyed as
an empty tuple when it is, and as a tuple of one when it is not, null included.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from bus.core.decision import Principal
from bus.core.errors import PolicyLoadError
from bus.core.message import Message
from bus.ports import Access
from policy import bodies
from policy.bodies import UnaskableError
from policy.syntax import Path

Get = Callable[[Message], Any]

_NS_PER_MINUTE: Final = 60_000_000_000

encode_key: Final = msgspec.msgpack.Encoder().encode
_encode_json: Final = msgspec.json.Encoder().encode

_BODY_DIGEST_BYTES: Final = 32


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _lowered(message: Message) -> dict[str, str]:
    """Return the headers by their names in small letters, as rules name them."""
    headers = message.headers
    if not headers:
        return headers
    told = {name.lower(): value for name, value in headers.items()}
    if len(told) != len(headers):
        raise UnaskableError("two headers have one name but for its capitals")
    return told


def _body_key(message: Message) -> tuple[str, bytes]:
    """Return what determines a body as rules see it, as short as the body is long."""
    body = hashlib.blake2b(message.body, digest_size=_BODY_DIGEST_BYTES).digest()
    return message.content_type, body


MESSAGE_FIELDS: Final[Mapping[str, Get]] = {
    "id": lambda m: m.id.hex(),
    "subject": lambda m: m.subject,
    "type": lambda m: m.type,
    "priority": lambda m: m.priority,
    "tenant": lambda m: m.tenant,
    "content_type": lambda m: m.content_type,
    "size": lambda m: len(m.body),
    "headers": _lowered,
    "reply_to": lambda m: m.reply_to,
    "correlation": lambda m: m.correlation,
    "causation": lambda m: m.causation,
    "depth": lambda m: m.depth,
    "authors": lambda m: m.authors,
    "root": lambda m: _hex(m.root),
    "parent": lambda m: _hex(m.parent),
    "created_ns": lambda m: m.created_ns,
    "created_minute": lambda m: m.created_ns // _NS_PER_MINUTE,
    "expires_ns": lambda m: m.expires_ns,
}
# Beside the fields above, and never recorded: a body is large, and the sender's own.
BODY: Final = "body"
READABLE: Final = "body_readable"  # there whenever the body is
PRINCIPAL_FIELDS: Final = ("id", "tenant", "roles")
# What every message is routed by. A key of these four serves every rule that reads no
# more, and is read without a call: 44 ns where operator.attrgetter takes 100.
ROUTING: Final = frozenset({"sender", "tenant", "subject", "type"})


class InputPlan:
    """What to put into keys and documents for a rule that reads `paths`.

    `paths` are those of `policy.deps`; None is the whole input. `routed` tells that
    the key is msgpack of (sender, tenant, subject, type).
    """

    __slots__ = ("_body", "_headers", "_message", "_parts", "_principal", "routed")

    def __init__(self, paths: Iterable[Path] | None) -> None:
        """Plan.

        Raises:
            PolicyLoadError: a header is named with capitals, and would never be there.
        """
        read = frozenset([()] if paths is None else paths)
        self._message = _named(read, "message", MESSAGE_FIELDS)
        body = _named(read, "message", (BODY, READABLE))
        self._body = (BODY, READABLE) if BODY in body else tuple(body)
        self._principal = frozenset(_named(read, "principal", PRINCIPAL_FIELDS))
        self._headers = _headers(read) if "headers" in self._message else None
        attributes = _attributes(self._message, self._principal)
        if self._headers is not None:
            del attributes["headers"]
        if self._body:
            attributes[BODY] = _body_key
        self.routed = attributes.keys() <= ROUTING and self._headers is None
        self._parts = tuple(attributes.values())

    @property
    def message_fields(self) -> frozenset[str]:
        """The fields of a message that are in the document."""
        return frozenset((*self._message, *self._body))

    def key(self, message: Message) -> bytes:
        """Return the key of every field the rule reads of a message.

        Raises:
            UnaskableError: two of its headers have one name.
        """
        if self.routed:
            return encode_key(
                (message.sender, message.tenant, message.subject, message.type)
            )
        values = [get(message) for get in self._parts]
        if self._headers is not None:
            told = _lowered(message)
            values.extend(
                (told[name],) if name in told else () for name in self._headers
            )
        return encode_key(values)

    def document(self, action: str, message: Message, roles: tuple[str, ...]) -> str:
        """Return the input for a message, as JSON, of the fields the rule reads.

        Raises:
            UnaskableError: the rule could not be shown what the message is.
        """
        made = {name: get(message) for name, get in self._message.items()}
        if self._headers is not None:
            told: dict[str, str] = made["headers"]
            made["headers"] = {
                name: told[name] for name in self._headers if name in told
            }
        if self._body:
            shown = bodies.shown(message)
            found = {BODY: shown, READABLE: shown is not None}
            made.update((name, found[name]) for name in self._body)
        principal = self._of_principal(message.sender, message.tenant, roles)
        return _encode_json(
            {"action": action, "principal": principal, "message": made}
        ).decode()

    def access_document(self, access: Access, roles: tuple[str, ...]) -> str:
        """Return the input for access, as JSON; `held` is there for a release only."""
        made: dict[str, Any] = {
            "action": access.action,
            "principal": self._of_principal(access.sender, access.tenant, roles),
            "subscription": {"pattern": access.pattern, "queue": access.queue},
        }
        if access.author:
            made["held"] = {"sender": access.author, "authors": access.authors}
        return _encode_json(made).decode()

    def _of_principal(
        self, sender: str, tenant: str, roles: tuple[str, ...]
    ) -> dict[str, Any]:
        told = Principal(sender, tenant, roles)
        return {name: getattr(told, name) for name in self._principal}


def access_key(access: Access) -> bytes:
    """Return the key of every field of access."""
    place = (access.sender, access.tenant, access.pattern, access.queue)
    return encode_key((*place, access.author, access.authors))


def _named(read: frozenset[Path], section: str, names: Iterable[str]) -> dict[str, Any]:
    """Return the fields of a section that are read, with what `names` says of each."""
    whole = () in read or (section,) in read
    told = names if isinstance(names, Mapping) else dict.fromkeys(names)
    wanted = {path[1] for path in read if len(path) > 1 and path[0] == section}
    return {name: get for name, get in told.items() if whole or name in wanted}


def _headers(read: frozenset[Path]) -> tuple[str, ...] | None:
    """Return the names of the headers that are read; None if all of them may be."""
    if read & {(), ("message",), ("message", "headers")}:
        return None
    names = sorted({path[2] for path in read if path[:2] == ("message", "headers")})
    for name in names:
        if name != name.lower():
            raise PolicyLoadError(
                f"a rule reads the header {name!r}: names of headers are in small "
                f"letters in the input; read {name.lower()!r}"
            )
    return tuple(names)


def _attributes(message: Mapping[str, Get], principal: Iterable[str]) -> dict[str, Get]:
    """Return what determines all the fields read, apart from headers read by name."""
    found: dict[str, Get] = dict(message)
    for name in principal:
        # Within a revision the sender determines the roles.
        if name == "tenant":
            found["tenant"] = MESSAGE_FIELDS["tenant"]
        else:
            found["sender"] = lambda m: m.sender
    return found


# What is recorded of a question: every field but those of the body.
RECORDED: Final = InputPlan(
    [("action",), ("principal",), *(("message", name) for name in MESSAGE_FIELDS)]
)
