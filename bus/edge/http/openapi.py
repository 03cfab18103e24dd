"""The OpenAPI 3.1 document of a node, made from the types that decode its requests.

Rule: nothing of it is written twice. What an operation takes, answers and refuses comes
from its row; the rest is what is true of every operation.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from bus.core.edgelimits import IDEMPOTENCY_KEY_CHARS_MAX
from bus.edge.caller import Scope
from bus.edge.http import asking
from bus.edge.http.asking import HEADER_FIELDS, IDEMPOTENCY_KEY, JSON_MEDIA
from bus.edge.http.problems import CODES, MEDIA, Problem
from bus.edge.operations import Operation

PATH: Final = "/v1/openapi.json"
_REF: Final = "#/components/schemas/{name}"
_ALWAYS: Final = ("unauthenticated", "forbidden", "not_acceptable", "internal")
_BODIED: Final = ("malformed", "too_large", "unsupported_media_type", "limit_exceeded")
_KEYED: Final = ("key_reused", "conflict", "overloaded")

Json = dict[str, Any]


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader may send, and is answered. `parameters` are by name."""

    body: Any = None
    parameters: dict[str, Any] = {}
    answer: Any = None


def document(
    operations: Iterable[Operation],
    *,
    version: str,
    examples: Mapping[str, Example] | None = None,
    paths: Mapping[str, Json] | None = None,
    schemas: Mapping[str, Json] | None = None,
) -> Json:
    """Return the document.

    `examples` are by the operation's name. `paths` and `schemas` add to what the rows
    say, for doors that are no operations: by path, or by name, merged level by level.
    """
    rows = tuple(operations)
    taken = {row.name: _Taken(row) for row in rows}
    types = [kind for one in taken.values() for kind in one.types]
    refs, components = msgspec.json.schema_components(
        [*types, Problem], schema_hook=anything, ref_template=_REF
    )
    found = iter(refs)
    described: dict[str, Json] = {}
    for row in rows:
        one = taken[row.name]
        one.schemas = [next(found) for _ in one.types]
        example = (examples or {}).get(row.name, Example())
        item = described.setdefault(row.path, {})
        item[row.method.lower()] = _operation(one, components, example)
    described = _merged(described, paths or {})
    components = _merged(components, schemas or {})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Assent",
            "version": version,
            "description": "A message bus for AI agents on which nothing moves "
            "without permission.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}, {"certificate": []}],
        "paths": described,
        "components": {"schemas": components, "securitySchemes": _SECURITY},
    }


def add_route(app: web.Application, made: Json) -> None:
    """Serve a document at `PATH`, to anybody: it says nothing about anybody."""
    body = msgspec.json.encode(made)
    tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Type": JSON_MEDIA}

    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    app.router.add_get(PATH, handle)


def anything(kind: Any) -> Json:
    """Return the schema of a type that msgspec has none for: `object` is any value."""
    if kind is not object:
        raise NotImplementedError(f"no schema for {kind!r}")
    return {"description": "Any JSON value."}


class _Taken:
    """The types of one row, in the order their schemas are asked for."""

    def __init__(self, row: Operation) -> None:
        self.row = row
        self.fields = asking.fields_of(row)
        around = (*self.fields.path, *self.fields.header, *self.fields.query)
        self.around = asking.part_of(row, around, "Parameters") if around else None
        self.body: Any = None
        if row.method in {"POST", "PUT"}:
            whole = not self.fields.path and not self.fields.header
            self.body = (
                row.asks if whole else asking.part_of(row, self.fields.body, "Body")
            )
        named = (self.around, self.body, row.answers)
        self.types = [kind for kind in named if kind is not None]
        self.schemas: list[Json] = []

    def schema(self, kind: Any) -> Json:
        """Return the schema of one of the types."""
        return self.schemas[self.types.index(kind)]


def _operation(one: _Taken, components: dict[str, Json], example: Example) -> Json:
    row = one.row
    made: Json = {
        "operationId": row.name,
        "summary": row.summary,
        "tags": [row.path.split("/")[2] if row.path.count("/") > 1 else "node"],
        "description": f"Takes a credential of scope {row.scope.value}.",
        "responses": _responses(one, example),
        "x-assent-scope": row.scope.value,
    }
    if parameters := _parameters(one, components, example):
        made["parameters"] = parameters
    if one.body is not None:
        content: Json = {"schema": one.schema(one.body)}
        if example.body is not None:
            content["example"] = example.body
        made["requestBody"] = {
            "required": _requires(one.body),
            "content": {JSON_MEDIA: content},
        }
    if row.scope is Scope.ADMIN:
        made["tags"].append("admin")
    return made


