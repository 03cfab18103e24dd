"""CloudEvents come in: binary, structured and in batches (HTTP protocol binding 1.0.2).

Rule: an event is published on the subject that the query names, else on its type; its
source and id together are its dedup name where there is a store.
"""

from typing import Any, Final

import msgspec
from aiohttp import web

from bus.core import subject as grammar
from bus.core.edgelimits import BATCH_ITEMS_MAX
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.edge.http import api, asking
from bus.edge.http.api import Who
from bus.edge.http.idempotency import Keys
from bus.edge.http.problems import HttpError
from bus.edge.http.shape import decoded
from bus.edge.messaging import cloudevents
from bus.edge.messaging.cloudevents import BATCH, PREFIX, STRUCTURED
from bus.edge.messaging.eventing import PATH, Eventing, Given
from bus.edge.messaging.eventschema import SCHEMA

Json = dict[str, Any]
_decode: Final = msgspec.json.Decoder().decode
_STRUCTURED_KIND: Final = "application/cloudevents"


def add_routes(app: web.Application, eventing: Eventing, who: Who, keys: Keys) -> None:
    """Add the route that takes all three modes."""
    single = api.handler(eventing.single, who, keys, _single)
    several = api.handler(eventing.batch, who, keys, _several)

    async def handle(request: web.Request) -> web.StreamResponse:
        batch = request.content_type == BATCH
        return await (several if batch else single)(request)

    app.router.add_post(PATH, handle)


async def _single(request: web.Request) -> Given:
    """Read one event: structured by its content type, else binary."""
    subject = _subject(request)
    if request.content_type == STRUCTURED:
        asking.require_utf8(request)
        value = decoded(_decode, await asking.octets(request))
        event = cloudevents.of_json(value)
    elif request.content_type.startswith(_STRUCTURED_KIND):
        raise HttpError(
            "unsupported_media_type",
            f"{request.content_type}: structured events are taken as JSON",
            Accept=f"{STRUCTURED}, {BATCH}",
        )
    elif f"{PREFIX}specversion" in request.headers:
        data = await asking.octets(request)
        content_type = request.headers.get("Content-Type", "") if data else ""
        event = cloudevents.of_headers(request.headers, content_type, data)
    else:
        raise HttpError(
            "unsupported_media_type",
            f"no CloudEvent: neither {STRUCTURED} nor {BATCH}, and no ce-specversion",
            Accept=f"{STRUCTURED}, {BATCH}",
        )
    return Given(events=(event,), subject=subject)


async def _several(request: web.Request) -> Given:
    """Read a batch."""
    subject = _subject(request)
    asking.require_utf8(request)
    value = decoded(_decode, await asking.octets(request))
    if not isinstance(value, list) or not value:
        raise MalformedMessageError("a batch is a JSON array of one event or more")
    if len(value) > BATCH_ITEMS_MAX:
        raise LimitExceededError(
            "events of a batch", actual=len(value), allowed=BATCH_ITEMS_MAX
        )
    events = tuple(cloudevents.of_json(one) for one in value)
    return Given(events=events, subject=subject)


def _subject(request: web.Request) -> str | None:
    """Return the subject that the query names; nothing else may stand there."""
    found = asking.query(request)
    subject: str | None = found.pop("subject", None)
    if found:
        raise MalformedMessageError(f"no parameter {next(iter(found))!r} here")
    if subject is not None:
        grammar.parse(subject)  # before anything of a batch goes to it
    return subject


def path_item(subject: Json, refusals: Json) -> Json:
    """Return what the OpenAPI document says of the route.

    `subject` is the schema of one, `refusals` are the responses of `publishMessage`.
    """
    outcome = {"schema": {"$ref": "#/components/schemas/Outcome"}}
    outcomes = {"schema": {"$ref": "#/components/schemas/Outcomes"}}
    event = {"$ref": "#/components/schemas/CloudEvent"}
    batch = {
        "type": "array",
        "items": event,
        "minItems": 1,
        "maxItems": BATCH_ITEMS_MAX,
    }
    return {
        "post": {
            "operationId": "publishEvent",
            "summary": "Publish CloudEvents 1.0",
            "description": "Structured and batched events by their content type; an "
            "event in binary mode has any other, and `ce-` headers.",
            "tags": ["events"],
            "parameters": [{"name": "subject", "in": "query", "schema": subject}],
            "requestBody": {
                "required": True,
                "content": {STRUCTURED: {"schema": event}, BATCH: {"schema": batch}},
            },
            "responses": {
                "202": {
                    "description": "One event.",
                    "content": {asking.JSON_MEDIA: outcome},
                },
                "200": {
                    "description": "A batch.",
                    "content": {asking.JSON_MEDIA: outcomes},
                },
                **refusals,
            },
        }
    }


SCHEMAS: Final = {"CloudEvent": SCHEMA}
"""What the document has beside the types of rows."""
