"""An agent's publishes one after the other, for whoever awaits their outcomes later.

Rule: each is on its way, in order, before the next begins; none waits for what a store
has still to tell of the one before.
"""

from collections.abc import Coroutine
from functools import partial
from typing import Any

from bus.awaiting import Coming
from bus.core.errors import BusNotStartedError, ProtocolError, UnavailableError
from bus.core.limits import PUBLISH_WAIT_S_MAX
from bus.core.message import EVENT, Message
from bus.core.outcome import Failed, Outcome
from bus.core.validation import check_seconds
from bus.draft import NORMAL, Author, Options, draft, stub
from bus.host import Host
from bus.routes import Origin
from bus.subscription import handled


class Lane:
    """Publishes for one agent, which policy has let connect."""

    def __init__(self, host: Host, author: Author, origin: Origin) -> None:
        self._host = host
        self._author = author
        self._ingest = host.pipeline.ingest
        self._reject = partial(host.pipeline.reject, origin=origin)
        self._early = Origin(origin.routes, origin.usage)
        self._early.early = True
        self._wait_s = host.parts.publish_wait_s

    def publish(
        self,
        subject: str,
        body: object,
        type_: str = EVENT,
        priority: int = NORMAL,
        options: Options | None = None,
        wait: float | None = None,
    ) -> Coroutine[Any, Any, Coming]:
        """Publish; await the result for the outcome, or for a future of it.

        It is a future where the message is on its way to a store. Otherwise as
        `Agent.publish`, but nothing is raised: a bus that is closed fails it.
        """
        host, wait_s = self._host, self._wait_s
        if not host.open:
            try:
                host.require_open()
            except BusNotStartedError as error:
                return self._closed(subject, error)
        try:
            if wait is not None:
                wait_s = check_seconds("wait", wait, PUBLISH_WAIT_S_MAX)
            message = draft(self._author, subject, body, type_, priority, options)
        except ProtocolError as error:
            return self.reject(subject, error)
        return self._ingest(message, self._early, "publish", wait_s)

    def publish_from(
        self, parent: Message, *message: Any
    ) -> Coroutine[Any, Any, Coming]:
        """Publish what descends from `parent`, which the agent handles; as `publish`."""
        token = handled.set(parent)
        try:
            return self.publish(*message)
        finally:
            handled.reset(token)

    def require_open(self) -> None:
        """Raise `BusNotStartedError` unless the bus takes messages."""
        self._host.require_open()

    def reject(
        self, subject: object, error: ProtocolError
    ) -> Coroutine[Any, Any, Outcome]:
        """Record a message that could not even be made; await the result for its outcome."""
        return self._reject(stub(self._author, subject), error=error)

    async def _closed(self, subject: object, error: BusNotStartedError) -> Outcome:
        return Failed(stub(self._author, subject).id, UnavailableError(str(error)))
