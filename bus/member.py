"""An agent as a member of a bus: let in by policy, and what it may do to others' messages.

Rule: nothing of an agent's is carried out before policy has let it connect.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from bus.core.decision import Principal
from bus.core.errors import DeniedError
from bus.core.outcome import Denied, Outcome
from bus.draft import Author, stub
from bus.host import Host
from bus.ports import Access


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

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, tenant={self.tenant!r})"

    async def release(self, message_id: str, reason: str) -> Outcome:
        """Let a message go on that policy holds: `message_id` is the one of its outcome.

        Raises:
            NotHeldError: nothing is held under that id in this tenant.
            DeniedError: policy does not let this agent, or it is an author of it.
        """
        await self.connected()
        return await self._host.releasing.release(self._principal, message_id, reason)

    async def refuse(self, message_id: str, reason: str) -> Outcome:
        """End a message that policy holds as denied; raises as `release`."""
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
