"""CloudEvents 1.0 as messages of the bus, and messages as CloudEvents.

Rule: an event's attributes travel as headers of the message, `ce-` before their names as
in the HTTP binding, percent-encoded where they are not plain ASCII. Who sent it is what
the bus says, never the event: `source` is carried and proves nothing.
"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from bus.core import subject as grammar
from bus.core.edgelimits import CLOUDEVENT_ATTRIBUTES_MAX
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.message import JSON, OCTETS, ORDERING_KEY, Message
from bus.edge.messaging.eventschema import MEDIA_PATTERN, REQUIRED, URI_PATTERN, VERSION
from bus.edge.operator.told import content, rfc3339

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
PREFIX: Final = "ce-"

_PLAIN: Final = ("traceparent", "tracestate")  # extensions that are headers themselves
_NAME: Final = re.compile("[a-z0-9]{1,20}")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CHARS_MAX: Final = {"id": 128, "source": 256, "type": 255, "subject": 256}
_OTHER_CHARS_MAX: Final = 256
_CORE: Final = frozenset(
    {*REQUIRED, "subject", "time", "datacontenttype", "dataschema"}
)
_OURS: Final = frozenset({"assentid", "assentsubject", "assentsender", "assenttenant"})
_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_URI: Final = re.compile(URI_PATTERN)
_MEDIA: Final = re.compile(MEDIA_PATTERN)
_JSON_ENDING: Final = "+json"
_json: Final = msgspec.json.Encoder().encode


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent that came in: its attributes as text, and its data as bytes."""

    attributes: dict[str, str]
    data: bytes
    content_type: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers of its message."""
        made = {}
        for name, value in self.attributes.items():
            if name in _PLAIN:
                made[name] = quote(value, safe=_SAFE)
            elif name not in {"specversion", "datacontenttype", "partitionkey"}:
                made[PREFIX + name] = quote(value, safe=_SAFE)
        return made

    @property
    def dedup(self) -> str:
        """What names it: source and id together are unique, as the standard says."""
        both = f"{self.attributes['source']}\0{self.attributes['id']}".encode()
        return f"ce-{blake2b(both, digest_size=20).hexdigest()}"

    @property
    def ordering_key(self) -> str | None:
        """Its partition key, if it has one."""
        return self.attributes.get("partitionkey")


def of_headers(headers: Mapping[str, str], content_type: str, data: bytes) -> Event:
    """Return the event of a request in binary mode.

    Raises:
        MalformedMessageError, LimitExceededError: it is no CloudEvent.
    """
    found: dict[str, Any] = {}
    for header, value in headers.items():
        name = header.lower()
        if name.startswith(PREFIX):
            name = name.removeprefix(PREFIX)
            if name in found:
                raise MalformedMessageError(f"header ce-{name} is there twice")
            try:
                found[name] = unquote(value.strip('"'), errors="strict")
            except UnicodeDecodeError as error:
                raise MalformedMessageError(f"header ce-{name}: {error}") from error
    for name in _PLAIN:
        if name in headers:
            found.setdefault(name, headers[name])
    return Event(
        attributes=_attributes(found),
        data=data,
        content_type=content_type or OCTETS,
    )


def of_json(given: Any) -> Event:
    """Return the event of a JSON object, as in structured and batch mode.

    Raises:
        MalformedMessageError, LimitExceededError: it is no CloudEvent.
    """
    if not isinstance(given, dict):
        raise MalformedMessageError("a CloudEvent is a JSON object")
    plain = {
        name: value
        for name, value in given.items()
        if name not in {"data", "data_base64"} and value is not None
    }
    for name in _CORE & plain.keys():
        if not isinstance(plain[name], str):
            raise MalformedMessageError(f"attribute {name!r} is text")
    attributes = _attributes(plain)
    content_type = attributes.get("datacontenttype", JSON)
    data = _data(given, content_type)
    return Event(
        attributes=attributes,
        data=data,
        content_type=content_type if data else OCTETS,
    )


def attributes_of(message: Message) -> dict[str, str]:
    """Return the attributes of a message as an event.

    Those that it came with, if it was one; `assentid`, `assentsubject`, `assentsender`
    and `assenttenant` are what the bus says of it.
    """
    headers = message.headers
    made = {
        "specversion": VERSION,
        "id": message.id.hex(),
        "source": f"/tenants/{message.tenant}/agents/{message.sender}",
        "type": message.subject,
        "time": rfc3339(message.created_ns),
        "datacontenttype": message.content_type,
    }
    for header, value in headers.items():
        name = header.removeprefix(PREFIX)
        if (header in _PLAIN or header != name) and _NAME.fullmatch(name) is not None:
            made[name] = unquote(value, errors="replace")
    if ORDERING_KEY in headers:
        made["partitionkey"] = headers[ORDERING_KEY]
    return {
        **made,
        "assentid": message.id.hex(),
        "assentsubject": message.subject,
        "assentsender": message.sender,
        "assenttenant": message.tenant,
    }


def as_json(message: Message) -> dict[str, Any]:
    """Return a message as an event in the JSON format."""
    made: dict[str, Any] = dict(attributes_of(message))
    if not message.body:
        return made  # an event without data
    found = content(message, len(message.body))
    if found.body is not msgspec.UNSET:
        made["data"] = found.body
        made["datacontenttype"] = JSON
    else:
        made["data_base64"] = base64.b64encode(message.body).decode()
    return made


def as_headers(message: Message) -> dict[str, str]:
    """Return the headers of a message as an event in binary mode: printable ASCII."""
    made = {
        PREFIX + name: quote(value, safe=_SAFE)
        for name, value in attributes_of(message).items()
        if name != "datacontenttype"
    }
    made["Content-Type"] = message.content_type or OCTETS
    return made


def _attributes(given: dict[str, Any]) -> dict[str, str]:
    """Return an event's attributes, checked."""
    if len(given) > CLOUDEVENT_ATTRIBUTES_MAX:
        raise LimitExceededError(
            "attributes of a CloudEvent",
            actual=len(given),
            allowed=CLOUDEVENT_ATTRIBUTES_MAX,
        )
    made = {name: _text(name, value) for name, value in given.items()}
    for name in REQUIRED:
        if not made.get(name):
            raise MalformedMessageError(f"a CloudEvent has the attribute {name!r}")
    if made["specversion"] != VERSION:
        raise MalformedMessageError(
            f"specversion {made['specversion']!r}; {VERSION} is taken"
        )
    for name in _OURS & made.keys():
        raise MalformedMessageError(f"{name!r} is what the bus says of a message")
    _check_forms(made)
    return made


