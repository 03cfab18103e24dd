"""What agents do beside publishing: release or refuse what is held, quiet a subject.

Rule: policy decides each, and nobody releases what it sent or what descends from it.
"""

from bus.core.decision import Principal
from bus.core.errors import (
    ConstitutionalError,
    LimitExceededError,
    MalformedMessageError,
)
from bus.core.limits import COOLDOWN_S_MAX, ERROR_CHARS_MAX
from bus.core.message import Message
from bus.core.outcome import Accepted, Denied, Dropped, Failed, Held, Outcome, Rejected
from bus.core.subject import parse_pattern
from bus.core.validation import check_seconds
from bus.holds import HeldMessage, Holds
from bus.letters import Letters
from bus.notes import Notes
from bus.parts import Parts
from bus.pipeline import Pipeline
from bus.ports import Access
from bus.routes import Quiet, RouteTable

_NS_PER_S = 1_000_000_000


class Releasing:
    """Carries out what agents say of held messages."""

    def __init__(
        self,
        parts: Parts,
        notes: Notes,
        pipeline: Pipeline,
        letters: Letters,
        holds: Holds,
    ) -> None:
        self._letters = letters
        self._parts = parts
        self._notes = notes
        self._pipeline = pipeline
        self._holds = holds

    async def release(self, who: Principal, message_id: str, reason: str) -> Outcome:
        """Let a held message go on; policy is asked about it again.

        Raises:
            NotHeldError: nothing is held under that id.
            DeniedError: policy does not let `who` release it, or it is its own.
        """
        held = await self._allowed(who, message_id, reason)
        self._holds.take(held, release=True)
        outcome: Outcome | None = None
        try:
            self._record("released", held, f"by {who.id}: {reason}")
            now_ns = self._parts.clock.now_ns()
            try:
                self._parts.validator.check(held.message, now_ns)
            except ConstitutionalError as error:
                outcome = await self._pipeline.reject(held.message, held.origin, error)
                self._answered(held.message, outcome)
                return outcome
            outcome = await self._pipeline.ingest(
                held.message,
                held.origin.for_release(held.message.id),
                held.action,
                self._parts.publish_wait_s,
                now_ns,
            )
            self._answered(held.message, outcome)
            return outcome
        finally:
            # What failed, or was cancelled, was not let in: it waits on.
            self._holds.done(held, again=outcome is None or isinstance(outcome, Failed))

    def _answered(self, message: Message, outcome: Outcome) -> None:
        """Tell whoever waits for a reply what became of its request."""
        if isinstance(outcome, Accepted):
            self._letters.expect(message, outcome.deliveries)
        elif not isinstance(outcome, Failed | Held):
            self._holds.tell(message, (f"released, then {_told(outcome)}",))

    async def refuse(self, who: Principal, message_id: str, reason: str) -> Outcome:
        """End a held message as denied; raises as `release`."""
        held = await self._allowed(who, message_id, reason)
        self._holds.take(held, release=False)
        reasons = (f"refused by {who.id}: {reason}",)
        self._holds.refuse(held, reasons)
        return Denied(held.message.id, reasons, held.message.revision)

    async def cooldown(
        self, who: Principal, routes: RouteTable, place: tuple[str, float, str]
    ) -> None:
        """Quiet the subjects under (pattern, seconds, reason): nothing is let in there.

        Raises:
            DeniedError: policy does not let `who`.
            SubjectError, MalformedMessageError, LimitExceededError: a bad argument.
        """
        pattern, seconds, reason = place
        tokens = parse_pattern(pattern)
        seconds = check_seconds("cooldown", seconds, COOLDOWN_S_MAX)
        _check_reason(reason)
        await self._notes.admit(Access("cooldown", who.id, who.tenant, pattern))
        now_ns = self._parts.clock.now_ns()
        told = f"quiet for {seconds:g} s by {who.id}: {reason}"
        until_ns = now_ns + int(seconds * _NS_PER_S)
        routes.quiet(Quiet(tokens, who.id, until_ns, told), now_ns)
        self._notes.note("cooldown", f"{who.tenant} {pattern} {told}"[:ERROR_CHARS_MAX])

    async def _allowed(
        self, who: Principal, message_id: str, reason: str
    ) -> HeldMessage:
        _check_reason(reason)
        try:
            sought = bytes.fromhex(message_id)
        except (TypeError, ValueError):
            raise MalformedMessageError(
                f"{message_id!r} is not a message's id in hex"
            ) from None
        held = self._holds.find(who.tenant, sought)
        message = held.message
        access = Access(
            "release",
            who.id,
            who.tenant,
            message.subject,
            author=message.sender,
            authors=message.authors,
        )
        await self._notes.admit(access)
        if who.id != message.sender and who.id not in message.authors:
            return held
        reasons = (f"self-validation: {who.id} is an author of {message_id}",)
        raise self._notes.refusal(access, reasons)

    def _record(self, event: str, held: HeldMessage, detail: str) -> None:
        message = held.message
        self._parts.audit.append(
            (
                event,
                self._parts.clock.now_ns(),
                message.id,
                message.tenant,
                message.sender,
                message.subject,
                message.revision,
                detail[:ERROR_CHARS_MAX],
                message.stamp,
            )
        )


def _told(outcome: Denied | Dropped | Rejected) -> str:
    return f"{outcome.code}: {outcome.reason}"


def _check_reason(reason: object) -> None:
    if type(reason) is not str or not reason.strip():
        raise MalformedMessageError("a reason is a text that says something")
    if len(reason) > ERROR_CHARS_MAX:
        raise LimitExceededError(
            "reason characters", actual=len(reason), allowed=ERROR_CHARS_MAX
        )
