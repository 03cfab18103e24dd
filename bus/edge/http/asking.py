"""Turns a request into what an operation asks for, by the type that says so.

Rule: fields named in the path come from there, `if_match` and `idempotency_key` from
their headers, the others from the query of a GET or DELETE and from the JSON body of a
POST or PUT; whatever else is there is refused.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from bus.core.edgelimits import (
    HTTP_BODY_S,
    HTTP_REQUEST_BYTES_MAX,
    IDEMPOTENCY_KEY_CHARS_MAX,
    QUERY_BYTES_MAX,
)
from bus.core.errors import MalformedMessageError
from bus.edge.http.problems import HttpError
from bus.edge.http.shape import decoded
from bus.edge.operations import Operation

JSON_MEDIA: Final = "application/json"
IF_MATCH: Final = "If-Match"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
HEADER_FIELDS: Final = {"if_match": IF_MATCH, "idempotency_key": IDEMPOTENCY_KEY}
"""Fields of `Asks` that come from a header."""

_BODIED: Final = frozenset({"POST", "PUT"})
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_VISIBLE: Final = re.compile(rf"[!-~]{{1,{IDEMPOTENCY_KEY_CHARS_MAX}}}")

Read = Callable[[web.Request], Awaitable[Any]]


class Fields(msgspec.Struct, frozen=True):
    """Where the fields of an operation come from, by name."""

    path: tuple[str, ...]
    header: tuple[str, ...]
    query: tuple[str, ...]
    body: tuple[str, ...]


def fields_of(operation: Operation) -> Fields:
    """Return where each field comes from."""
    path = tuple(_IN_PATH.findall(operation.path))
    header = tuple(
        name for name in operation.asks.__struct_fields__ if name in HEADER_FIELDS
    )
    rest = tuple(
        name
        for name in operation.asks.__struct_fields__
        if name not in path and name not in header
    )
    bodied = operation.method in _BODIED
    return Fields(path, header, () if bodied else rest, rest if bodied else ())


def part_of(operation: Operation, names: tuple[str, ...], suffix: str) -> Any:
    """Return a struct with some of an operation's fields, under the same rules."""
    given = {field.name: field for field in msgspec.structs.fields(operation.asks)}
    made: list[Any] = []
    for name in names:
        field = given[name]
        if field.default is not msgspec.NODEFAULT:
            made.append((name, field.type, field.default))
        elif field.default_factory is not msgspec.NODEFAULT:
            factory = msgspec.field(default_factory=field.default_factory)
            made.append((name, field.type, factory))
        else:
            made.append((name, field.type))
    return msgspec.defstruct(
        operation.name[:1].upper() + operation.name[1:] + suffix,
        made,
        kw_only=True,
        frozen=True,
        forbid_unknown_fields=True,
    )


def reader(operation: Operation) -> Read:
    """Return a function that makes what an operation asks for from a request.

    It raises `MalformedMessageError`, `LimitExceededError` and `HttpError`.
    """
    fields = fields_of(operation)
    if operation.method in _BODIED and not fields.path:
        return _from_body(operation, fields)
    return _from_parts(operation, fields)


def _from_body(operation: Operation, fields: Fields) -> Read:
    """Read it all from the body: one decoder, and nothing else on the usual way."""
    decode = msgspec.json.Decoder(operation.asks).decode
    header = fields.header

    async def read(request: web.Request) -> Any:
        if request.query_string:
            raise MalformedMessageError("this path takes no query")
        asked = decoded(decode, await json_body(request))
        for name in header:
            if getattr(asked, name) is not None:
                raise MalformedMessageError(
                    f"{name} is the header {HEADER_FIELDS[name]}, not a field"
                )
            value = request.headers.get(HEADER_FIELDS[name])
            if value is not None:
                value = header_value(name, value)
                asked = msgspec.structs.replace(asked, **{name: value})
        return asked

    return read


def _from_parts(operation: Operation, fields: Fields) -> Read:
    """Read it from path, headers, and query or body; each part is checked by itself."""
    bodied = operation.method in _BODIED
    around = part_of(operation, (*fields.path, *fields.header, *fields.query), "Around")
    inner = part_of(operation, fields.body, "Body") if bodied else None
    decode = msgspec.json.Decoder(inner).decode if inner is not None else None
    lists = frozenset(
        field.name
        for field in msgspec.structs.fields(operation.asks)
        if field.name in fields.query and _is_list(field.type)
    )

    async def read(request: web.Request) -> Any:
        given: dict[str, Any] = query(request, lists, taken=not bodied)
        for name in (*fields.path, *fields.header):
            if name in given:
                raise MalformedMessageError(f"no parameter {name!r} in the query")
        given.update(request.match_info)
        for name in fields.header:
            value = request.headers.get(HEADER_FIELDS[name])
            if value is not None:
                given[name] = header_value(name, value)
        found = msgspec.structs.asdict(_converted(given, around))
        if decode is not None:
            body = decoded(decode, await json_body(request))
            found.update({name: getattr(body, name) for name in fields.body})
        elif request.body_exists:
            raise MalformedMessageError(f"{request.method} takes no body")
        return operation.asks(**found)

    return read


