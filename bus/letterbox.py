"""The dead letters that a store keeps: read, and sent once more.

Rule: what is sent once more is a new message of whoever sends it, authorised like any
other; it descends from the one that died, and goes to the consumer that gave that up.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from bus.core.changes import DropLetter, Letter
from bus.core.decision import Decision
from bus.core.entries import Entry, Sealer
from bus.core.errors import StoreBrokenError, UsageError
from bus.core.features import DEDUP_HEADER, DUE_HEADER
from bus.core.message import Message
from bus.core.outcome import Outcome
from bus.core.storelimits import LETTERS_READ_MAX
from bus.draft import Author, Options, draft
from bus.pipeline import Pipeline
from bus.ports import Candidate
from bus.routes import Origin
from bus.storing import Store
from bus.subscription import handled

_IDS_MAX: Final = (1 << 63) - 1


class StoredLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a consumer gave up, why, after how many attempts, and when.

    `message` is None where what is there is not what was kept, or may not be seen any
    more; `decision` is what let it in.
    """

    id: int
    at_ns: int
    tenant: str
    consumer: str
    attempts: int
    reason: str
    message: Message | None
    decision: Decision | None = None


class Only:
    """The strategy that sends a letter to the consumer it comes from."""

    name: Final = "dead letter"

    def __init__(self, consumer: str) -> None:
        self._consumer = consumer

    def fixed(self, candidates: Sequence[Candidate]) -> bool:
        """Look at each message: there is only one."""
        del candidates
        return False

    def plan(self, message: Message, candidates: Sequence[Any]) -> Sequence[Any]:
        """Return the member of the consumer, or who stands in for it."""
        del message
        return [
            taker
            for taker in candidates
            if taker.consumer is not None and taker.consumer.row.name == self._consumer
        ][:1]


class Letterbox:
    """Reads and resends the letters of one bus."""

    def __init__(self, store: Store, sealer: Sealer, pipeline: Pipeline) -> None:
        self._store = store
        self._sealer = sealer
        self._pipeline = pipeline
        self._under_way: set[int] = set()

    async def read(self, after: int, limit: int) -> list[StoredLetter]:
        """Return letters with an id above `after`, oldest first.

        Raises:
            StoreUnavailableError: the store cannot be read now.
        """
        after = min(max(after, 0), _IDS_MAX)
        rows = await self._store.letters(after, min(limit, LETTERS_READ_MAX))
        return [opened_letter(self._sealer, row) for row in rows]

    async def resend(
        self, author: Author, origin: Origin, letter_id: int, body: object = ...
    ) -> Outcome:
        """Send a letter once more, with another body if one is given (`...` is none).

        Once accepted the letter is gone. Sent twice, it is accepted once.

        Raises:
            UsageError: the tenant has no such letter, or nobody is there to take it.
            StoreBrokenError: what is there is not what was kept.
            ProtocolError: the body cannot be sent.
        """
        if not 0 < letter_id < _IDS_MAX:
            raise UsageError(f"there is no dead letter {letter_id}")
        rows = await self._store.letters(letter_id - 1, 1)
        if not rows or rows[0].id != letter_id or rows[0].tenant != author.tenant:
            raise UsageError(f"there is no dead letter {letter_id}")
        row = rows[0]
        dead = self._sealer.open(row.key, row.entry).message
        if dead.tenant != author.tenant:
            raise StoreBrokenError(f"dead letter {letter_id} is another tenant's")
        message = _anew(author, dead, row, body)
        to = Origin(origin.routes, origin.usage, Only(row.consumer))
        route = to.find(dead.subject) or to.routes.resolve(dead.subject)
        if not Only(row.consumer).plan(message, route.takers):
            raise UsageError(
                f"{row.consumer!r}, which gave letter {letter_id} up, is not there any "
                "more; publish its body anew"
            )
        if letter_id in self._under_way:
            raise UsageError(f"dead letter {letter_id} is being sent already")
        to.extra = (DropLetter(letter_id),)  # it goes when what replaces it is kept
        self._under_way.add(letter_id)
        try:
            return await self._pipeline.ingest(message, to, "publish", 0.0)
        finally:
            self._under_way.discard(letter_id)


def opened_letter(sealer: Sealer, row: Letter) -> StoredLetter:
    """Return a letter with its message, where that can be read."""
    entry: Entry | None = None
    with suppress(StoreBrokenError):  # told by a letter without its message
        entry = sealer.open(row.key, row.entry)
    if entry is not None and entry.message.tenant != row.tenant:
        entry = None  # the row was changed: it is somebody else's
    return StoredLetter(
        id=row.id,
        at_ns=row.at_ns,
        tenant=row.tenant,
        consumer=row.consumer,
        attempts=row.attempts,
        reason=row.reason,
        message=None if entry is None else entry.message,
        decision=None if entry is None else entry.decision,
    )


def _anew(author: Author, dead: Message, row: Letter, body: object) -> Message:
    """Return a message of the author's that descends from one that died."""
    headers = {
        name: value
        for name, value in dead.headers.items()
        if name not in {DEDUP_HEADER, DUE_HEADER}
    }
    kept = body is ...
    token = handled.set(dead)
    try:
        message = draft(
            author,
            dead.subject,
            dead.body if kept else body,
            dead.type,
            dead.priority,
            Options(
                headers=headers,
                correlation=dead.correlation,
                dedup=f"letter-{row.id}-{row.at_ns}",
            ),
        )
    finally:
        handled.reset(token)
    if kept:
        return msgspec.structs.replace(message, content_type=dead.content_type)
    return message
