"""What a tool says when a call comes to nothing: the stable code, why, and what to do.

Rule: a model reads this and acts on it, so each code that it can do something about says
what. Nothing is said that the node did not say to this agent.
"""

from typing import Any, Final

from mcp.types import CallToolResult, TextContent

from bus.core.errors import BusError, DeniedError, OverloadedError

_LATER: Final = "try again later"
_NEITHER: Final = (
    "whether it was carried out is not known: ask `status`, or publish again under the "
    "same `dedup` name"
)
ADVICE: Final[dict[str, str]] = {
    "denied": "do not try the same again: policy decides alike; ask `explain`, find "
    "another way, or use submit_governance_request",
    "unauthenticated": "a person has to give this server a token that holds",
    "forbidden": "it is not for this agent; a person may do it",
    "bad_subject": "correct the subject: tokens split by dots, no wildcards to publish",
    "bad_body": "send another body",
    "malformed": "correct the arguments",
    "limit_exceeded": "send less",
    "expired": "publish with a longer ttl",
    "not_found": "look at the name or id; an inbox is opened by `subscribe`",
    "no_responders": "nobody receives that subject now: look at it, or try later",
    "timeout": "nobody answered in time; the request may have been carried out",
    "remote_fault": "who handled the request failed: read why",
    "overloaded": "wait for `retry_after` seconds, then try again",
    "conflict": "an inbox of that name has another pattern or owner: take another name",
    "already_settled": "the lease was over, or it was settled before: go on",
    "dropped": "a processing stage ended it: read why",
    "unreachable": _NEITHER,
    "node_fault": _NEITHER,
    "unavailable": _LATER,
    "not_started": _LATER,
    "policy_unavailable": _LATER,
    "store_unavailable": _LATER,
    "audit_stalled": _LATER,
    "processing_failed": _LATER,
}
_OTHERWISE: Final = "tell a person"


def told(error: BusError) -> dict[str, Any]:
    """Return an error as it is told."""
    made: dict[str, Any] = {
        "code": error.code,
        "detail": str(error),
        "what_to_do": ADVICE.get(error.code, _OTHERWISE),
    }
    if isinstance(error, DeniedError):
        made["reasons"] = list(error.reasons)
        made["revision"] = error.revision
        made["decision_id"] = error.decision_id
    if isinstance(error, OverloadedError):
        made["retry_after"] = error.retry_after_s
    return made


def result(error: BusError) -> CallToolResult:
    """Return an error as the result of a tool that failed."""
    made = told(error)
    text = f"{made['code']}: {made['detail']}. What to do: {made['what_to_do']}."
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=made,
        is_error=True,
    )
