"""The isolated engine as the policy of a bus."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from policy import data as policy_data
from policy.awaiting import AwaitedPolicy, AwaitingAuthorizer, Spawn
from policy.bundle import Bundle
from policy.governance import Activate, follow, spawn_with
from policy.isolation.engine import IsolatedEngine
from policy.isolation.loading import load
from policy.isolation.terms import Terms
from policy.keeping import Keeping
from policy.loading import PolicySource
from policy.pacing import beside


class InWorker:
    """The isolated engine: its policy is loaded and asked in a process of its own."""

    def __init__(
        self,
        source: PolicySource,
        terms: Terms,
        *,
        now_ns: Callable[[], int],
        keeping: Keeping,
    ) -> None:
        """Read the policy's files: who the agents are is known from here on."""
        self._source = source
        self._terms = terms
        self._bundle = source.read()
        agents = policy_data.agents_of(self._bundle.data_name, self._bundle.data)
        self._spawned: Spawn | None = None
        self._engine: IsolatedEngine | None = None
        self.authorizer = AwaitingAuthorizer(
            agents, now_ns=now_ns, spawn=self._spawn, keeping=keeping
        )

    async def open(self, spawn: Spawn, *, logged: bool) -> None:
        """Start the worker and load the policy there."""
        del logged  # all rules are here
        self._spawned = spawn
        self.authorizer.put(await self._loaded(self._bundle))

    async def changed(self) -> bool:
        """Tell whether the source has changed."""
        revision = self.authorizer.revision
        return await beside(self._source.changed, revision)

    async def renew(self) -> None:
        """Load what is there now in another worker, then let the first one go."""
        bundle = await beside(self._read)
        if bundle.revision == self.authorizer.revision:
            return
        was = self.authorizer.put(await self._loaded(bundle))
        self._bundle = bundle
        # Beside: what is in force now must not wait for the end of what was.
        self._spawn(was.engine.close(), "assent end of a policy worker")

    async def follow(self, activate: Activate) -> bool:
        """Follow the source, where it can be followed."""
        return await follow(self._source, activate)

    def bundle(self) -> Bundle | None:
        """Return the files in force."""
        return self._bundle

    def health(self) -> tuple[bool, str]:
        """Tell whether a worker is there to be asked."""
        if self._engine is None:
            return False, "no worker has been started"
        ready = self._engine.stats().ready
        return ready > 0, f"revision {self.authorizer.revision}, {ready} workers ready"

    async def close(self) -> None:
        """End the worker; what is still asked is denied."""
        await self.authorizer.close()

    def _read(self) -> Bundle:
        bundle = self._source.read()
        _ = bundle.revision  # made here: it takes a hash of everything
        return bundle

    async def _loaded(self, bundle: Bundle) -> AwaitedPolicy:
        made = await load(bundle, self._terms)
        self._engine = made.engine
        return AwaitedPolicy(
            revision=made.revision,
            engine=made.engine,
            plan=made.plan,
            agents=made.agents,
            cacheable=not made.dependencies.volatile,
            told=True,
        )

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        spawn_with(self._spawned, work, name)


def try_out(bundle: Bundle, terms: Terms) -> None:
    """Return if a worker can load a bundle; blocks, on a thread that runs no loop.

    Raises:
        PolicyLoadError: it is refused, or could not be loaded within `terms`.
    """

    async def loaded() -> None:
        made = await load(bundle, terms)
        await made.engine.close()

    asyncio.run(loaded())
