"""Keeps the connections of a node true to their credentials, as long as they are open.

Rule: a connection ends when its credential does: at once where this node ends it, within
TOKENS_WATCH_S where another process does, and within CONNECTIONS_CHECK_S where time runs
out or policy takes back what was granted.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from bus.core.edgeerrors import UnauthenticatedError
from bus.core.edgelimits import (
    CONNECTIONS_CHECK_S,
    CONNECTIONS_PER_TURN,
    TOKENS_WATCH_S,
)
from bus.core.errors import AuditStalledError, StoreUnavailableError
from bus.edge.connections import Connections, Ending, Place, Why
from bus.edge.identity import Identity
from bus.edge.tokens import Change

_log: Final = logging.getLogger("assent.node")


class Care:
    """Looks after the connections of a node. `health` tells whether tokens can be read."""

    def __init__(
        self,
        identity: Identity,
        connections: Connections,
        revision: Callable[[], str],
        now_ns: Callable[[], int],
    ) -> None:
        self._identity = identity
        self._connections = connections
        self._revision = revision
        self._now_ns = now_ns
        self.health = (True, "read")
        identity.listen(self._ended)
        connections.require = identity.still

    async def watch(self) -> None:
        """Take over what another process changes in the tokens file, for ever."""
        while True:
            await asyncio.sleep(TOKENS_WATCH_S)
            try:
                await self._identity.refresh()
            except (StoreUnavailableError, AuditStalledError) as error:
                if self.health[0]:
                    _log.error("changes of tokens: %s", str(error))
                self.health = (False, str(error))
            else:
                self.health = (True, "read")

    async def look_after(self) -> None:
        """End what time or policy ends, for ever."""
        revision = self._revision()
        while True:
            await asyncio.sleep(CONNECTIONS_CHECK_S)
            now_ns, changed = self._now_ns(), revision != self._revision()
            revision = self._revision()
            for number, place in enumerate(self._connections, 1):
                expires_ns = place.caller.expires_ns
                if changed or (expires_ns is not None and expires_ns <= now_ns):
                    self._ask_again(place)
                if not number % CONNECTIONS_PER_TURN:
                    await asyncio.sleep(0)

    def _ended(self, change: Change) -> None:
        del change  # who is who now is asked of identity, which knows all of it
        for place in self._connections:
            self._ask_again(place)

    def _ask_again(self, place: Place) -> None:
        caller = place.caller
        try:
            self._identity.still(caller)
        except UnauthenticatedError as error:
            code: Why = "unauthenticated"
            if caller.agent in self._identity.quarantined:
                code = "quarantined"
            self._connections.end_one(place, Ending(code, str(error)))
