"""Who is behind a request, as its credential says, and what a credential is good for.

Rule: made by `bus.edge.identity` alone. A door never makes one from what a peer says
of itself.
"""

import enum

import msgspec


class Scope(enum.StrEnum):
    """What a credential is good for beside acting as its agent; each has the ones before.

    `AGENT` acts as the agent; `OPERATOR` also sees and settles what is of its tenant in
    the console; `ADMIN` does so for every tenant, makes and revokes credentials, and puts
    policy in force.
    """

    AGENT = "agent"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: "Scope") -> bool:
        """Tell whether this scope is enough where `needed` is asked for."""
        order = tuple(Scope)
        return order.index(self) >= order.index(needed)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated principal.

    `agent`, `tenant` and `roles` are those that policy data give the agent; `credential`
    names the token, key or certificate in the audit record, and is no secret.
    `expires_ns` is when the credential ends, in nanoseconds since the epoch.
    """

    agent: str
    tenant: str
    roles: tuple[str, ...] = ()
    scope: Scope = Scope.AGENT
    credential: str = ""
    expires_ns: int | None = None

    def sees(self, tenant: str) -> bool:
        """Tell whether what is of `tenant` exists for this caller."""
        return self.tenant == tenant or self.scope is Scope.ADMIN


class Presented(msgspec.Struct, frozen=True, kw_only=True):
    """What a peer shows to be let in. `certificate` is DER that TLS has verified."""

    address: str
    bearer: str | None = None
    session: str | None = None
    certificate: bytes | None = None
