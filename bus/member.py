"""An agent as a member of a bus: let in by policy, and what it may do to others' messages.

Rule: nothing of an agent's is carried out before policy has let it connect.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec

from bus.core import subject as grammar
from bus.core.decision import Principal
from bus.core.entries import Entry, Sealer
from bus.core.errors import DeniedError, UsageError
from bus.core.outcome import Denied, Outcome
from bus.core.storelimits import LETTERS_READ_MAX
from bus.core.subject import DEAD_PREFIX
from bus.draft import Author, stub
from bus.host import Host
from bus.lane import Lane
from bus.letterbox import StoredLetter
from bus.outbox import require_none
from bus.ports import Access
from bus.recall import as_now
from bus.spec import check_start
from bus.wants import Start


class Door:
    """Stands for the bus while policy has not let an agent connect: never open."""

    open: Final = False


class Member:
    """What every agent is, beside publishing and subscribing."""

    def __init__(self, host: Host, principal: Principal, *, admitted: bool) -> None:
        self._host = host
        # What `publish` looks at first: the bus, or a closed door until policy has
        # let the agent connect.
        self._door: Host | Door = host if admitted else Door()
        self._principal = principal
        self._author = Author(host.terms, principal)
        self._origin = host.origin(principal.tenant, principal.id)

    @property
    def name(self) -> str:
        """The agent's id, as policy knows it."""
        return self._principal.id

    @property
    def tenant(self) -> str:
        """The tenant the agent belongs to."""
        return self._principal.tenant

    @property
    def roles(self) -> tuple[str, ...]:
        """The agent's roles when it was named."""
        return self._principal.roles

    def lane(self) -> Lane:
        """Return what publishes for the agent in order; first await `connected`."""
        return Lane(self._host, self._author, self._origin)

    def vouch(self, data: bytes) -> bytes:
        """Return a seal over bytes that the agent will show again: for `bus.effects`.

        Raises:
            UsageError: the bus has no store, so its keys may not outlive it.
        """
        return self._sealer.sign(self._mine(data))

    def vouched(self, data: bytes, seal: bytes) -> bool:
        """Tell whether `vouch` of this agent made the seal over just these bytes.

        Raises:
            UsageError: the bus has no store.
            UnknownKeyError: it was made under a key that is not in the ring.
        """
        return self._sealer.signed(self._mine(data), seal)

    @property
    def _sealer(self) -> Sealer:
        kept = self._host.parts.kept
        if kept is None:
            raise UsageError("an outbox needs a store: set store.kind")
        return kept.sealer

    def _mine(self, data: bytes) -> bytes:
        """Say whose bytes they are, as no entry or message of the bus begins."""
        return f"agent {self.tenant}/{self.name} ".encode() + data

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, tenant={self.tenant!r})"

    async def replay(
        self, pattern: str, *, start: Start = "all", stream: str = ""
    ) -> AsyncIterator[Entry]:
        """Read what the store keeps of the tenant's messages under a pattern.

        Each entry has its message, the decision that let it in, and its sequence in the
        stream; one stream comes after the other, or only the one named. `start` is "all",
        a sequence, or a time with its zone. It ends with what was kept when it was called.
        What policy has changed on since is asked about again: denied it is left out, and
        headers that are to be taken out are not there.

        Raises:
            DeniedError: policy does not let the agent subscribe to the pattern.
            MalformedMessageError: `start` is none of these.
            UsageError: nothing is kept, or there is no such stream.
            StoreBrokenError, ConstitutionalError: an entry is not what was kept.
        """
        self._host.require_open()
        await self.connected()
        tokens, start = grammar.parse_pattern(pattern), check_start(start)
        await self._host.notes.admit(
            Access("subscribe", self.name, self.tenant, pattern)
        )
        ledger = self._host.require_ledger()
        streams = ledger.streams.of_tenant(self.tenant)
        if stream:
            streams = [known for known in streams if known.name == stream]
            if not streams:
                raise UsageError(f"nothing is kept in a stream {stream!r}")
        parts = self._host.parts
        async for page in ledger.rereading.entries(streams, tokens, start):
            for entry in page:
                if entry.decision.revision == parts.authorizer.revision:
                    yield entry
                    continue
                message = await as_now(parts, entry.message, entry.decision)
                if message is not None:
                    yield msgspec.structs.replace(entry, message=message)

    async def dead_letters(
        self, *, after: int = 0, limit: int = 100
    ) -> list[StoredLetter]:
        """Return the tenant's dead letters that the store keeps, oldest first.

        Those with an id above `after`, whose subjects the agent may subscribe to under
        `$DEAD.` (under all of it where a letter cannot be read any more), as policy lets
        them be seen now; at most `limit`.

        Raises:
            UsageError: nothing is kept.
        """
        self._host.require_open()
        await self.connected()
        box, found = self._host.require_letterbox(), list[StoredLetter]()
        while len(found) < limit and (page := await box.read(after, LETTERS_READ_MAX)):
            after = page[-1].id
            for letter in page:
                mine = letter.tenant == self.tenant and len(found) < limit
                if mine and await self._may_read(_pattern(letter)):
                    found.append(await self._host.letter_now(letter))
        return found

    async def resend(self, letter_id: int, body: object = ...) -> Outcome:
        """Send a dead letter once more, to the consumer that gave it up.

        As this agent's own message, authorised anew, which descends from the one that
        died; with another body if one is given. Once accepted the letter is gone.

        Raises:
            UsageError: nothing is kept, or the tenant has no such letter.
            DeniedError: policy does not let the agent read it.
        """
        require_none("resend a dead letter")
        self._host.require_open()
        await self.connected()
        box = self._host.require_letterbox()
        letters = await box.read(letter_id - 1, 1)
        if letters and letters[0].tenant == self.tenant:
            await self._host.notes.admit(
                Access("subscribe", self.name, self.tenant, _pattern(letters[0]))
            )
        return await box.resend(self._author, self._origin, letter_id, body)

    async def _may_read(self, pattern: str) -> bool:
        access = Access("subscribe", self.name, self.tenant, pattern)
        return (await self._host.parts.authorizer.admit(access)).allow

    async def release(self, message_id: str, reason: str) -> Outcome:
        """Let a message go on that policy holds: `message_id` is the one of its outcome.

        Raises:
            NotHeldError: nothing is held under that id in this tenant.
            DeniedError: policy does not let this agent, or it is an author of it.
        """
        require_none("release what policy holds")
        await self.connected()
        return await self._host.releasing.release(self._principal, message_id, reason)

    async def refuse(self, message_id: str, reason: str) -> Outcome:
        """End a message that policy holds as denied; raises as `release`."""
        require_none("refuse what policy holds")
        await self.connected()
        return await self._host.releasing.refuse(self._principal, message_id, reason)

    async def cooldown(self, pattern: str, seconds: float, reason: str) -> None:
        """Let nothing in on the subjects under `pattern` for so many seconds.

        Raises:
            DeniedError: policy does not let this agent.
            ProtocolError: the pattern, the time or the reason is not valid.
        """
        await self.connected()
        await self._host.releasing.cooldown(
            self._principal, self._origin.routes, (pattern, seconds, reason)
        )

    def knock(self) -> None:
        """Have policy asked again whether the agent may connect, before its next call."""
        self._door = Door()

    def connected_now(self) -> None:
        """Let it connect if policy says so at once; raises `DeniedError` if it says no."""
        if self._door is not self._host:
            access = Access("connect", self.name, self.tenant)
            if self._host.notes.admit_now(access) is not None:
                self._door = self._host

    async def connected(self) -> None:
        """Wait until policy has let the agent connect; raises `DeniedError`."""
        if self._door is not self._host:
            access = Access("connect", self.name, self.tenant)
            await self._host.notes.admit(access)
            self._door = self._host

    async def _connect_first(
        self, publish: Callable[[], Awaitable[Outcome]], subject: object
    ) -> Outcome:
        self._host.require_open()
        try:
            await self.connected()
        except DeniedError as error:
            stubbed = stub(self._author, subject)
            return Denied(stubbed.id, error.reasons, error.revision, error.decision_id)
        return await publish()


def _pattern(letter: StoredLetter) -> str:
    """Return what who reads a letter must be allowed to subscribe to."""
    if letter.message is None:
        return DEAD_PREFIX + ">"
    return DEAD_PREFIX + letter.message.subject
