"""What each argument of a tool is, told by its name, its description and its schema.

Rule: what is not recognised is a detail, which a request has to name before the call
is let in outright. A value with a form of its own (an address, an account) is judged by
its form whatever its argument is called; that is the policy's part.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from policy.toolcalls.naming import nouns, singular, words

Kind = Literal[
    "party",  # whom or where it goes to: a person, an address, a channel, an account
    "url",  # the same, by the address of a page
    "object",  # the id of something that is there already
    "label",  # the name of something
    "number",
    "secret",
    "choice",
    "flag",
    "time",
    "content",
    "detail",
    "nested",  # an object whose fields the schema does not tell
]
PARTIES: Final = frozenset(
    [
        "account",
        "addressee",
        "assignee",
        "attendee",
        "audience",
        "bcc",
        "bic",
        "board",
        "cc",
        "channel",
        "colleague",
        "company",
        "contact",
        "customer",
        "destination",
        "email",
        "employee",
        "folder",
        "friend",
        "group",
        "guest",
        "iban",
        "invitee",
        "mail",
        "member",
        "participant",
        "payee",
        "people",
        "person",
        "phone",
        "recipient",
        "room",
        "space",
        "staff",
        "swift",
        "team",
        "to",
        "user",
        "username",
        "vendor",
        "wallet",
        "workspace",
    ]
)
_URLS: Final = frozenset(
    [
        "domain",
        "endpoint",
        "host",
        "link",
        "site",
        "uri",
        "url",
        "webhook",
        "webpage",
        "website",
    ]
)
_TIMES: Final = frozenset(
    [
        "date",
        "day",
        "deadline",
        "duration",
        "end",
        "hour",
        "minute",
        "month",
        "start",
        "time",
        "timezone",
        "until",
        "when",
        "week",
        "year",
    ]
)
_SECRETS: Final = frozenset(
    ["credential", "key", "passphrase", "password", "pin", "secret", "token"]
)
_CONTENTS: Final = frozenset(
    [
        "answer",
        "attachment",
        "body",
        "caption",
        "comment",
        "content",
        "description",
        "feedback",
        "memo",
        "message",
        "note",
        "purpose",
        "question",
        "reason",
        "reference",
        "remark",
        "reply",
        "subject",
        "summary",
        "text",
        "topic",
    ]
)
_LABELS: Final = frozenset(["filename", "label", "name", "path", "title"])
_IDS: Final = frozenset(["id", "identifier", "number", "uuid"])
# Numbers that are somebody's, not the name of a thing.
_BEFORE_NUMBER: Final = frozenset({"account", "phone"})
_FORMATS: Final[dict[str, Kind]] = {
    "email": "party",
    "idn-email": "party",
    "uri": "url",
    "iri": "url",
    "hostname": "url",
    "date": "time",
    "date-time": "time",
    "time": "time",
    "duration": "time",
}
_DIGITS: Final = frozenset({"integer", "number"})


class Argument(msgspec.Struct, frozen=True, omit_defaults=True):
    """One argument. `of` is what an object is one of, in the singular."""

    kind: Kind
    default: Any = None
    of: str = ""


def arguments(
    tool: str, schema: Mapping[str, Any], collections: Sequence[str]
) -> dict[str, Argument]:
    """Return the arguments of a tool; `collections` are the names objects are kept by."""
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties") or {}
    return {
        name: _argument(tool, name, _resolved(told, schema), collections)
        for name, told in properties.items()
    }


def _argument(
    tool: str, name: str, told: Mapping[str, Any], collections: Sequence[str]
) -> Argument:
    kind = _kind(tool, name, told)
    of = _collection(tool, name, collections) if kind == "object" else ""
    return Argument(kind, told.get("default"), of)


def _kind(tool: str, name: str, told: Mapping[str, Any]) -> Kind:
    """Return what an argument is: its schema says it first, then its name."""
    found = nouns(name)
    by_schema = _by_schema(told)
    if by_schema is not None:
        return by_schema
    if set(words(name)) & _SECRETS:
        return "secret"
    if found and found[-1] in _IDS and not _BEFORE_NUMBER & set(found):
        return "object"
    if told.get("type") in _DIGITS:
        return "number"
    by_name = _by_name(found)
    about = by_name == "detail" and set(found) & set(nouns(tool))
    return "label" if about else by_name


def _by_schema(told: Mapping[str, Any]) -> Kind | None:
    """Return what the schema alone says, whatever the argument is called."""
    if "enum" in told or "const" in told:
        return "choice"
    type_ = told.get("type")
    inner = told.get("items", {}).get("type") if type_ == "array" else type_
    if inner == "object":
        return "nested"
    if inner == "boolean":
        return "flag"
    return _FORMATS.get(told.get("format", ""))


def _by_name(found: Sequence[str]) -> Kind:
    """Return what the words of a name say; the last one counts first."""
    for word in reversed(found):
        for kind, told in _BY_WORD:
            if word in told:
                return kind
    return "detail"


_BY_WORD: Final[tuple[tuple[Kind, frozenset[str]], ...]] = (
    ("url", _URLS),
    ("time", _TIMES),
    ("label", _LABELS),
    ("content", _CONTENTS),
    ("party", PARTIES),
)


def _resolved(told: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """Return a property with its reference followed and its null alternative left out."""
    made = dict(told)
    reference = made.pop("$ref", None)
    if isinstance(reference, str) and reference.startswith("#/"):
        place: Any = root
        for step in reference[2:].split("/"):
            place = place.get(step, {}) if isinstance(place, Mapping) else {}
        made = {**place, **made}
    several = made.get("anyOf") or made.get("oneOf")
    if several:
        whole = [_resolved(one, root) for one in several if one.get("type") != "null"]
        if len(whole) == 1:
            made = {**whole[0], **made}
    return made


def _collection(tool: str, name: str, collections: Sequence[str]) -> str:
    """Return which collection an id belongs to: the most words that are all there."""
    near = {singular(word) for word in (*words(name), *words(tool))}
    own = {singular(word) for word in words(name)} - _IDS

    def fits(collection: str) -> bool:
        parts = set(collection.split("_"))
        return parts <= near and (not own or bool(parts & own))

    found = [collection for collection in collections if fits(collection)]
    return max(found, key=lambda c: (len(c.split("_")), c), default="")
