"""Tokens over HTTP: who has which, new ones, and the end of one. For admins.

Rule: the text of a token is in the answer that makes it and nowhere else. What is made
and ended is recorded with who did it.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bus.adapters.tokens import TokenRow
from bus.core.decision import Principal
from bus.core.edgelimits import (
    CURSOR_CHARS_MAX,
    PAGE_ITEMS,
    PAGE_ITEMS_MAX,
    TOKEN_LABEL_CHARS_MAX,
    TOKEN_ROLES_MAX,
    TOKEN_S_DEFAULT,
    TOKEN_S_MAX,
    TOKEN_S_MIN,
)
from bus.core.limits import NAME_BYTES_MAX
from bus.edge.caller import Caller, Scope
from bus.edge.gate import Gate
from bus.edge.granting import Wish, grant
from bus.edge.identity import Identity
from bus.edge.operations import Asks, Operation, Page
from bus.edge.operator.told import rfc3339
from bus.edge.tokens import Tokens

Name = Annotated[str, Meta(min_length=1, max_length=NAME_BYTES_MAX)]
State = Literal["valid", "expired", "revoked"]


class ListTokens(Asks, frozen=True, kw_only=True):
    """Which tokens: all, or an agent's."""

    agent: Name | None = None
    after: Annotated[str, Meta(max_length=CURSOR_CHARS_MAX)] | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE_ITEMS_MAX)] = PAGE_ITEMS


class MakeToken(Asks, frozen=True, kw_only=True):
    """The token to make. Without `roles` it needs all that its agent has now."""

    agent: Name
    scope: Scope = Scope.AGENT
    seconds: Annotated[float, Meta(ge=TOKEN_S_MIN, le=TOKEN_S_MAX)] = TOKEN_S_DEFAULT
    roles: Annotated[tuple[Name, ...], Meta(max_length=TOKEN_ROLES_MAX)] | None = None
    label: Annotated[str, Meta(max_length=TOKEN_LABEL_CHARS_MAX)] = ""


class EndToken(Asks, frozen=True, kw_only=True):
    """The token to end."""

    id: Name


class TokenTold(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without what is secret of it. Times are RFC 3339 in UTC."""

    id: str
    agent: str
    tenant: str
    roles: tuple[str, ...]
    scope: Scope
    state: State
    label: str
    made_by: str
    created: str
    expires: str | None
    revoked: str | None


class TokenMade(TokenTold, frozen=True, kw_only=True):
    """A new token with its text, which is told this once."""

    token: str


class TokenPage(Page, frozen=True, kw_only=True):
    """Tokens by their ids."""

    items: tuple[TokenTold, ...]


def operations(
    gate: Gate, identity: Identity, tokens: Tokens, *, now_ns: Callable[[], int]
) -> tuple[Operation, ...]:
    """Return the operations of tokens."""
    desk = _Desk(gate, identity, tokens, now_ns)
    return (
        Operation(
            name="list_tokens",
            method="GET",
            path="/v1/tokens",
            summary="Tokens of this node, without their secrets",
            scope=Scope.ADMIN,
            asks=ListTokens,
            answers=TokenPage,
            run=desk.list,
        ),
        Operation(
            name="make_token",
            method="POST",
            path="/v1/tokens",
            summary="Make a token for an agent; its text is told this once",
            scope=Scope.ADMIN,
            asks=MakeToken,
            answers=TokenMade,
            run=desk.make,
            status=201,
            writes=True,
            told_once=True,
            errors=("unknown_agent", "usage", "limit_exceeded"),
        ),
        Operation(
            name="revoke_token",
            method="DELETE",
            path="/v1/tokens/{id}",
            summary="End a token at once, and the connections by it",
            scope=Scope.ADMIN,
            asks=EndToken,
            answers=TokenTold,
            run=desk.end,
            writes=True,
            errors=("not_found",),
        ),
    )


def told(row: TokenRow, now_ns: int) -> TokenTold:
    """Return what is told of a token."""
    state: State = "valid"
    if row.revoked_ns is not None:
        state = "revoked"
    elif row.expires_ns is not None and row.expires_ns <= now_ns:
        state = "expired"
    return TokenTold(
        id=row.id,
        agent=row.agent,
        tenant=row.tenant,
        roles=row.roles,
        scope=Scope(row.scope),
        state=state,
        label=row.label,
        made_by=row.made_by,
        created=rfc3339(row.created_ns),
        expires=None if row.expires_ns is None else rfc3339(row.expires_ns),
        revoked=None if row.revoked_ns is None else rfc3339(row.revoked_ns),
    )


def made(row: TokenRow, text: str, now_ns: int) -> TokenMade:
    """Return what is told of a new token."""
    return TokenMade(**msgspec.structs.asdict(told(row, now_ns)), token=text)


class _Desk:
    def __init__(
        self,
        gate: Gate,
        identity: Identity,
        tokens: Tokens,
        now_ns: Callable[[], int],
    ) -> None:
        self._gate = gate
        self._identity = identity
        self._tokens = tokens
        self._now_ns = now_ns

    def _principal(self, agent: str) -> Principal:
        found: Principal = self._gate.bus.authorizer.principal(agent)
        return found

    async def list(self, caller: Caller, asked: ListTokens) -> TokenPage:
        del caller  # an admin's scope is for every tenant
        rows = self._tokens.held.tokens
        chosen = sorted(
            token_id
            for token_id, row in rows.items()
            if asked.agent in {None, row.agent} and token_id > (asked.after or "")
        )
        shown = chosen[: asked.limit]
        now_ns = self._now_ns()
        return TokenPage(
            items=tuple(told(rows[token_id], now_ns) for token_id in shown),
            next=shown[-1] if len(chosen) > len(shown) else None,
        )

    async def make(self, caller: Caller, asked: MakeToken) -> TokenMade:
        wish = Wish(
            scope=asked.scope,
            seconds=asked.seconds,
            roles=asked.roles,
            label=asked.label,
        )
        now_ns = self._now_ns()
        row, text = grant(
            self._principal(asked.agent), wish, made_by=caller.agent, now_ns=now_ns
        )
        await self._tokens.add(row)
        self._gate.note(
            caller, "token_made", "", f"token {row.id} for {row.agent}, {row.scope}"
        )
        return made(row, text, now_ns)

    async def end(self, caller: Caller, asked: EndToken) -> TokenTold:
        row = await self._identity.revoke(asked.id)
        self._gate.note(caller, "token_revoked", "", f"token {row.id} of {row.agent}")
        return told(row, self._now_ns())
