"""The policy in force of one bus: an engine, where its policy comes from, and renewal.

Rule: which engine answers is chosen once, and no other one ever answers in its place.
A policy that is refused changes nothing; the one in force stays.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, runtime_checkable

from bus.ports import Authorizer
from policy.authorizer import EmbeddedAuthorizer
from policy.awaiting import Spawn
from policy.bundle import Bundle
from policy.evaluation import EvaluationError
from policy.loading import PolicySource
from policy.pacing import beside

Activate = Callable[[], Awaitable[object]]


@runtime_checkable
class Followed(Protocol):
    """A source that tells of news by itself."""

    async def follow(self, activate: Activate) -> None:
        """Call `activate` for each, for ever."""


class Governance(Protocol):
    """What the composition root needs of a policy, whatever its engine."""

    @property
    def authorizer(self) -> Authorizer:
        """Decides."""

    async def open(self, spawn: Spawn, *, logged: bool) -> None:
        """Put the policy in force; `spawn` starts tasks that the bus ends.

        `logged` tells that decisions are logged here, under policy's own masks.

        Raises:
            PolicyLoadError, EvaluationError: it cannot be.
        """

    async def changed(self) -> bool:
        """Tell whether `renew` may put another revision in force."""

    async def renew(self) -> None:
        """Put in force what is there now.

        Raises:
            PolicyLoadError, EvaluationError: it is refused, or cannot be had; the one
                in force stays.
        """

    async def follow(self, activate: Activate) -> bool:
        """Wait for news where policy is pushed, calling `activate` for each; else False.

        False says that nothing is pushed, so that `changed` must be asked.
        """

    def bundle(self) -> Bundle | None:
        """Return the policy's files as they are in force, where they are here."""

    def health(self) -> tuple[bool, str]:
        """Tell whether policy can be asked, and a word on it."""

    async def close(self) -> None:
        """End what was opened."""


class InLoop:
    """The embedded engine: made with the bus, asked in the loop."""

    def __init__(self, source: PolicySource, authorizer: EmbeddedAuthorizer) -> None:
        self._source = source
        self.authorizer = authorizer

    async def open(self, spawn: Spawn, *, logged: bool) -> None:
        """Do nothing: the policy is in force since the bus was made."""

    async def changed(self) -> bool:
        """Tell whether the source has changed."""
        return await beside(self.authorizer.changed)

    async def renew(self) -> None:
        """Read and load what is there now; the policy goes over in one step."""
        bundle = await beside(self.authorizer.read)
        await self.authorizer.renew(bundle)

    async def follow(self, activate: Activate) -> bool:
        """Follow the source, where it can be followed."""
        return await follow(self._source, activate)

    def bundle(self) -> Bundle | None:
        """Return the files in force."""
        return self.authorizer.bundle

    def health(self) -> tuple[bool, str]:
        """Tell the revision: this engine is always there."""
        return True, f"revision {self.authorizer.revision}"

    async def close(self) -> None:
        """Do nothing."""


async def follow(source: PolicySource, activate: Activate) -> bool:
    """Follow a source for ever; return False at once if it tells nothing by itself."""
    if not isinstance(source, Followed):
        return False
    await source.follow(activate)
    return True


def spawn_with(
    spawned: Spawn | None, work: Coroutine[Any, Any, None], name: str
) -> None:
    """Start a task with what `Governance.open` was given."""
    if spawned is None:
        work.close()
        raise EvaluationError("the bus has not started", kind="unavailable")
    spawned(work, name)
