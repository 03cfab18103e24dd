"""The words of a request about messages: subjects, ids, headers, with their bounds.

Rule: what the OpenAPI document says of a word is what the bus takes. Where the bus itself
says best what is wrong with one, the pattern is in the document only.
"""

from typing import Annotated, Literal

from msgspec import Meta

from bus.core.edgelimits import HTTP_WAIT_S_MAX, IDEMPOTENCY_KEY_CHARS_MAX
from bus.core.limits import (
    CLAIM_BYTES_MAX,
    HEADERS_MAX,
    ORDERING_KEY_BYTES_MAX,
    SUBJECT_BYTES_MAX,
)

BASE64_PATTERN = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_FIRST = r"[!-#%-)+,\-/-=?-~][!-)+,\-/-=?-~]*"
_WORD = r"[!-)+,\-/-=?-~]+"
SUBJECT_PATTERN = rf"^{_FIRST}(\.{_WORD}){{0,15}}$"
_IN_PATTERN = rf"({_WORD}|\*)"

Subject = Annotated[
    str,
    Meta(
        max_length=SUBJECT_BYTES_MAX,
        description="Tokens split by `.`, printable ASCII, no wildcards.",
        extra_json_schema={"pattern": SUBJECT_PATTERN},
    ),
]
Pattern = Annotated[
    str,
    Meta(
        max_length=SUBJECT_BYTES_MAX,
        description="Tokens split by `.`; `*` is one token, `>` the tail.",
        extra_json_schema={
            "pattern": rf"^(>|({_FIRST}|\*)(\.{_IN_PATTERN}){{0,14}}(\.>)?)$"
        },
    ),
]
MessageId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", max_length=32)]
Claim = Annotated[
    str,
    Meta(max_length=CLAIM_BYTES_MAX, extra_json_schema={"pattern": "^[ -~]*$"}),
]
MediaType = Annotated[
    str,
    Meta(
        max_length=CLAIM_BYTES_MAX,
        extra_json_schema={"pattern": "^[a-z]+/[a-z0-9.+-]+$"},
    ),
]
OrderingKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=ORDERING_KEY_BYTES_MAX,
        extra_json_schema={"pattern": "^[!-~]+$"},
    ),
]
HeaderValue = Annotated[
    str, Meta(extra_json_schema={"pattern": "^[ -~]*$", "maxLength": 64})
]
Headers = Annotated[
    dict[str, HeaderValue],
    Meta(
        max_length=HEADERS_MAX,
        extra_json_schema={"propertyNames": {"pattern": "^[a-z][a-z0-9-]{0,30}$"}},
    ),
]
Octets = Annotated[
    bytes,
    Meta(
        description="Base64 with padding (RFC 4648, 4).",
        extra_json_schema={"pattern": BASE64_PATTERN},
    ),
]
Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=IDEMPOTENCY_KEY_CHARS_MAX,
        extra_json_schema={"pattern": "^[!-~]+$"},
    ),
]
Type = Literal[
    "audit_log",
    "command",
    "constitutional_validation",
    "event",
    "governance_request",
    "governance_response",
    "heartbeat",
    "notification",
    "query",
    "response",
    "task_request",
    "task_response",
]
Priority = Annotated[int, Meta(ge=0, le=3, description="0 low to 3 critical.")]
WaitS = Annotated[float, Meta(ge=0, le=HTTP_WAIT_S_MAX)]
