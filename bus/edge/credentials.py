"""What identity is made of: what is kept, who is asked, and who proves which credential.

Rule: a prover says what a credential says, and never whether it still stands.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from bus.core.decision import Principal
from bus.edge.caller import Presented
from bus.edge.proofs import Proof
from bus.edge.sessions import Sessions
from bus.edge.tokens import Tokens

Record = Callable[[str, str, str], None]
"""Records an event of identity: its name, the agent or "", and a text."""


class Prover(Protocol):
    """Proves credentials of one kind."""

    async def prove(self, shown: Presented) -> Proof | None:
        """Return what the credential says, or None if none of this kind is shown.

        Raises `UnauthenticatedError` for one that does not hold, `UnavailableError`
        where it cannot be told now.
        """


class Parts(msgspec.Struct, frozen=True):
    """What identity is made of."""

    tokens: Tokens
    sessions: Sessions
    principal: Callable[[str], Principal]
    record: Record
    now_ns: Callable[[], int]
    signed: Prover | None = None
    certified: Prover | None = None
