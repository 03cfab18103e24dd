"""What the bus tells of its own parts: messages on `$SYS.`, to whoever may subscribe.

Rule: an event is published like any message, to each tenant where somebody wants it. What
is past the bound is counted, and dropped: the audit record has it all the same.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from bus.core.decision import Principal
from bus.core.message import EVENT
from bus.core.names import SYSTEM_AGENT
from bus.core.storelimits import SYSTEM_EVENTS_WAITING_MAX
from bus.core.subject import SYSTEM_PREFIX
from bus.draft import Author, Terms, draft
from bus.pipeline import Pipeline
from bus.routes import Origin


class SystemEvents:
    """Publishes what is told. `tenants` are those that have subscriptions."""

    def __init__(
        self,
        terms: Terms,
        pipeline: Pipeline,
        origin: Callable[[str, str], Origin],
        tenants: Callable[[], Iterable[str]],
    ) -> None:
        self.dropped = 0
        self._terms = terms
        self._pipeline = pipeline
        self._origin = origin
        self._tenants = tenants
        self._waiting: deque[tuple[str, Any]] = deque()
        self._more = asyncio.Event()

    def tell(self, subject: str, body: Any) -> None:
        """Publish soon, under `$SYS.`; never waits."""
        if len(self._waiting) >= SYSTEM_EVENTS_WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((SYSTEM_PREFIX + subject, body))
        self._more.set()

    async def run(self) -> None:
        """Publish what is told until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                subject, body = self._waiting.popleft()
                for tenant in tuple(self._tenants()):
                    await self._publish(tenant, subject, body)

    async def _publish(self, tenant: str, subject: str, body: Any) -> None:
        origin = self._origin(tenant, SYSTEM_AGENT)
        if not origin.routes.wanted(subject):
            return
        author = Author(self._terms, Principal(SYSTEM_AGENT, tenant))
        message = draft(author, subject, body, EVENT)
        # Whatever its outcome, it is counted and recorded.
        await self._pipeline.ingest(message, origin, "system_event", 0.0)
