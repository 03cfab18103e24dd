"""Why a message was let in, held or denied: policy asked again, and explained.

Rule: the whole message is asked about where it is kept. Of one that is not, the record
says some; what is not known is said, and the ending must come out as it was recorded.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET

from bus.core.auditrecord import Entry as Record
from bus.core.decision import Decision
from bus.core.edgeerrors import NotFoundError
from bus.core.message import Message
from bus.core.names import SYSTEM_AGENT
from bus.edge.caller import Caller, Scope
from bus.edge.operator import questions
from bus.edge.operator.explaining import Explainers, Explanation
from bus.edge.operator.inside import Inside
from bus.edge.operator.policyanswers import (
    Explained,
    FindingRow,
    InputRow,
    Question,
    WhyAsked,
)
from bus.edge.operator.revisions import Revisions
from bus.edge.operator.roll import Listed, Roll
from bus.edge.operator.tap import Tap
from bus.edge.operator.told import id_of
from bus.ports import Access

Kept = tuple[Message, Decision, str]
"""A message that is kept, the decision on it, and what it is: accepted or held."""

Find = Callable[[Caller, bytes], Awaitable[Kept | None]]
"""Finds a message of a tenant that the caller sees."""

Recorded = Callable[[bytes], Awaitable[list[Record]]]
"""Returns what the audit record says of an id."""

_DECIDED: Final = ("denied", "held", "accepted")
_PARTLY: Final = (
    "asked again from the audit record: headers, body and lineage are not recorded"
)
_GUESSED: Final = _PARTLY + ", nor is the type"
_TRIES_MAX: Final = 8


class Whys(msgspec.Struct, frozen=True, kw_only=True):
    """Explains decisions of one bus."""

    inside: Inside
    explainers: Explainers
    revisions: Revisions
    roll: Roll
    tap: Tap
    find: Find
    recorded: Recorded

    async def evaluate(self, caller: Caller, asked: Question) -> Explained:
        """Explain what policy would answer; nothing is done."""
        agent = await self.roll.find(asked.agent)
        if agent is None or not caller.sees(agent.tenant):
            raise NotFoundError("there is no such agent")
        bundle = self.revisions.of(asked.revision).bundle
        text = questions.tried(asked, agent, self.inside.now_ns())
        made = await self.explainers.explain(bundle, text)
        return told(made, text, whole=caller.scope is Scope.ADMIN)

    async def why(self, caller: Caller, asked: WhyAsked) -> Explained:
        """Explain the decision on a message, or on what an agent was refused."""
        message_id = id_of(asked.id)
        kept = await self.find(caller, message_id)
        if kept is not None:
            return await self._of_message(caller, *kept)
        for record in await self.recorded(message_id):
            if record.event in _DECIDED and caller.sees(record.tenant):
                return await self._of_record(caller, message_id, record)
        raise NotFoundError(f"no decision on {asked.id[:32]} is known here")

    async def _of_message(
        self, caller: Caller, message: Message, decision: Decision, outcome: str
    ) -> Explained:
        roles = await self._roles(message.sender)
        text = questions.of_message(decision.action, message, roles)
        made = await self._explained(caller, text)
        return msgspec.structs.replace(
            made,
            decided_under=decision.revision,
            outcome=outcome,
            same=made.allow is decision.allow,
        )

    async def _of_record(
        self, caller: Caller, message_id: bytes, record: Record
    ) -> Explained:
        roles = await self._roles(record.agent)
        denied = record.event == "denied"
        found: Explained | None = None
        for text, note in self._questions(message_id, record, roles):
            made = await self._explained(caller, text)
            same = made.allow is not denied
            matches = same and (not denied or _said(made.reasons, record.detail))
            if found is None or matches:
                found = msgspec.structs.replace(
                    made,
                    decided_under=record.revision,
                    outcome=record.event,
                    same=same,
                    note=note,
                )
            if matches:
                break
        assert found is not None  # noqa: S101 - there is always something to ask
        return found

    def _questions(
        self, message_id: bytes, record: Record, roles: tuple[str, ...]
    ) -> list[tuple[str, str]]:
        """Return what may have been asked, with a word on what is not known of it."""
        action, colon, _ = record.detail.partition(": ")
        if colon and action in questions.ACCESS and not record.stamp:
            known: Any = action
            access = Access(known, record.agent, record.tenant, record.subject)
            return [(questions.of_access(access, roles), "")]
        seen = self.tap.seen.get(message_id)
        likely = questions.likely(
            record.subject,
            None if seen is None else seen.action,
            None if seen is None else seen.type,
        )
        agent = Listed(record.agent, record.tenant, roles, enabled=True)
        return [
            (
                questions.tried(
                    Question(
                        agent=record.agent,
                        action=kind,
                        subject=record.subject,
                        type=type_,
                    ),
                    agent,
                    record.time_ns,
                ),
                _GUESSED if seen is None else _PARTLY,
            )
            for kind, type_ in _typed(likely[:_TRIES_MAX])
        ]

    async def _explained(self, caller: Caller, text: str) -> Explained:
        bundle = self.revisions.of("").bundle
        made = await self.explainers.explain(bundle, text)
        return told(made, text, whole=caller.scope is Scope.ADMIN)

    async def _roles(self, agent: str) -> tuple[str, ...]:
        known = None if agent == SYSTEM_AGENT else await self.roll.find(agent)
        return () if known is None or not known.enabled else known.roles


def told(made: Explanation, text: str, *, whole: bool) -> Explained:
    """Return an explanation as it is answered.

    What a rule came to may hold data of any tenant: it is there where it is told `whole`.
    """
    return Explained(
        allow=made.allow,
        reasons=made.reasons,
        obligations=made.obligations,
        revision=made.revision,
        rules=tuple(
            FindingRow(
                rule=one.rule,
                file=one.file,
                line=one.line,
                kind=one.kind,
                state=one.state,
                decided=one.decided,
                value=one.value if whole else None,
                reasons=one.reasons,
                error=one.error,
            )
            for one in made.findings
        ),
        input=tuple(
            InputRow(
                name=one.name, there=one.there, value=one.value if one.there else UNSET
            )
            for one in made.input
        ),
        document=msgspec.json.decode(text),
    )


def _typed(likely: list[questions.Asked]) -> list[tuple[Any, str]]:
    """Return actions as any, for a struct that takes those a person may try out."""
    return list(likely)


def _said(reasons: tuple[str, ...], detail: str) -> bool:
    """Tell whether a record says just these reasons, as far as it has room for them."""
    whole = "; ".join(reasons)
    return whole.startswith(detail) if detail else not whole
