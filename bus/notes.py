"""What is recorded beside messages: who was refused at the door, and the bus itself.

Rule: a refusal is recorded before it is raised. What happens before the record is
open is kept, bounded, and written first.
"""

import msgspec

from bus.core.decision import PASSING, Decision
from bus.core.errors import AuditStalledError, DeniedError
from bus.core.limits import EARLY_RECORDS_MAX
from bus.core.names import SYSTEM_AGENT
from bus.parts import Parts
from bus.ports import Access, AuditRecord


class Notes:
    """Asks policy about access, and records."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._early: list[AuditRecord] | None = []

    def begin(self) -> None:
        """Write what came before the audit record was open."""
        early, self._early = self._early or [], None
        for record in early:
            self._parts.audit.append(record)

    def admit_now(self, access: Access) -> Decision | None:
        """Do as `admit`, or return None where policy must be waited for."""
        decision = self._parts.authorizer.admit_now(access)
        return None if decision is None else self._allowed(access, decision)

    async def admit(self, access: Access) -> Decision:
        """Return policy's allow, or record the refusal and raise `DeniedError`."""
        return self._allowed(access, await self._parts.authorizer.admit(access))

    def refusal(self, access: Access, reasons: tuple[str, ...]) -> DeniedError:
        """Record a refusal that is the bus's own, and return it to be raised."""
        revision = self._parts.authorizer.revision
        return self._refusal(
            access, Decision(allow=False, reasons=reasons, revision=revision, digest="")
        )

    def _allowed(self, access: Access, decision: Decision) -> Decision:
        if not decision.allow:
            raise self._refusal(access, decision)
        if decision.hold is not None or decision.rates:
            told = f"what policy obliges cannot be carried out for {access.action}"
            denied = msgspec.structs.replace(decision, allow=False, reasons=(told,))
            raise self._refusal(access, denied)
        return decision

    def _refusal(self, access: Access, decision: Decision) -> DeniedError:
        now = self._parts.clock.now_ns()
        decision_id = self._parts.ids.next(now)
        reasons, revision = decision.reasons, decision.revision
        self._record(
            (
                "denied",
                now,
                decision_id,
                access.tenant,
                access.sender,
                access.pattern,
                revision,
                f"{access.action}: {'; '.join(reasons)}",
                b"",
            )
        )
        return DeniedError(
            reasons,
            decision_id=decision.id or decision_id.hex(),
            revision=revision,
            passing=decision.fault in PASSING,
        )

    def note(self, event: str, detail: str = "") -> None:
        """Record something of the bus itself; too rare to wait for room."""
        self.told(event, "", SYSTEM_AGENT, "", detail)

    def told(
        self, event: str, tenant: str, agent: str, subject: str, detail: str
    ) -> None:
        """Record what somebody did beside messages; too rare to wait for room."""
        now = self._parts.clock.now_ns()
        message_id, revision = (
            self._parts.ids.next(now),
            self._parts.authorizer.revision,
        )
        record = (event, now, message_id, tenant, agent, subject, revision, detail, b"")
        if self._early is None:
            self._parts.audit.append(record)
        else:
            self._record(record)

    def _record(self, record: AuditRecord) -> None:
        if self._early is None:
            if self._parts.audit.full:
                raise AuditStalledError("the audit record has no room")
            self._parts.audit.append(record)
        elif len(self._early) < EARLY_RECORDS_MAX:
            self._early.append(record)
        else:
            raise AuditStalledError("too much was refused before the start")
