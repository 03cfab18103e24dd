"""The words of tools' arguments: what is bounded here is bounded in their schemas.

Rule: the node checks everything again; what stands here spares a model a round.
"""

from typing import Annotated, Any, Final, Protocol

import msgspec
from pydantic import Field

from bus.core.edgelimits import (
    HTTP_REQUEST_S_MAX,
    MCP_LEASE_S_MIN,
    MCP_MESSAGES_MAX,
    MCP_TEXT_CHARS_MAX,
    MCP_WAIT_S_MAX,
    PRECEDENTS_MAX,
    RECEIPT_CHARS_MAX,
    SETTLE_ITEMS_MAX,
)
from bus.core.errors import MalformedMessageError
from bus.core.limits import (
    ACK_WAIT_S_MAX,
    CLAIM_BYTES_MAX,
    ERROR_CHARS_MAX,
    HEADERS_MAX,
    NAK_DELAY_S_MAX,
    NAME_BYTES_MAX,
    ORDERING_KEY_BYTES_MAX,
    SUBJECT_BYTES_MAX,
    TTL_S_MAX,
)
from bus.core.storelimits import DELAY_S_MAX

_NAME: Final = "^[A-Za-z0-9_][A-Za-z0-9_:@-]*$"

Subject = Annotated[
    str,
    Field(
        min_length=1,
        max_length=SUBJECT_BYTES_MAX,
        description="Tokens split by dots, such as tasks.review",
    ),
]
Pattern = Annotated[
    str,
    Field(
        min_length=1,
        max_length=SUBJECT_BYTES_MAX,
        description="A subject; * stands for one token, > for the rest",
    ),
]
Priority = Annotated[int, Field(ge=0, le=3, description="0 low to 3 critical")]
Body = Annotated[Any, Field(description="Any JSON value")]
Text = Annotated[
    str, Field(description="The body as plain text, instead of `body`; kept as it is")
]
Headers = Annotated[dict[str, str] | None, Field(max_length=HEADERS_MAX)]
Ttl = Annotated[
    float | None,
    Field(gt=0, le=TTL_S_MAX, description="The message expires after so many seconds"),
]
Delay = Annotated[
    float | None,
    Field(ge=0, le=DELAY_S_MAX, description="It is delivered after so many seconds"),
]
Claim = Annotated[str, Field(max_length=CLAIM_BYTES_MAX)]
Dedup = Annotated[
    str,
    Field(
        max_length=CLAIM_BYTES_MAX,
        description="Of messages with one such name one is kept: safe to publish again",
    ),
]
OrderingKey = Annotated[str, Field(max_length=ORDERING_KEY_BYTES_MAX)]
TimeoutS = Annotated[float, Field(ge=0.001, le=HTTP_REQUEST_S_MAX)]
MessageId = Annotated[
    str, Field(pattern="^[0-9a-f]{32}$", description="32 hex digits, from an outcome")
]
MaybeId = Annotated[
    str, Field(pattern="^([0-9a-f]{32})?$", description="Of a message that has ended")
]
MaybeSubject = Annotated[str, Field(max_length=SUBJECT_BYTES_MAX)]
InboxName = Annotated[str, Field(max_length=NAME_BYTES_MAX, pattern=_NAME)]
NewInbox = Annotated[
    str,
    Field(
        max_length=NAME_BYTES_MAX,
        pattern=f"{_NAME}|^$",
        description="Goes on where an inbox of that name left off, and is kept",
    ),
]
LeaseS = Annotated[
    float,
    Field(
        ge=MCP_LEASE_S_MIN,
        le=ACK_WAIT_S_MAX,
        description="A message that is not settled by then is handed out again",
    ),
]
Count = Annotated[int, Field(ge=1, le=MCP_MESSAGES_MAX)]
WaitS = Annotated[
    float, Field(ge=0, le=MCP_WAIT_S_MAX, description="Seconds to wait for the first")
]
Receipt = Annotated[str, Field(min_length=1, max_length=RECEIPT_CHARS_MAX)]
Receipts = Annotated[list[Receipt], Field(min_length=1, max_length=SETTLE_ITEMS_MAX)]
Done = Annotated[
    list[Receipt],
    Field(
        max_length=SETTLE_ITEMS_MAX,
        description="Receipts of messages that are dealt with: acknowledged first",
    ),
]
NakDelay = Annotated[float | None, Field(ge=0, le=NAK_DELAY_S_MAX)]
Reason = Annotated[str, Field(max_length=ERROR_CHARS_MAX)]
Hash = Annotated[
    str,
    Field(
        pattern="^([0-9a-f]{16})?$",
        description="The constitution's hash that you take to be in force",
    ),
]
Request = Annotated[str, Field(min_length=1, max_length=MCP_TEXT_CHARS_MAX)]
Context = Annotated[dict[str, Any] | None, Field(description="What it is about")]
PrecedentCount = Annotated[int, Field(ge=1, le=PRECEDENTS_MAX)]


class Node(Protocol):
    """A node's HTTP interface, as `bus.remote.web.Api` has it; all raise `BusError`."""

    async def get(
        self, path: str, wait_s: float = 0.0, **query: str | float | None
    ) -> Any:
        """Return what a path has."""

    async def post(self, path: str, body: Any = None, wait_s: float = 0.0) -> Any:
        """Have something done."""

    async def delete(self, path: str, **query: str | float | None) -> Any:
        """Remove something."""


def body_of(body: Any, text: str) -> dict[str, Any]:
    """Return a body as it is given to a node.

    Raises:
        MalformedMessageError: both are given, or it is no JSON.
    """
    if text and body is not None:
        raise MalformedMessageError("give body or text, not both")
    try:
        written = msgspec.json.encode(text or body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise MalformedMessageError(f"body: {error}") from error
    return {"body": msgspec.Raw(written)}


def given(**arguments: Any) -> dict[str, Any]:
    """Return arguments without those that were left out."""
    return {
        name: one for name, one in arguments.items() if one is not None and one != ""
    }
