"""What is kept, looked up for a client: a message by its id, a family, a page of a stream.

Rule: bounded reading, a turn of the loop in between, and nothing is shown that policy
would not let the caller see. What is another tenant's was never there.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from bus.core import subject as grammar
from bus.core.edgeerrors import NotFoundError
from bus.core.edgelimits import (
    ENTRIES_PER_TURN,
    FIND_ENTRIES_MAX,
    STREAM_PAGE_BYTES_MAX,
    TREE_ENTRIES_MAX,
    TREE_NODES_MAX,
)
from bus.core.entries import Entry, key_of
from bus.core.errors import MessageExpiredError
from bus.core.message import Message
from bus.edge.caller import Caller, Scope
from bus.edge.gate import Gate
from bus.holds import HeldMessage
from bus.host import Host
from bus.ledger import Ledger
from bus.ports import Access
from bus.recall import as_now
from bus.streams import Stream

_NS_PER_MS: Final = 1_000_000
_MS_BYTES: Final = 6  # of an id: see bus.core.ids

Page = tuple[list[Entry], int]
"""Entries, and the sequence up to which was looked."""


class Kept:
    """Looks up what one bus keeps."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.host: Host = gate.bus._host  # noqa: SLF001 - no agent finds by id

    @property
    def ledger(self) -> Ledger:
        """What is kept; raises `NotFoundError` where nothing is."""
        ledger = self.host.ledger
        if ledger is None:
            raise NotFoundError("nothing is kept here: this bus has no store")
        return ledger

    def require(self) -> None:
        """Raise `NotFoundError` where nothing is kept."""
        _ = self.ledger

    # What a caller may see.

    async def connected(self, caller: Caller) -> None:
        """Return if the caller is an agent that may connect; raises as `Gate.agent`.

        And `BusNotStartedError` where the bus does not run.
        """
        self.host.require_open()
        await self._gate.agent(caller).connected()

    async def may_see(
        self, caller: Caller, tenant: str, sender: str, subject: str
    ) -> bool:
        """Tell whether a caller may know of a message.

        Its sender may, whoever may subscribe to its subject, and an operator.
        """
        if not caller.sees(tenant):
            return False
        if caller.scope is not Scope.AGENT or caller.agent == sender:
            return True
        access = Access("subscribe", caller.agent, caller.tenant, subject)
        return (await self.host.parts.authorizer.admit(access)).allow

    async def seen(self, caller: Caller, entry: Entry) -> Message | None:
        """Return an entry's message as a caller may see it now, or None."""
        message = entry.message
        if not await self.may_see(
            caller, message.tenant, message.sender, message.subject
        ):
            return None
        if caller.scope is not Scope.AGENT:
            return message
        return await as_now(self.host.parts, message, entry.decision)

    # One message, by its id.

    def held(self, caller: Caller, message_id: bytes) -> HeldMessage | None:
        """Return a message that policy holds, of a tenant that the caller sees."""
        for held in self.host.holds.kept:
            if held.message.id == message_id:
                return held if caller.sees(held.message.tenant) else None
        return None

    async def find(self, caller: Caller, message_id: bytes) -> Entry | None:
        """Return the entry of a message of a tenant that the caller sees, or None.

        Looked for from the time in its id on, in at most `FIND_ENTRIES_MAX` entries of
        each stream.
        """
        if self.host.ledger is None:
            return None
        for stream in self._streams(caller):
            first = await self._at(stream, message_id)
            async for entry in self._entries(stream, first, FIND_ENTRIES_MAX):
                if entry.message.id == message_id:
                    own = entry.message.tenant == stream.tenant
                    return entry if own else None
        return None

    async def family(self, tenant: str, root: bytes) -> tuple[list[Entry], bool]:
        """Return what a tenant keeps of a root and all that came of it, oldest first.

        And whether there may be more than could be looked at.
        """
        found: list[Entry] = []
        cut = False
        for stream in self.ledger.streams.of_tenant(tenant):
            first = await self._at(stream, root)
            looked = 0
            async for entry in self._entries(stream, first, TREE_ENTRIES_MAX):
                looked += 1
                message = entry.message
                if message.tenant == tenant and root in {message.id, message.root}:
                    found.append(entry)
            cut = cut or (looked >= TREE_ENTRIES_MAX and first + looked <= stream.last)
        found.sort(key=lambda entry: entry.message.id)
        return found[:TREE_NODES_MAX], cut or len(found) > TREE_NODES_MAX

    # A stream.

    def stream(self, caller: Caller, name: str) -> Stream | None:
        """Return the stream of the caller's tenant; None if nothing is in it yet.

        Raises:
            NotFoundError: there is no stream of that name.
        """
        streams = self.ledger.streams
        for stream in streams.of_tenant(caller.tenant):
            if stream.name == name:
                return stream
        if any(spec.name == name for spec in streams.specs):
            return None
        raise NotFoundError(f"there is no stream {name[:100]!r}")

    async def admit(self, caller: Caller, pattern: str) -> tuple[str, ...]:
        """Return a pattern's tokens, if the caller may subscribe to it.

        Raises:
            SubjectError, LimitExceededError: it is no pattern.
            DeniedError: policy says no.
        """
        tokens = grammar.parse_pattern(pattern)
        await self.connected(caller)
        access = Access("subscribe", caller.agent, caller.tenant, pattern)
        await self.host.notes.admit(access)
        return tokens

    async def page(
        self, stream: Stream, tokens: Sequence[str], after: int, limit: int
    ) -> Page:
        """Return at most `limit` entries under a pattern after a sequence.

        What has expired or policy has changed its mind on is left out.
        """
        found: list[Entry] = []
        looked, size = after, 0
        pattern = tuple(tokens)
        async for entry in self._entries(stream, after + 1, FIND_ENTRIES_MAX):
            looked = entry.sequence
            message = entry.message
            if not grammar.matches(pattern, tuple(message.subject.split("."))):
                continue
            shown = await self._now(entry)
            if shown is None:
                continue
            found.append(shown)
            size += len(message.body)
            if len(found) >= limit or size >= STREAM_PAGE_BYTES_MAX:
                break
        return found, looked

    async def first_at(self, stream: Stream, time_ns: int) -> int:
        """Return the sequence of the first message kept at or after a time."""
        return await self.ledger.store.at(stream.id, time_ns)

    async def _now(self, entry: Entry) -> Entry | None:
        """Return an entry as it may be seen now, or None."""
        parts = self.host.parts
        try:
            parts.validator.check(entry.message, parts.clock.now_ns())
        except MessageExpiredError:
            return None
        message = await as_now(parts, entry.message, entry.decision)
        if message is None or message is entry.message:
            return None if message is None else entry
        return msgspec.structs.replace(entry, message=message)

    def _streams(self, caller: Caller) -> list[Stream]:
        streams = self.ledger.streams
        if caller.scope is Scope.ADMIN:
            return list(streams.by_id.values())
        return streams.of_tenant(caller.tenant)

    async def _at(self, stream: Stream, message_id: bytes) -> int:
        """Return where in a stream a message of that id stands at the earliest."""
        made_ms = int.from_bytes(message_id[:_MS_BYTES], "big")
        since_ns = min(max(made_ms - 1, 0) * _NS_PER_MS, (1 << 63) - 1)
        return await self.ledger.store.at(stream.id, since_ns)

    async def _entries(
        self, stream: Stream, first: int, looked_max: int
    ) -> AsyncIterator[Entry]:
        """Yield entries from a sequence on; the loop turns after each page."""
        ledger, left = self.ledger, looked_max
        last = key_of(stream.id, stream.last)
        key = key_of(stream.id, max(first, 1))
        while left > 0 and key <= last:
            rows = await ledger.store.entries(key, last, min(ENTRIES_PER_TURN, left))
            if not rows:
                return
            for at, sealed in rows:
                yield ledger.sealer.open(at, sealed)
            left -= len(rows)
            key = rows[-1][0] + 1
            await asyncio.sleep(0)
