"""What is recorded beside messages: who was refused at the door, and the bus itself.

Rule: a refusal is recorded before it is raised. What happens before the record is
open is kept, bounded, and written first.
"""

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

    def admit(self, access: Access) -> None:
        """Return if policy allows, or record the refusal and raise `DeniedError`."""
        decision = self._parts.authorizer.admit(access)
        if decision.allow:
            return
        now = self._parts.clock.now_ns()
        decision_id = self._parts.ids.next(now)
        self._record(
            (
                "denied",
                now,
                decision_id,
                access.tenant,
                access.sender,
                access.pattern,
                decision.revision,
                f"{access.action}: {'; '.join(decision.reasons)}",
                b"",
            )
        )
        raise DeniedError(
            decision.reasons,
            decision_id=decision_id.hex(),
            revision=decision.revision,
        )

    def note(self, event: str, detail: str = "") -> None:
        """Record something of the bus itself."""
        now = self._parts.clock.now_ns()
        self._record(
            (
                event,
                now,
                self._parts.ids.next(now),
                "",
                SYSTEM_AGENT,
                "",
                self._parts.authorizer.revision,
                detail,
                b"",
            )
        )

    def _record(self, record: AuditRecord) -> None:
        if self._early is None:
            if self._parts.audit.full:
                raise AuditStalledError("the audit record has no room")
            self._parts.audit.append(record)
        elif len(self._early) < EARLY_RECORDS_MAX:
            self._early.append(record)
        else:
            raise AuditStalledError("too much was refused before the start")