def _check_forms(made: dict[str, str]) -> None:
    """Raise `ProtocolError` for an attribute that is not of its form."""
    grammar.parse(made["type"])
    if "time" in made:
        _check_time(made["time"])
    for name, form, told in (
        ("dataschema", _URI, "a URI, with its scheme"),
        ("datacontenttype", _MEDIA, "a media type (RFC 2046)"),
    ):
        if name in made and form.match(made[name]) is None:
            raise MalformedMessageError(f"{name} is {told}")


def _text(name: str, value: Any) -> str:
    """Return an attribute's value as text (CloudEvents 3.1.1)."""
    if _NAME.fullmatch(name) is None:
        raise MalformedMessageError(
            f"attribute {name[:50]!r}: 1 to 20 of a-z and 0-9, and nothing else"
        )
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int):
        value = str(value)
    if not isinstance(value, str) or _CONTROL.search(value):
        raise MalformedMessageError(
            f"attribute {name!r}: text without control characters"
        )
    allowed = _CHARS_MAX.get(name, _OTHER_CHARS_MAX)
    if len(value) > allowed:
        raise LimitExceededError(
            f"characters of {name!r}", actual=len(value), allowed=allowed
        )
    if not value and name not in REQUIRED:
        raise MalformedMessageError(f"attribute {name!r} is empty; leave it out")
    return value


def _check_time(text: str) -> None:
    if _TIME.fullmatch(text) is not None:
        try:
            datetime.fromisoformat(text[:19])
        except ValueError:
            pass
        else:
            return
    raise MalformedMessageError(f"time {text[:50]!r}: RFC 3339 is needed")


def _data(given: dict[str, Any], content_type: str) -> bytes:
    """Return the bytes of an event's data (CloudEvents JSON format, 3.1)."""
    if given.get("data_base64") is not None:
        if "data" in given:
            raise MalformedMessageError("give data or data_base64, not both")
        try:
            return base64.b64decode(given["data_base64"], validate=True)
        except (TypeError, ValueError) as error:
            raise MalformedMessageError(f"data_base64: {error}") from error
    if "data" not in given:
        return b""
    data = given["data"]
    kind = content_type.partition(";")[0].strip().lower()
    if isinstance(data, str) and kind != JSON and not kind.endswith(_JSON_ENDING):
        return data.encode()
    return _json(data)
