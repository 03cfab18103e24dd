"""What a coding agent tells its hooks, and what they answer: JSON in, JSON out.

Source: the hooks reference of Claude Code. Rule: what cannot be read is denied, in the
form that denies a call; nothing is answered that would let one through by its form.
"""

from typing import Annotated, Any, Final, Literal

import msgspec

from bus.core.edgelimits import HOOK_INPUT_BYTES_MAX, HOOK_TEXT_CHARS_MAX
from bus.core.errors import LimitExceededError, MalformedMessageError

Text = Annotated[str, msgspec.Meta(max_length=HOOK_TEXT_CHARS_MAX)]
Verdict = Literal["allow", "deny", "ask"]

BEFORE: Final = "PreToolUse"
AFTER: Final = "PostToolUse"
PROMPT: Final = "UserPromptSubmit"
BEGUN: Final = "SubagentStart"
ENDED: Final = "SubagentStop"
OVER: Final = "SessionEnd"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event. What else a version of the coding agent sends is not looked at."""

    session_id: Annotated[Text, msgspec.Meta(min_length=1)]
    hook_event_name: Annotated[Text, msgspec.Meta(min_length=1)]
    cwd: str = ""
    permission_mode: Text = ""
    tool_name: Text = ""
    tool_input: dict[str, Any] = {}
    tool_use_id: Text = ""
    tool_response: Any = None
    agent_id: Text = ""
    agent_type: Text = ""
    prompt: str = ""


_decode: Final = msgspec.json.Decoder(Event).decode


def read(data: bytes) -> Event:
    """Return the event.

    Raises:
        LimitExceededError: longer than any event may be.
        MalformedMessageError: no JSON, or not the fields of an event.
    """
    if len(data) > HOOK_INPUT_BYTES_MAX:
        raise LimitExceededError(
            "hook input bytes", actual=len(data), allowed=HOOK_INPUT_BYTES_MAX
        )
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessageError(f"no hook event: {error}") from None


def verdict(answer: Verdict, reason: str) -> dict[str, Any]:
    """Return the answer before a call of a tool."""
    return {
        "hookSpecificOutput": {
            "hookEventName": BEFORE,
            "permissionDecision": answer,
            "permissionDecisionReason": reason,
        }
    }


def objection(reason: str) -> dict[str, Any]:
    """Return the answer after a call, or to a prompt, that is not to be gone on from."""
    return {"decision": "block", "reason": reason}


def fault(name: str, reason: str) -> dict[str, Any]:
    """Return the answer to an event that could not be dealt with: it blocks what it can.

    The end of an agent or of a session is not held up: nothing is let through by it.
    """
    if name in {ENDED, OVER, "Stop", BEGUN}:
        return {}
    if name in {AFTER, PROMPT}:
        return objection(reason)
    return verdict("deny", reason)