def _requires(body: Any) -> bool:
    return any(field.required for field in msgspec.structs.fields(body))


def _parameters(
    one: _Taken, components: dict[str, Json], example: Example
) -> list[Json]:
    """Return the parameters; their struct is taken out of the components again."""
    made: list[Json] = []
    if one.around is not None:
        name = one.schema(one.around)["$ref"].rsplit("/", 1)[1]
        told = components.pop(name)
        for field in one.around.__struct_fields__:
            place = "path" if field in one.fields.path else "query"
            shown = HEADER_FIELDS.get(field, field)
            made.append(
                {
                    "name": shown,
                    "in": "header" if field in one.fields.header else place,
                    "required": field in told["required"],
                    "schema": _plain(told["properties"][field], place),
                }
            )
            if field in example.parameters:
                made[-1]["example"] = example.parameters[field]
    if one.row.writes and "idempotency_key" not in one.fields.header:
        made.append({"name": IDEMPOTENCY_KEY, "in": "header", "schema": _KEY})
    return made


def _plain(schema: Json, place: str) -> Json:
    """Return a parameter's schema without null, which no address can say."""
    some = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if not some:
        return schema
    rest = {name: told for name, told in schema.items() if name != "anyOf"}
    if rest.get("default", ...) is None:
        del rest["default"]
    if place == "query" and len(some) > 1:
        return {"anyOf": some, **rest}
    return {**some[0], **rest}


def _responses(one: _Taken, example: Example) -> Json:
    row = one.row
    made: Json = {str(row.status): {"description": "Done."}}
    if row.answers is None:
        made = {"204": {"description": "Done."}}
    else:
        content: Json = {"schema": one.schema(row.answers)}
        if example.answer is not None:
            content["example"] = example.answer
        made[str(row.status)]["content"] = {JSON_MEDIA: content}
    if row.method == "GET":
        tag = {"ETag": {"schema": {"type": "string"}}}
        made[str(row.status)]["headers"] = tag
        made["304"] = {"description": "What the caller has is still right."}
    return {**made, **refusals(row)}


def refusals(row: Operation) -> Json:
    """Return the responses by which an operation may refuse, by status."""
    return {
        str(status): refusal(status, codes)
        for status, codes in sorted(_by_status(_Taken(row)).items())
    }


def _by_status(one: _Taken) -> dict[int, list[str]]:
    """Return the codes that an operation may refuse with, by their status."""
    row, fields = one.row, one.fields
    codes = [*_ALWAYS, *row.errors]
    if fields.path or fields.query or fields.header:
        codes += ["malformed", "limit_exceeded"]
    if one.body is not None:
        codes += _BODIED
    if row.writes:
        codes += _KEYED
    if "if_match" in fields.header or row.method != "PUT":
        codes.append("precondition_failed")
    made: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        made.setdefault(CODES[code][0], []).append(code)
    if "limit_exceeded" in codes:
        made.setdefault(413, []).append("limit_exceeded")
    return made


def refusal(status: int, codes: Iterable[str]) -> Json:
    """Return a response of problem details with one of some codes."""
    told = ", ".join(f"`{code}`" for code in codes)
    made: Json = {
        "description": f"Refused: {told}.",
        "content": {MEDIA: {"schema": {"$ref": _REF.format(name="Problem")}}},
    }
    seconds = {"schema": {"type": "integer", "minimum": 1}}
    if status in {429, 503}:
        made["headers"] = {"Retry-After": seconds}
    if status == HTTPStatus.UNAUTHORIZED:
        made["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return made


def _merged(there: Json, more: Mapping[str, Any]) -> Json:
    """Return a tree with another one laid over it, level by level."""
    made = dict(there)
    for name, told in more.items():
        both = isinstance(told, dict) and isinstance(made.get(name), dict)
        made[name] = _merged(made[name], told) if both else told
    return made


_KEY: Final[Json] = {
    "type": "string",
    "minLength": 1,
    "maxLength": IDEMPOTENCY_KEY_CHARS_MAX,
    "pattern": "^[!-~]+$",
}
_SECURITY: Final[Json] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of `assent token create`, or a JWT of an issuer that the "
        "settings name.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "assent_session",
        "description": "A browser's session; a write needs its token in X-CSRF-Token.",
    },
    "certificate": {
        "type": "mutualTLS",
        "description": "A client certificate of an authority that the settings name.",
    },
}
