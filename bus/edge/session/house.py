"""What the sessions of one node share, and the codes that they close with."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from bus.edge.caller import Caller
from bus.edge.connections import Connections
from bus.edge.gate import Gate
from bus.edge.session.allowance import Allowance
from bus.ports import Clock

Admit = Callable[[str | None], Awaitable[Caller]]
"""Returns who shows a token, or who sent the upgrade request if there is none.

Raises `UnauthenticatedError`, `ForbiddenError`, `OverloadedError`.
"""


class End(msgspec.Struct, frozen=True):
    """Why a connection is closed: the code of the WebSocket, a stable one, and words.

    `lost` tells that the client has gone already, `lingers` that what it published before
    is still carried out.
    """

    code: int
    kind: str
    text: str
    lost: bool = False
    lingers: bool = False


LOST: Final = End(1000, "", "", lost=True, lingers=True)
GOES: Final = End(1001, "going_away", "the node stops")
BROKEN: Final = End(1011, "internal", "a fault of the node's own")
SLOW: Final = End(4408, "too_slow", "nothing was read for too long")
RESUMED: Final = End(4409, "resumed", "another connection goes on with this session")

PROTOCOL: Final = 4400
UNAUTHENTICATED: Final = 4401
DENIED: Final = 4403
TOO_LARGE: Final = 4413
TOO_MANY: Final = 4429
KIND: Final = 1003
LATER: Final = 1013
GOING: Final = 1001

CODES: Final = {
    "unauthenticated": UNAUTHENTICATED,
    "forbidden": DENIED,
    "denied": DENIED,
    "quarantined": DENIED,
    "overloaded": TOO_MANY,
    "limit_exceeded": TOO_LARGE,
    "going_away": GOING,
}
"""The code that a connection is closed with, by the stable code of the fault."""


class Resumable(Protocol):
    """A session that another one may take the place of."""

    def is_of(self, caller: Caller) -> bool:
        """Tell whether it is the caller's own."""

    async def yield_place(self) -> None:
        """End; return once all that it had is given back."""


class House:
    """One for each node."""

    def __init__(
        self,
        gate: Gate,
        connections: Connections,
        clock: Clock,
        allowance: Allowance,
        version: str,
    ) -> None:
        self.gate = gate
        self.connections = connections
        self.clock = clock
        self.allowance = allowance
        self.version = version
        self.sessions: dict[str, Resumable] = {}

    def enter(self, session: Resumable) -> str:
        """Give a session its name, which nobody can guess."""
        name = secrets.token_hex(16)
        self.sessions[name] = session
        return name

    def leave(self, name: str) -> None:
        """Forget a session."""
        self.sessions.pop(name, None)

    async def resume(self, name: str | None, caller: Caller) -> None:
        """End the session that a caller goes on with, if it is its own and still there."""
        former = None if name is None else self.sessions.get(name)
        if former is not None and former.is_of(caller):
            await former.yield_place()
