"""How an agent is governed, told to the agent: principles, verdicts, precedents, counts.

Rule: everything as the caller's own agent and of its own tenant. A verdict is policy's
own decision on the message as it would be published, and goes on record like one.
"""

from collections.abc import Callable
from typing import Any, Final, cast

from bus import steps
from bus.app import Bus
from bus.config import Settings
from bus.core.decision import PASSING, Decision, Principal
from bus.core.edgelimits import COMPLIANCE_NOTE_CHARS_MAX, TAP_TENANTS_MAX
from bus.core.errors import (
    ConfigurationError,
    HashMismatchError,
    PolicyUnavailableError,
    ProtocolError,
)
from bus.core.message import Message
from bus.core.outcome import Denied
from bus.draft import Author, Options, draft
from bus.edge.caller import Caller, Scope
from bus.edge.gate import Gate
from bus.edge.governinganswers import (
    Compliance,
    ConstitutionRow,
    GovernanceMetrics,
    Nothing,
    OwnCounts,
    Precedents,
    PrecedentsAsked,
    PrincipleRow,
    Ruling,
    Verdict,
)
from bus.edge.messaging import told
from bus.edge.operations import Operation
from bus.edge.operator.tap import Tap
from bus.edge.operator.told import rfc3339
from bus.edge.precedents import Library
from bus.host import Host
from bus.ports import Action

_ASKING: Final = ("denied", "not_started", "policy_unavailable")


class Governing:
    """Answers agents of one bus. Making one reads the constitution's file."""

    def __init__(self, gate: Gate, tap: Tap, now_ns: Callable[[], int]) -> None:
        self._gate = gate
        self._tap = tap
        self._now_ns = now_ns
        self._since_ns = now_ns()
        self._host: Host = gate.bus._host  # noqa: SLF001 - no agent decides without publishing
        self._library = Library(gate.bus, tap)
        self.constitution = constitution_of(gate.bus)

    async def _connected(self, caller: Caller) -> Principal:
        """Return who the caller is, if it may connect; raises as `Gate.agent`."""
        agent = self._gate.agent(caller)
        self._host.require_open()
        await agent.connected()
        return Principal(agent.name, agent.tenant, agent.roles)

    async def principles(self, caller: Caller, given: Nothing) -> ConstitutionRow:
        """Return the constitution in force."""
        del given
        await self._connected(caller)
        return self.constitution

    async def compliance(self, caller: Caller, given: Compliance) -> Verdict:
        """Return what would become of a message; nothing is published.

        Raises:
            ProtocolError: it could not even be made.
            PolicyUnavailableError, AuditStalledError: nobody can tell now.
        """
        principal = await self._connected(caller)
        await self._gate.bus.audit.room()
        host = self._host
        body, content_type = told.body_of(
            given.body, given.body_base64, given.content_type
        )
        message = draft(
            Author(host.terms, principal),
            given.subject,
            body,
            given.type,
            given.priority,
            Options(headers=given.headers, content_type=content_type),
        )
        made = await self._judged(given.action, message, given.constitution)
        noted = f"{made.outcome}: {'; '.join(made.reasons)}"
        self._gate.note(
            caller,
            "compliance_check",
            given.subject,
            noted[:COMPLIANCE_NOTE_CHARS_MAX],
        )
        return made

    async def _judged(
        self, action: Action, message: Message, constitution: str | None
    ) -> Verdict:
        """Ask policy as ingest does, up to where a message would be let in."""
        bus, host = self._gate.bus, self._host
        table = host.origin(message.tenant, message.sender)
        route = table.find(message.subject) or table.routes.resolve(message.subject)
        try:
            if constitution not in {None, bus.constitution}:
                raise HashMismatchError(
                    actual=constitution or "", expected=bus.constitution
                )
            steps.guard(message, action, route, message.created_ns)
            decision: Decision = await bus.authorizer.decide(action, message)
            if decision.fault in PASSING:
                raise PolicyUnavailableError("; ".join(decision.reasons))
            message = steps.oblige(message, decision)
            steps.bound(message, decision)
        except steps.EndedEarly as ended:
            denied = cast("Denied", ended.outcome)  # guard and oblige know no other
            return self._verdict("denied", denied.reasons, denied.revision)
        except ProtocolError as error:
            return self._verdict("rejected", (f"{error.code}: {error}",), bus.revision)
        obliged, revision = decision.obligations, decision.revision
        if decision.hold is not None:
            return self._verdict("held", (decision.hold.reason,), revision, obliged)
        return self._verdict("accepted", decision.reasons, revision, obliged)

    def _verdict(
        self,
        outcome: Ruling,
        reasons: tuple[str, ...],
        revision: str,
        obligations: tuple[dict[str, Any], ...] = (),
    ) -> Verdict:
        return Verdict(
            compliant=outcome == "accepted",
            outcome=outcome,
            reasons=reasons,
            obligations=obligations,
            constitution=self._gate.bus.constitution,
            revision=revision,
        )

    async def precedents(self, caller: Caller, given: PrecedentsAsked) -> Precedents:
        """Return what was decided before; see `bus.edge.precedents.Library.page`."""
        await self._connected(caller)
        return await self._library.page(caller, given)

    async def metrics(self, caller: Caller, given: Nothing) -> GovernanceMetrics:
        """Return what was counted of the caller's tenant, and of itself."""
        del given
        principal = await self._connected(caller)
        bus, tap = self._gate.bus, self._tap
        await bus.audit.flush()
        counts = tap.counts(principal.tenant)
        own = tap.tally(principal.tenant, principal.id)
        decided = counts.accepted + counts.held + counts.denied
        return GovernanceMetrics(
            time=rfc3339(self._now_ns()),
            since=rfc3339(self._since_ns),
            tenant=principal.tenant,
            agent=principal.id,
            revision=bus.revision,
            constitution=bus.constitution,
            counts=counts,
            own=OwnCounts(
                accepted=own.accepted, denied=own.denied, delivered=own.delivered
            ),
            compliance=counts.accepted / decided if decided else None,
            counted=principal.tenant in tap.of_tenant
            or len(tap.of_tenant) < TAP_TENANTS_MAX,
        )


