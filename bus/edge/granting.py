"""Making tokens: for agents that policy data name, with roles that they have.

Rule: a token never grants what its agent does not have. Its text is returned once, to be
shown, and is kept nowhere.
"""

from typing import Final

import msgspec

from bus.adapters.tokens import TokenRow
from bus.core.decision import Principal
from bus.core.edgelimits import (
    TOKEN_LABEL_CHARS_MAX,
    TOKEN_S_DEFAULT,
    TOKEN_S_MAX,
    TOKEN_S_MIN,
)
from bus.core.errors import LimitExceededError, UsageError
from bus.core.suggest import hint
from bus.core.validation import check_seconds
from bus.edge import tokens
from bus.edge.caller import Scope

_NS_PER_S: Final = 1_000_000_000


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is to be: `seconds` until it expires, `roles` it needs (None: all)."""

    scope: Scope = Scope.AGENT
    seconds: float = TOKEN_S_DEFAULT
    roles: tuple[str, ...] | None = None
    label: str = ""


def grant(
    principal: Principal, wish: Wish, *, made_by: str, now_ns: int
) -> tuple[TokenRow, str]:
    """Return the row to keep and the text to show.

    Raises:
        UsageError: a role that the agent does not have, or no time to live.
        LimitExceededError: too long a life or a label.
    """
    check_seconds("seconds", wish.seconds, TOKEN_S_MAX)
    if wish.seconds < TOKEN_S_MIN:
        raise UsageError(f"a token lives {TOKEN_S_MIN:g} s at least")
    if len(wish.label) > TOKEN_LABEL_CHARS_MAX:
        raise LimitExceededError(
            "label characters", actual=len(wish.label), allowed=TOKEN_LABEL_CHARS_MAX
        )
    if not wish.label.isprintable():
        raise UsageError("a label is printable text")
    roles = principal.roles if wish.roles is None else wish.roles
    for role in roles:
        if role not in principal.roles:
            near = hint(role, principal.roles)
            raise UsageError(f"agent {principal.id} has no role {role!r}{near}")
    minted = tokens.mint()
    row = TokenRow(
        id=minted.id,
        digest=minted.digest,
        agent=principal.id,
        tenant=principal.tenant,
        roles=tuple(dict.fromkeys(roles)),
        scope=wish.scope.value,
        label=wish.label,
        made_by=made_by,
        created_ns=now_ns,
        expires_ns=now_ns + int(wish.seconds * _NS_PER_S),
    )
    return row, minted.text
