"""The governance tools: principles, verdicts, precedents, requests and counts.

Rule: what is told is what the node's policy and record say to this agent.
"""

from typing import Final

from bus.core.edgelimits import PRECEDENTS
from bus.edge.mcp import words
from bus.edge.mcp.told import Metrics, Outcome, Precedents, Principles, Verdict
from bus.edge.mcp.words import Node, body_of, given
from bus.edge.messaging.words import Type

REQUESTS: Final = "governance.requests"
"""The subject of governance requests; policy says who may publish there."""


class Governance:
    """Tools of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def validate_constitutional_compliance(
        self,
        subject: words.Subject,
        *,
        type: Type = "event",  # noqa: A002 - the field's name in the reference
        priority: words.Priority = 1,
        body: words.Body = None,
        headers: words.Headers = None,
        constitution: words.Hash = "",
    ) -> Verdict:
        """Ask whether a message of yours would be let in; nothing is published."""
        asked = {
            "subject": subject,
            "type": type,
            "priority": priority,
            **body_of(body, ""),
            **given(headers=headers or None, constitution=constitution),
        }
        return Verdict.model_validate(await self._node.post("/v1/compliance", asked))

    async def get_active_principles(self) -> Principles:
        """Return the constitution in force: its hash and its principles."""
        return Principles.model_validate(await self._node.get("/v1/constitution"))

    async def query_governance_precedents(
        self,
        subject: words.MaybeSubject = "",
        *,
        limit: words.PrecedentCount = PRECEDENTS,
        after: str = "",
    ) -> Precedents:
        """Return what was decided before on a subject and those like it, newest first.

        `subject` may be a pattern. An agent sees its own, an operator its tenant's.
        """
        answer = await self._node.get(
            "/v1/precedents", subject=subject or None, limit=limit, after=after or None
        )
        return Precedents.model_validate(answer)

    async def submit_governance_request(
        self,
        request: words.Request,
        *,
        context: words.Context = None,
        priority: words.Priority = 2,
        dedup: words.Dedup = "",
    ) -> Outcome:
        """Ask those who govern for something, in words: another rule, an exception.

        It is a message of type governance_request on governance.requests. Its outcome
        says that it was taken; the answer comes from whoever handles it.
        """
        asked = {
            "subject": REQUESTS,
            "type": "governance_request",
            "priority": priority,
            **body_of({"request": request, "context": context or {}}, ""),
            **given(dedup=dedup),
        }
        return Outcome.model_validate(await self._node.post("/v1/messages", asked))

    async def get_governance_metrics(self) -> Metrics:
        """Return how many messages of your tenant, and of you, ended how."""
        return Metrics.model_validate(await self._node.get("/v1/governance/metrics"))
