"""What policy is asked, as the input document that its rules read.

Rule: a question is made as the bus makes it. Where some of it is not known any more, it
says so.
"""

from typing import Any, Final, get_args

import msgspec

from bus.core.edgelimits import QUESTION_HEADERS_MAX
from bus.core.errors import LimitExceededError
from bus.core.message import MESSAGE_TYPES, Message
from bus.edge.operator.policyanswers import Question
from bus.edge.operator.roll import Listed
from bus.ports import Access, AccessAction

ACCESS: Final = frozenset(get_args(AccessAction))
_NO_ID: Final = bytes(16)
_NS_PER_MINUTE: Final = 60_000_000_000
_encode: Final = msgspec.json.Encoder().encode

Asked = tuple[str, str]
"""Action and type."""


def of_message(action: str, message: Message, roles: tuple[str, ...]) -> str:
    """Return the whole question about a message, as JSON."""
    from policy.fields import InputPlan  # noqa: PLC0415 - policy is not for the whole edge

    return InputPlan(None).document(action, message, roles)


def of_access(access: Access, roles: tuple[str, ...]) -> str:
    """Return the whole question about access, as JSON."""
    from policy.fields import InputPlan  # noqa: PLC0415 - as above

    return InputPlan(None).access_document(access, roles)


def tried(asked: Question, agent: Listed, now_ns: int) -> str:
    """Return a question that a person tries out, as JSON.

    Raises:
        LimitExceededError: too many headers.
    """
    if asked.action in ACCESS:
        action: Any = asked.action
        return of_access(
            Access(
                action,
                agent.name,
                agent.tenant,
                asked.subject,
                queue=asked.queue,
                author=asked.author,
                authors=asked.authors,
            ),
            agent.roles,
        )
    if len(asked.headers) > QUESTION_HEADERS_MAX:
        raise LimitExceededError(
            "headers", actual=len(asked.headers), allowed=QUESTION_HEADERS_MAX
        )
    message = Message(
        id=_NO_ID,
        subject=asked.subject,
        type=asked.type,
        priority=asked.priority,
        tenant=agent.tenant,
        sender=agent.name,
        content_type=asked.content_type,
        body=b"",
        created_ns=now_ns,
        constitution="",
        revision="",
        headers=asked.headers,
        reply_to=asked.reply_to,
        correlation=asked.correlation,
        depth=asked.depth,
        authors=asked.authors,
    )
    document = msgspec.json.decode(of_message(asked.action, message, agent.roles))
    document["message"]["size"] = asked.size
    return _encode(document).decode()


def likely(subject: str, action: str | None, type_: str | None) -> list[Asked]:
    """Return what a recorded question may have been, the likeliest first."""
    actions = [action] if action else ["publish", "request"]
    if subject.startswith("$"):
        actions += ["reply", "dead_letter", "system_event"]
    types = [type_] if type_ else ["event", "query", *sorted(MESSAGE_TYPES)]
    return list(dict.fromkeys((one, kind) for kind in types for one in actions))
