"""Tools about messages: publish, request, why, and what became of one.

Rule: a call is one question to the node, and nothing is tried twice.
"""

from typing import Any, Final

from bus.core.edgeerrors import ForbiddenError
from bus.core.edgelimits import MCP_EVENTS_MAX
from bus.core.errors import MalformedMessageError
from bus.edge.mcp import words
from bus.edge.mcp.told import Explained, Outcome, Reply, Status
from bus.edge.mcp.words import Node, body_of, given
from bus.edge.messaging.words import Type
from bus.remote.web import part

_DECIDED: Final = ("denied", "held", "rejected", "dropped", "failed", "accepted")
_OPERATORS: Final = "the rules are shown to operators"


class Messaging:
    """Tools of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def publish(  # noqa: PLR0913 - one parameter for each option
        self,
        subject: words.Subject,
        body: words.Body = None,
        *,
        text: words.Text = "",
        type: Type = "event",  # noqa: A002 - the field's name in the reference
        priority: words.Priority = 1,
        headers: words.Headers = None,
        ttl_seconds: words.Ttl = None,
        delay_seconds: words.Delay = None,
        dedup: words.Dedup = "",
        ordering_key: words.OrderingKey = "",
        reply_to: words.MaybeSubject = "",
        correlation: words.Claim = "",
        causation: words.Claim = "",
    ) -> Outcome:
        """Publish a message. Policy decides: a denied one fails with the reasons.

        A held one waits for a person; look at it again with `status`.
        """
        asked = {
            "subject": subject,
            "type": type,
            "priority": priority,
            **body_of(body, text),
            **given(
                headers=headers or None,
                ttl=ttl_seconds,
                delay=delay_seconds,
                dedup=dedup,
                ordering_key=ordering_key,
                reply_to=reply_to,
                correlation=correlation,
                causation=causation,
            ),
        }
        return Outcome.model_validate(await self._node.post("/v1/messages", asked))

    async def request(
        self,
        subject: words.Subject,
        body: words.Body = None,
        *,
        text: words.Text = "",
        timeout_seconds: words.TimeoutS = 30.0,
        headers: words.Headers = None,
    ) -> Reply:
        """Publish a query and wait for the first reply."""
        asked = {
            "subject": subject,
            "timeout": timeout_seconds,
            **body_of(body, text),
            **given(headers=headers or None),
        }
        answer = await self._node.post("/v1/requests", asked, timeout_seconds)
        return Reply.model_validate(answer)

    async def status(self, message_id: words.MessageId) -> Status:
        """Tell where a message stands, and its timeline, oldest first."""
        found = await self._timeline(message_id)
        late = found.items[-MCP_EVENTS_MAX:]
        cut = found.truncated or len(late) < len(found.items)
        return found.model_copy(update={"items": late, "truncated": cut})

    async def explain(
        self,
        message_id: words.MaybeId = "",
        *,
        subject: words.MaybeSubject = "",
        type: Type = "event",  # noqa: A002 - as above
        priority: words.Priority = 1,
        body: words.Body = None,
    ) -> Explained:
        """Tell why a message was denied, held or let in; give its `message_id`.

        The `decision_id` of a denial does as well. With a `subject` instead: what would
        become of a message that you publish there; nothing is published.
        """
        if bool(message_id) is bool(subject):
            raise MalformedMessageError("give message_id or subject: one of them")
        if message_id:
            return await self._ended(message_id)
        asked = {
            "subject": subject,
            "type": type,
            "priority": priority,
            **body_of(body, ""),
        }
        return Explained.model_validate(await self._node.post("/v1/compliance", asked))

    async def _timeline(self, message_id: str) -> Status:
        path = f"/v1/messages/{part(message_id)}/timeline"
        return Status.model_validate(await self._node.get(path))

    async def _ended(self, message_id: str) -> Explained:
        try:
            path = f"/v1/messages/{part(message_id)}/why"
            answer = await self._node.get(path)
        except ForbiddenError:
            return self._recorded(await self._timeline(message_id))
        decided = [one for one in answer["rules"] if one["decided"]]
        return Explained.model_validate(
            {
                **answer,
                "outcome": answer["outcome"] or "",
                "rules": decided,
                "note": _note(answer),
            }
        )

    def _recorded(self, found: Status) -> Explained:
        """Return what the record says of a decision."""
        for event in reversed(found.items):
            if event.event in _DECIDED:
                reasons = [] if event.event == "accepted" else [event.detail]
                return Explained(
                    outcome=event.event,
                    reasons=reasons,
                    revision=event.revision,
                    note=_OPERATORS,
                )
        return Explained(
            outcome=found.status,
            reasons=[],
            revision="",
            note="its decision is not on record any more",
        )


def _note(answer: dict[str, Any]) -> str:
    note = str(answer["note"])
    if answer["same"] is False:
        changed = "policy has changed since, and decides otherwise now"
        return f"{changed}; {note}" if note else changed
    return note