async def json_body(request: web.Request) -> bytes:
    """Return the body of a request that says it is JSON; none is an empty object."""
    if not request.body_exists:
        return b"{}"
    require_json(request)
    return await octets(request) or b"{}"


def require_json(request: web.Request) -> None:
    """Raise `HttpError` unless a request says that its body is JSON in UTF-8."""
    content_type = request.headers.get("Content-Type", "")
    if content_type == JSON_MEDIA:
        return
    if request.content_type != JSON_MEDIA or "Content-Type" not in request.headers:
        raise HttpError(
            "unsupported_media_type",
            f"Content-Type {content_type[:100]!r}; {JSON_MEDIA} is needed",
            Accept=JSON_MEDIA,
        )
    require_utf8(request)


def require_utf8(request: web.Request) -> None:
    """Raise `HttpError` if a request names another charset than UTF-8."""
    charset = request.charset
    if charset is not None and charset.lower() not in {"utf-8", "us-ascii"}:
        raise HttpError(
            "unsupported_media_type", f"charset {charset[:50]!r}; UTF-8 only"
        )


async def octets(request: web.Request) -> bytes:
    """Return the bytes of a body that is neither compressed, too long nor too slow.

    Raises:
        HttpError: `unsupported_media_type` or `too_large`.
        MalformedMessageError: it did not come in time, or broke off.
    """
    if "Content-Encoding" in request.headers:
        coding = request.headers["Content-Encoding"]
        if coding.strip().lower() not in {"", "identity"}:
            raise HttpError(
                "unsupported_media_type",
                f"Content-Encoding {coding[:50]!r}; bodies are sent as they are",
                Accept_Encoding="identity",
            )
    size = request.content_length
    if size is not None and size > HTTP_REQUEST_BYTES_MAX:
        raise HttpError(
            "too_large", f"{size} bytes; {HTTP_REQUEST_BYTES_MAX} are allowed"
        )
    try:
        async with asyncio.timeout(HTTP_BODY_S):
            body = await request.read()
    except TimeoutError:
        raise MalformedMessageError("the body did not come in time") from None
    except web.HTTPRequestEntityTooLarge as error:
        raise HttpError(
            "too_large", f"{HTTP_REQUEST_BYTES_MAX} bytes are allowed"
        ) from error
    if len(body) > HTTP_REQUEST_BYTES_MAX:
        raise HttpError("too_large", f"{HTTP_REQUEST_BYTES_MAX} bytes are allowed")
    return body


def query(
    request: web.Request, lists: frozenset[str] = frozenset(), *, taken: bool = True
) -> dict[str, Any]:
    """Return the query's parameters, each once but for those that are lists.

    Raises:
        HttpError: `uri_too_long`.
        MalformedMessageError: one is there twice, or none is `taken`.
    """
    text = request.query_string
    if not text:
        return {}
    if len(text) > QUERY_BYTES_MAX:
        raise HttpError("uri_too_long", f"{QUERY_BYTES_MAX} bytes of query are allowed")
    if not taken:
        raise MalformedMessageError("this path takes no query")
    found: dict[str, Any] = {}
    for name, value in request.query.items():
        if name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise MalformedMessageError(f"parameter {name!r} is there twice")
        else:
            found[name] = value
    return found


def _converted(given: dict[str, Any], around: Any) -> Any:
    try:
        return msgspec.convert(given, around, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedMessageError(f"the parameters: {error}") from error


def header_value(name: str, value: str) -> str:
    """Return a header's value, or raise `MalformedMessageError`."""
    if _VISIBLE.fullmatch(value) is None:
        raise MalformedMessageError(
            f"{HEADER_FIELDS[name]}: 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible characters "
            "of ASCII"
        )
    return value.strip('"') if name == "if_match" else value


def _is_list(annotation: Any) -> bool:
    kind = msgspec.inspect.type_info(annotation)
    return isinstance(
        kind,
        msgspec.inspect.ListType
        | msgspec.inspect.VarTupleType
        | msgspec.inspect.FrozenSetType
        | msgspec.inspect.SetType,
    )
