"""What a CloudEvent in its JSON format looks like, for the OpenAPI document.

Rule: what is taken and what is described are the same patterns.
"""

from typing import Any, Final

from bus.edge.messaging.words import BASE64_PATTERN, SUBJECT_PATTERN

VERSION: Final = "1.0"
REQUIRED: Final = ("id", "source", "specversion", "type")
URI_PATTERN: Final = "^[a-z][a-z0-9+.-]*:[!-~]+$"
MEDIA_PATTERN: Final = "^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+( *;[ -~]*)?$"
_VISIBLE: Final = "^[!-~]+$"


def _text_schema(chars: int, **more: Any) -> dict[str, Any]:
    return {"type": ["string", "null"], "minLength": 1, "maxLength": chars, **more}


_NEEDED: Final = {"type": "string", "pattern": _VISIBLE}
SCHEMA: Final[dict[str, Any]] = {
    "title": "CloudEvent",
    "description": "A CloudEvent 1.0 in its JSON format; null is as if it were not there.",
    "type": "object",
    "required": list(REQUIRED),
    "properties": {
        "specversion": {"const": VERSION},
        "id": {**_NEEDED, "maxLength": 128},
        "source": {**_NEEDED, "maxLength": 256},
        "type": {"type": "string", "pattern": SUBJECT_PATTERN, "maxLength": 255},
        "subject": _text_schema(256, pattern=_VISIBLE),
        "time": {"type": ["string", "null"], "format": "date-time"},
        "datacontenttype": _text_schema(128, pattern=MEDIA_PATTERN),
        "dataschema": _text_schema(256, pattern=URI_PATTERN),
        "data": {},
        "data_base64": {
            "type": ["string", "null"],
            "contentEncoding": "base64",
            "pattern": BASE64_PATTERN,
        },
    },
    "propertyNames": {"pattern": "^([a-z0-9]{1,20}|data_base64)$"},
    "additionalProperties": {
        "type": ["string", "integer", "boolean", "null"],
        "pattern": _VISIBLE,
        "maxLength": 256,
    },
    "not": {"required": ["data", "data_base64"]},
}
