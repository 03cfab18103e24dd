"""What policy holds until somebody who may lets it go on.

Rule: it is released or refused by the caller's own agent, so that policy decides, and
nobody lets go on what it sent or what descends from it.
"""

from itertools import islice
from typing import Final

from bus.core.edgeerrors import ForbiddenError, NotFoundError
from bus.core.limits import PAYLOAD_BYTES_MAX
from bus.edge.caller import Caller, Scope
from bus.edge.gate import Gate
from bus.edge.operations import Operation
from bus.edge.operator.answers import Paged
from bus.edge.operator.inside import Inside, seen_by
from bus.edge.operator.keptanswers import (
    ApprovalAsked,
    ApprovalRow,
    Approvals,
    Body,
    Settle,
    Settled,
)
from bus.edge.operator.told import content, id_of, refused, rfc3339, settled
from bus.holds import HeldMessage

_ERRORS: Final = ("denied", "forbidden", "malformed", "not_held", "not_found")


class Inbox:
    """The held messages of one bus."""

    def __init__(self, gate: Gate, inside: Inside) -> None:
        self._gate = gate
        self._holds = inside.host.holds

    async def approvals(self, caller: Caller, asked: Paged) -> Approvals:
        """Return a page of what is held, oldest first; the cursor is an id."""
        tenant = seen_by(caller)
        mine = [
            held for held in self._holds.kept if tenant in {None, held.message.tenant}
        ]
        mine.sort(key=lambda held: held.message.id)
        # Ids are in the order of time, so a page goes on after one that is gone since.
        rest = (held for held in mine if held.message.id.hex() > asked.after)
        page = list(islice(rest, asked.limit + 1))
        more = len(page) > asked.limit
        items = tuple(_row(held, content(held.message)) for held in page[: asked.limit])
        following = items[-1].id if more else None
        return Approvals(items=items, total=len(mine), next=following)

    async def approval(self, caller: Caller, asked: ApprovalAsked) -> ApprovalRow:
        """Return one held message with all of its body."""
        held = self._found(caller, asked.id)
        return _row(held, content(held.message, PAYLOAD_BYTES_MAX))

    async def release(self, caller: Caller, asked: Settle) -> Settled:
        """Let a held message go on."""
        self._own(caller, asked.id)
        agent = self._gate.agent(caller)
        return settled(await agent.release(asked.id, asked.reason))

    async def refuse(self, caller: Caller, asked: Settle) -> Settled:
        """End a held message as denied."""
        self._own(caller, asked.id)
        agent = self._gate.agent(caller)
        return refused(await agent.refuse(asked.id, asked.reason))

    def _found(self, caller: Caller, message_id: str) -> HeldMessage:
        sought = id_of(message_id)
        for held in self._holds.kept:
            if held.message.id == sought and caller.sees(held.message.tenant):
                return held
        raise NotFoundError("no such message is held")

    def _own(self, caller: Caller, message_id: str) -> None:
        """Raise unless a message is held in the tenant that the caller acts in."""
        tenant = self._found(caller, message_id).message.tenant
        if tenant != caller.tenant:
            raise ForbiddenError(
                f"it is held in tenant {tenant}: an agent of that tenant settles it"
            )


def operations(gate: Gate, inside: Inside) -> tuple[Operation, ...]:
    """Return the operations about held messages."""
    inbox = Inbox(gate, inside)
    return (
        Operation(
            name="list_approvals",
            method="GET",
            path="/v1/approvals",
            summary="What policy holds, oldest first",
            scope=Scope.OPERATOR,
            asks=Paged,
            answers=Approvals,
            run=inbox.approvals,
        ),
        Operation(
            name="get_approval",
            method="GET",
            path="/v1/approvals/{id}",
            summary="One held message, with all of its body",
            scope=Scope.OPERATOR,
            asks=ApprovalAsked,
            answers=ApprovalRow,
            run=inbox.approval,
            errors=("not_found",),
        ),
        Operation(
            name="release_message",
            method="POST",
            path="/v1/approvals/{id}/release",
            summary="Let a held message go on",
            scope=Scope.OPERATOR,
            asks=Settle,
            answers=Settled,
            run=inbox.release,
            writes=True,
            errors=_ERRORS,
        ),
        Operation(
            name="refuse_message",
            method="POST",
            path="/v1/approvals/{id}/refuse",
            summary="End a held message as denied",
            scope=Scope.OPERATOR,
            asks=Settle,
            answers=Settled,
            run=inbox.refuse,
            writes=True,
            errors=_ERRORS,
        ),
    )


def _row(held: HeldMessage, body: Body) -> ApprovalRow:
    message = held.message
    return ApprovalRow(
        id=message.id.hex(),
        subject=message.subject,
        type=message.type,
        priority=message.priority,
        sender=message.sender,
        tenant=message.tenant,
        authors=message.authors,
        reason=held.reason,
        since=rfc3339(message.created_ns),
        until=rfc3339(held.until_ns),
        revision=message.revision,
        headers=message.headers,
        content=body,
    )
