"""Bearer tokens: made of 256 random bits, known here by their hashes only.

Rule: a token is looked up by its public id and compared in constant time by its hash.
What the file says is kept in memory, so that a check costs no read; what another process
changes there is taken over within TOKENS_WATCH_S, and what is not known is looked for.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from bus.adapters.tokens import Held, QuarantineRow, TokenFile, TokenRow
from bus.edge.caller import Scope

PREFIX: Final = "assent_"
_ID_CHARS: Final = 16
_SECRET_BYTES: Final = 32
_SECRET_AT: Final = len(PREFIX) + _ID_CHARS + 1
_FORM: Final = re.compile(r"assent_[0-9a-f]{16}_[0-9a-f]{64}")
_NOBODY: Final = bytes(32)


class Change(msgspec.Struct, frozen=True):
    """What ended: credentials by name, and agents that are let in no more as before."""

    credentials: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()


class Minted(msgspec.Struct, frozen=True):
    """A new token: `text` is shown once and kept nowhere."""

    id: str
    text: str
    digest: bytes


def mint() -> Minted:
    """Make a token."""
    token_id = secrets.token_hex(_ID_CHARS // 2)
    text = f"{PREFIX}{token_id}_{secrets.token_hex(_SECRET_BYTES)}"
    return Minted(token_id, text, digest_of(text))


def is_token(text: str) -> bool:
    """Tell whether a credential has the form of a token."""
    return _FORM.fullmatch(text) is not None


def id_of(text: str) -> str:
    """Return the public part of a text that has the form of a token."""
    return text[len(PREFIX) : _SECRET_AT - 1]


def name_of(token_id: str) -> str:
    """Return what a token is called in records."""
    return f"token {token_id}"


def digest_of(text: str) -> bytes:
    """Return what is kept of a token.

    SHA-256 is enough: what is hashed has 256 random bits, so there is nothing to guess
    that a slow hash would make dearer.
    """
    return hashlib.sha256(text.encode()).digest()


def matches(row: TokenRow | None, text: str) -> bool:
    """Tell whether `text` is the token of `row`; as slow where there is no row."""
    kept = _NOBODY if row is None else row.digest
    return hmac.compare_digest(kept, digest_of(text)) and row is not None


class Tokens:
    """The tokens file of a node, as it stands, in memory."""

    def __init__(self, file: TokenFile, now_ns: Callable[[], int]) -> None:
        self._file = file
        self._now_ns = now_ns
        self._version = file.version()
        self.held: Held = file.read()
        self._one = (
            asyncio.Lock()
        )  # what is read never undoes what is written meanwhile

    def scope_of(self, agent: str) -> Scope:
        """Return the widest scope of an agent's tokens that are good now."""
        now_ns, widest = self._now_ns(), Scope.AGENT
        for row in self.held.tokens.values():
            lasts = row.expires_ns is None or row.expires_ns > now_ns
            if row.agent == agent and row.revoked_ns is None and lasts:
                held = Scope(row.scope)
                widest = held if held.covers(widest) else widest
        return widest

    def known(self, token_id: str) -> TokenRow | None:
        """Return a token by its id if it is known in memory."""
        return self.held.tokens.get(token_id)

    async def find(self, token_id: str) -> TokenRow | None:
        """Return a token by its id; asks the file for what another process has made."""
        async with self._one:
            row = await asyncio.to_thread(self._file.token, token_id)
            if row is not None:
                self.held.tokens[token_id] = row
        return row

    async def add(self, row: TokenRow, *, first: bool = False) -> bool:
        """Do as `TokenFile.add`, and know the token at once."""
        async with self._one:
            added = await asyncio.to_thread(self._file.add, row, first=first)
            if added:
                self.held.tokens[row.id] = row
        return added

    async def revoke(self, token_id: str) -> TokenRow | None:
        """End a token at once, and return it; None if there is none of that id."""
        async with self._one:
            row = await asyncio.to_thread(self._file.revoke, token_id, self._now_ns())
            if row is not None:
                self.held.tokens[token_id] = row
        return row

    async def revoke_all(self, agent: str) -> list[str]:
        """End all credentials that were given to an agent up to now; return token ids."""
        async with self._one:
            now_ns = self._now_ns()
            ended = await asyncio.to_thread(self._file.revoke_all, agent, now_ns)
            self.held.cut[agent] = now_ns
            for token_id in ended:
                row = self.held.tokens.get(token_id)
                if row is not None:
                    self.held.tokens[token_id] = msgspec.structs.replace(
                        row, revoked_ns=now_ns
                    )
        return ended

    async def quarantine(self, row: QuarantineRow) -> None:
        """Let an agent in no more."""
        async with self._one:
            await asyncio.to_thread(self._file.quarantine, row)
            self.held.quarantine[row.agent] = row

    async def lift(self, agent: str) -> bool:
        """Let an agent in again; tell whether it was quarantined."""
        async with self._one:
            lifted = await asyncio.to_thread(self._file.lift, agent)
            self.held.quarantine.pop(agent, None)
        return lifted

    async def refresh(self) -> Change:
        """Take over what another process changed; return what has ended by it."""
        async with self._one:
            version = await asyncio.to_thread(self._file.version)
            if version == self._version:
                return Change()
            before, now = self.held, await asyncio.to_thread(self._file.read)
            self._version, self.held = version, now
        ended = {
            name_of(token_id)
            for token_id, row in before.tokens.items()
            if row.revoked_ns is None and _is_over(now.tokens.get(token_id))
        }
        agents = now.quarantine.keys() - before.quarantine.keys()
        agents |= {a for a, at_ns in now.cut.items() if at_ns != before.cut.get(a)}
        return Change(frozenset(ended), frozenset(agents))

    async def close(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._file.close)


def _is_over(row: TokenRow | None) -> bool:
    return row is None or row.revoked_ns is not None
