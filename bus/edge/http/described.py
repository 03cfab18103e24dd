"""What the OpenAPI document says of messages beyond their rows: forms, limits, examples."""

from typing import Any, Final

import msgspec

from bus.edge.http import cloudevents, openapi, sse
from bus.edge.http.openapi import Example
from bus.edge.messaging import cloudevents as events
from bus.edge.messaging.eventing import PATH as EVENTS_PATH
from bus.edge.messaging.words import Subject
from bus.edge.operations import Operation

Json = dict[str, Any]
_ID: Final = "0193f0c2a4b87000a1b2c3d4e5f60718"
_TEXT: Final[Json] = {"schema": {"type": "string"}}
_ONE_BODY: Final[Json] = {"not": {"required": ["body", "body_base64"]}}

SCHEMAS: Final[dict[str, Json]] = {
    **cloudevents.SCHEMAS,
    "PublishMessageBody": _ONE_BODY,
    "Item": _ONE_BODY,
    "Request": _ONE_BODY,
}
EXAMPLES: Final = {
    "publishMessage": Example(
        body={"subject": "orders.created", "body": {"order": 7}},
        answer={"status": "accepted", "message_id": _ID, "deliveries": 1},
    ),
    "publishMessages": Example(
        body={"items": [{"subject": "orders.created", "body": {"order": 7}}]}
    ),
    "sendRequest": Example(body={"subject": "prices.get", "body": {"sku": "a1"}}),
    "readMessage": Example(parameters={"id": _ID}),
    "readTimeline": Example(parameters={"id": _ID}),
    "readTree": Example(parameters={"id": _ID}),
    "readStream": Example(parameters={"name": "default", "pattern": "orders.>"}),
    "pullMessages": Example(
        body={"pattern": "orders.>", "limit": 10}, parameters={"name": "billing"}
    ),
    "settleMessages": Example(
        body={"items": [{"receipt": "100000001"}]}, parameters={"name": "billing"}
    ),
}


def paths(operations: tuple[Operation, ...]) -> dict[str, Json]:
    """Return the paths that are no rows, and the other forms of those that are."""
    rows = {row.name: row for row in operations}
    subject = msgspec.json.schema(Subject)
    event = {"schema": {"$ref": "#/components/schemas/CloudEvent"}}
    batch = {"schema": {"type": "array", "items": event["schema"]}}
    publish = openapi.refusals(rows["publishMessage"])
    read = openapi.refusals(rows["readMessage"])
    return {
        EVENTS_PATH: cloudevents.path_item(subject, publish),
        rows["readMessage"].path: _also({events.STRUCTURED: event}),
        rows["readStream"].path: _also({events.BATCH: batch, sse.MEDIA: _TEXT}),
        rows["readMessage"].path + "/body": {
            "get": {
                "operationId": "readBody",
                "summary": "Read a message's body as it is: a CloudEvent in binary mode",
                "tags": ["messages"],
                "parameters": [
                    {
                        "name": "id",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                        "example": _ID,
                    }
                ],
                "responses": {
                    "200": {"description": "Done.", "content": {"*/*": {}}},
                    **read,
                },
            }
        },
    }


def _also(content: Json) -> Json:
    return {"get": {"responses": {"200": {"content": content}}}}
