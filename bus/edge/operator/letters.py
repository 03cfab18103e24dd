"""Dead letters: what was given up, peeked at, changed, and sent once more.

Rule: what is sent once more is a new message of the caller's own agent, authorised like
any other. A body is shown as policy lets it be seen now.
"""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from bus.core.edgeerrors import ForbiddenError, NotFoundError
from bus.core.errors import UsageError
from bus.core.limits import PAYLOAD_BYTES_MAX
from bus.core.message import Message
from bus.core.storelimits import LETTERS_READ_MAX
from bus.edge.caller import Caller, Scope
from bus.edge.gate import Gate
from bus.edge.operations import Operation
from bus.edge.operator.inside import Inside, seen_by, tenant_of
from bus.edge.operator.keptanswers import (
    Body,
    LetterAsked,
    LetterRow,
    Letters,
    LettersAsked,
    Resend,
    Settled,
)
from bus.edge.operator.told import (
    body_given,
    content,
    number_after,
    rfc3339,
    settled,
)
from bus.letterbox import StoredLetter
from bus.letters import DeadLetter

_PAGES_MAX: Final = 10
"""Reads of the store for one page: then it ends early, with a cursor to go on."""


class Post:
    """The dead letters of one bus: of its store, or of this run without one."""

    def __init__(self, gate: Gate, inside: Inside) -> None:
        self._gate = gate
        self._inside = inside
        self._host = inside.host

    async def letters(self, caller: Caller, asked: LettersAsked) -> Letters:
        """Return a page of dead letters, oldest first."""
        tenant, after = tenant_of(caller, asked.tenant), number_after(asked.after)
        total = self._total() if seen_by(caller) is None else None
        if self._host.ledger is None:
            return self._of_memory(asked, tenant, after, total)
        found: list[LetterRow] = []
        following: str | None = None
        async for last, letter in self._read(after):
            if letter is None:  # enough was looked through
                following = str(last)
                break
            wanted = asked.consumer in {"", letter.consumer}
            if not wanted or tenant not in {None, letter.tenant}:
                continue
            if len(found) == asked.limit:
                following = found[-1].id
                break
            found.append(_stored(await self._host.letter_now(letter)))
        return Letters(items=tuple(found), next=following, total=total)

    async def letter(self, caller: Caller, asked: LetterAsked) -> LetterRow:
        """Return one dead letter with all of its body."""
        if self._host.ledger is None:
            number = number_after(asked.id)
            for letter in self._inside.bus.dead_letters:
                if letter.number == number and caller.sees(letter.message.tenant):
                    return _in_memory(asked.id, letter, PAYLOAD_BYTES_MAX)
            raise NotFoundError("there is no such dead letter")
        found = await self._stored(caller, asked.id)
        return _stored(await self._host.letter_now(found), PAYLOAD_BYTES_MAX)

    async def resend(self, caller: Caller, asked: Resend) -> Settled:
        """Send a dead letter once more, to the consumer that gave it up."""
        if self._host.ledger is None:
            raise UsageError("nothing is kept to be sent once more: set store.kind")
        body = body_given(asked.body, asked.body_base64)
        letter = await self._stored(caller, asked.id)
        if letter.tenant != caller.tenant:
            raise ForbiddenError(
                f"it is tenant {letter.tenant}'s: an agent of that tenant sends it"
            )
        agent = self._gate.agent(caller)
        return settled(await agent.resend(letter.id, body))

    async def _stored(self, caller: Caller, letter_id: str) -> StoredLetter:
        number = number_after(letter_id)
        if number > 0:
            read = await self._host.require_letterbox().read(number - 1, 1)
            if read and read[0].id == number and caller.sees(read[0].tenant):
                return read[0]
        raise NotFoundError("there is no such dead letter")

    async def _read(self, after: int) -> AsyncIterator[tuple[int, StoredLetter | None]]:
        """Yield letters with their ids; None as the last where there may be more."""
        box = self._host.require_letterbox()
        for _ in range(_PAGES_MAX):
            page = await box.read(after, LETTERS_READ_MAX)
            for letter in page:
                after = letter.id
                yield after, letter
            if len(page) < LETTERS_READ_MAX:
                return
        yield after, None

    def _of_memory(
        self, asked: LettersAsked, tenant: str | None, after: int, total: int | None
    ) -> Letters:
        """Return a page of this run's; each is numbered as it came."""
        found: list[LetterRow] = []
        for letter in self._inside.bus.dead_letters:
            number = letter.number
            mine = tenant in {None, letter.message.tenant} and number > after
            if not mine or asked.consumer not in {"", letter.subscription}:
                continue
            if len(found) == asked.limit:
                return Letters(items=tuple(found), next=found[-1].id, total=total)
            found.append(_in_memory(str(number), letter))
        return Letters(items=tuple(found), total=total)

    def _total(self) -> int:
        ledger = self._host.ledger
        if ledger is None:
            return len(self._host.letters.kept)
        return ledger.store.stats().letters


def operations(gate: Gate, inside: Inside) -> tuple[Operation, ...]:
    """Return the operations about dead letters."""
    post = Post(gate, inside)
    return (
        Operation(
            name="list_dead_letters",
            method="GET",
            path="/v1/dead-letters",
            summary="What was given up, oldest first",
            scope=Scope.OPERATOR,
            asks=LettersAsked,
            answers=Letters,
            run=post.letters,
            errors=("malformed", "store_unavailable"),
        ),
        Operation(
            name="get_dead_letter",
            method="GET",
            path="/v1/dead-letters/{id}",
            summary="One dead letter, with all of its body",
            scope=Scope.OPERATOR,
            asks=LetterAsked,
            answers=LetterRow,
            run=post.letter,
            errors=("not_found", "store_unavailable"),
        ),
        Operation(
            name="resend_dead_letter",
            method="POST",
            path="/v1/dead-letters/{id}/resend",
            summary="Send a dead letter once more, with another body if one is given",
            scope=Scope.OPERATOR,
            asks=Resend,
            answers=Settled,
            run=post.resend,
            writes=True,
            errors=("denied", "forbidden", "not_found", "usage", "overloaded"),
        ),
    )


def _stored(letter: StoredLetter, bytes_max: int | None = None) -> LetterRow:
    row = LetterRow(
        id=str(letter.id),
        time=rfc3339(letter.at_ns),
        tenant=letter.tenant,
        consumer=letter.consumer,
        attempts=letter.attempts,
        reason=letter.reason,
        resendable=letter.message is not None,
    )
    if letter.message is None:
        return msgspec.structs.replace(row, content=Body(left_out="hidden"))
    return _with(row, letter.message, bytes_max)


def _in_memory(
    number: str, letter: DeadLetter, bytes_max: int | None = None
) -> LetterRow:
    row = LetterRow(
        id=number,
        time=rfc3339(letter.message.created_ns),
        tenant=letter.message.tenant,
        consumer=letter.subscription,
        attempts=letter.attempts,
        reason=letter.reason,
        resendable=False,
    )
    return _with(row, letter.message, bytes_max)


def _with(row: LetterRow, message: Message, bytes_max: int | None) -> LetterRow:
    """Return a row with what its message says."""
    body = content(message) if bytes_max is None else content(message, bytes_max)
    return msgspec.structs.replace(
        row,
        message_id=message.id.hex(),
        subject=message.subject,
        type=message.type,
        sender=message.sender,
        priority=message.priority,
        headers=message.headers,
        content=body,
    )