def constitution_of(bus: Bus) -> ConstitutionRow:
    """Return the constitution in force, read again from where the bus had it.

    Raises:
        ConfigurationError: the file was changed since the bus was made.
    """
    from policy import constitution  # noqa: PLC0415 - policy is not for the whole edge

    settings: Settings = bus.settings
    file = settings.constitution.file
    document = constitution.BUILT_IN if file is None else constitution.load(file)
    if document.hash != bus.constitution:
        raise ConfigurationError(
            f"constitution {str(file)!r} was changed while the bus was made; start anew"
        )
    return ConstitutionRow(
        hash=document.hash,
        name=document.name,
        version=document.version,
        principles=tuple(
            PrincipleRow(id=one.id, text=one.text, severity=one.severity)
            for one in document.principles
        ),
    )


def operations(
    gate: Gate, tap: Tap, *, now_ns: Callable[[], int]
) -> tuple[Operation, ...]:
    """Return what agents may ask about how they are governed."""
    made = Governing(gate, tap, now_ns)
    return (*_looking(made), _checking(made))


def _checking(made: Governing) -> Operation:
    return Operation(
        name="check_compliance",
        method="POST",
        path="/v1/compliance",
        summary="What policy would say of a message of the caller's own",
        scope=Scope.AGENT,
        asks=Compliance,
        answers=Verdict,
        run=made.compliance,
        errors=(*_ASKING, "bad_subject", "bad_body", "limit_exceeded"),
    )


def _looking(made: Governing) -> tuple[Operation, ...]:
    return (
        Operation(
            name="get_constitution",
            method="GET",
            path="/v1/constitution",
            summary="The constitution in force and its principles",
            scope=Scope.AGENT,
            asks=Nothing,
            answers=ConstitutionRow,
            run=made.principles,
            errors=_ASKING,
        ),
        Operation(
            name="list_precedents",
            method="GET",
            path="/v1/precedents",
            summary="What was decided before on like subjects",
            scope=Scope.AGENT,
            asks=PrecedentsAsked,
            answers=Precedents,
            run=made.precedents,
            errors=(*_ASKING, "bad_subject", "overloaded", "unavailable"),
        ),
        Operation(
            name="get_governance_metrics",
            method="GET",
            path="/v1/governance/metrics",
            summary="How many messages of the caller's tenant ended how",
            scope=Scope.AGENT,
            asks=Nothing,
            answers=GovernanceMetrics,
            run=made.metrics,
            errors=_ASKING,
        ),
    )
