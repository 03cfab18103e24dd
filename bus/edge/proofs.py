"""What a credential was found to say, before policy data are asked about it.

Rule: a proof is made by checking a hash, a signature or a certificate. It says what was
granted once; whether that still stands is asked of policy data and of the tokens file
every time.
"""

import msgspec

from bus.adapters.tokens import TokenRow
from bus.core.decision import Principal
from bus.core.edgeerrors import UnauthenticatedError
from bus.edge.caller import Caller, Scope
from bus.edge.tokens import name_of


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A credential that holds.

    `credential` names it in the record, `token` is its id where it is a token of this
    node, `session` the key of the browser's session that stands for it. `tenant` and `roles` are what policy data must still give the agent; None where
    the credential says nothing of it. `issued_ns` and `expires_ns` are nanoseconds since
    the epoch; what was issued before the agent's credentials were cut off is void.
    """

    credential: str
    agent: str
    tenant: str | None = None
    roles: tuple[str, ...] = ()
    scope: Scope = Scope.AGENT
    issued_ns: int | None = None
    expires_ns: int | None = None
    token: str | None = None
    session: str = ""


class Admitted(Caller, frozen=True, kw_only=True):
    """A caller with what let it in, so that it can be asked about again."""

    proof: Proof


def of_token(row: TokenRow) -> Proof:
    """Return what a token of this node says."""
    return Proof(
        credential=name_of(row.id),
        agent=row.agent,
        tenant=row.tenant,
        roles=row.roles,
        scope=Scope(row.scope),
        issued_ns=row.created_ns,
        expires_ns=row.expires_ns,
        token=row.id,
    )


def agreed(proof: Proof, principal: Principal) -> Admitted:
    """Return the caller, if policy data still give the agent what the proof says.

    Raises `UnauthenticatedError` if they do not.
    """
    if proof.tenant is not None and proof.tenant != principal.tenant:
        raise UnauthenticatedError(
            f"{proof.credential} is for another tenant than agent {proof.agent}'s"
        )
    missing = [role for role in proof.roles if role not in principal.roles]
    if missing:
        raise UnauthenticatedError(
            f"{proof.credential} grants role {missing[0]!r}, which agent {proof.agent} "
            "does not have any more"
        )
    return Admitted(
        agent=proof.agent,
        tenant=principal.tenant,
        roles=principal.roles,
        scope=proof.scope,
        credential=proof.credential,
        expires_ns=proof.expires_ns,
        proof=proof,
    )
