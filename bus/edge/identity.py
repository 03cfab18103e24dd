"""Who a peer is: every credential is proved here, and asked about every time.

Rule: a credential that is wrong, over, revoked, of a quarantined agent, or that grants
what policy data do not grant any more, lets nobody in. What was tried in vain is counted
by address and recorded; past the bound nothing that costs is done for that address.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from bus.adapters.tokens import QuarantineRow, TokenRow
from bus.core.decision import Principal
from bus.core.edgeerrors import NotFoundError, UnauthenticatedError
from bus.core.edgelimits import (
    ATTEMPTS_MAX,
    CREDENTIAL_CHARS_MAX,
    PROOFS_CACHED_MAX,
    REASON_CHARS_MAX,
)
from bus.core.errors import LimitExceededError, OverloadedError, UnknownAgentError
from bus.edge import tokens
from bus.edge.attempts import Attempts
from bus.edge.caller import Caller, Presented
from bus.edge.credentials import Parts
from bus.edge.proofs import Admitted, Proof, agreed, of_token
from bus.edge.sessions import Session
from bus.edge.tokens import Change

V = TypeVar("V")

_WRONG: Final = "the credential is not valid"


class Identity:
    """Turns what a peer shows into a caller, and ends what may not go on."""

    def __init__(self, parts: Parts) -> None:
        self._tokens = parts.tokens
        self.sessions = parts.sessions
        self._principal = parts.principal
        self._record = parts.record
        self._now_ns = parts.now_ns
        self._signed = parts.signed
        self._certified = parts.certified
        self._attempts = Attempts(parts.now_ns)
        self._proofs: dict[str, tuple[TokenRow, Proof]] = {}
        self._callers: dict[str, tuple[Proof, Principal, Admitted]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._owed: list[tuple[str, str, str]] = []  # that the record had no room for

    # Letting in.

    async def sign_in(self, shown: Presented) -> tuple[str, Session, Caller]:
        """Begin a browser's session; return its cookie's value, itself, and its caller.

        Raises as `authenticate`; `OverloadedError` also where no session has room.
        """
        caller = await self.authenticate(shown)
        value, session = self.sessions.begin(caller.proof)
        return value, session, self.admit(session.proof)

    def sign_out(self, value: str) -> None:
        """End the session of a cookie, and its connections."""
        session = self.sessions.end(value)
        if session is not None:
            self._tell(Change(frozenset({session.proof.credential})))

    async def authenticate(self, shown: Presented) -> Admitted:
        """Return who shows a credential; the first that is there counts, and no other.

        Raises:
            UnauthenticatedError: there is none, or it does not hold.
            OverloadedError: too many of this address did not hold.
            UnavailableError: it cannot be told now.
        """
        try:
            return self.admit(await self._prove(shown))
        except UnauthenticatedError as error:
            if shown.bearer or shown.session or shown.certificate:
                self._failed(shown.address, error)
            raise

    async def _prove(self, shown: Presented) -> Proof:
        if shown.bearer is not None:
            return await self._prove_bearer(shown.bearer, shown)
        if shown.session is not None:
            found = self.sessions.proof(shown.session)
            if found is None:
                raise UnauthenticatedError("the session has ended; sign in again")
            return found
        if shown.certificate is not None and self._certified is not None:
            found = await self._certified.prove(shown)
            if found is not None:
                return found
        raise UnauthenticatedError("no credential; send 'Authorization: Bearer TOKEN'")

    async def _prove_bearer(self, text: str, shown: Presented) -> Proof:
        if tokens.is_token(text):
            return await self._prove_token(text, shown.address)
        self._require_room(shown.address)
        if len(text) > CREDENTIAL_CHARS_MAX or self._signed is None:
            raise UnauthenticatedError(_WRONG)
        found = await self._signed.prove(shown)
        if found is None:
            raise UnauthenticatedError(_WRONG)
        return found

    async def _prove_token(self, text: str, address: str) -> Proof:
        token_id = tokens.id_of(text)
        row = self._tokens.known(token_id)
        if not tokens.matches(row, text):
            self._require_room(address)
            # Another process may have made it just now.
            row = row or await self._find(token_id)
            if row is None or not tokens.matches(row, text):
                raise UnauthenticatedError(_WRONG)
        assert row is not None  # noqa: S101 - `matches` has found it
        known = self._proofs.get(token_id)
        if known is not None and known[0] is row:
            return known[1]
        made = of_token(row)
        _keep(self._proofs, token_id, (row, made))
        return made

    def admit(self, proof: Proof) -> Admitted:
        """Return the caller that a proof makes now.

        Raises:
            UnauthenticatedError: it has ended, or policy data say otherwise by now.
        """
        self._require_standing(proof)
        try:
            principal = self._principal(proof.agent)
        except UnknownAgentError:
            raise UnauthenticatedError(
                f"{proof.credential} is for an agent that policy data do not name"
            ) from None
        known = self._callers.get(proof.credential)
        if known is not None and known[0] is proof and known[1] is principal:
            return known[2]
        made = agreed(proof, principal)
        _keep(self._callers, proof.credential, (proof, principal, made))
        return made

    def _require_standing(self, proof: Proof) -> None:
        """Return if the credential itself has not ended; asks nothing of policy."""
        held, agent = self._tokens.held, proof.agent
        if proof.expires_ns is not None and proof.expires_ns <= self._now_ns():
            raise UnauthenticatedError(f"{proof.credential} has expired")
        if agent in held.quarantine:
            raise UnauthenticatedError(f"agent {agent} is quarantined")
        if proof.token is not None:
            row = held.tokens.get(proof.token)
            if row is None or row.revoked_ns is not None:
                raise UnauthenticatedError(f"{proof.credential} was revoked")
        elif proof.issued_ns is not None and proof.issued_ns <= held.cut.get(agent, -1):
            raise UnauthenticatedError(f"{proof.credential} was revoked")
        if proof.session and not self.sessions.lives(proof.session):
            raise UnauthenticatedError(f"{proof.credential} has ended")

    def still(self, caller: Caller) -> None:
        """Return if a caller that was let in before would be let in as the same now.

        Raises `UnauthenticatedError` where it would not.
        """
        if not isinstance(caller, Admitted):
            raise UnauthenticatedError(f"{caller.credential} was never proved")
        now = self.admit(caller.proof)
        if (now.tenant, now.roles) != (caller.tenant, caller.roles):
            raise UnauthenticatedError(f"policy data say otherwise of {caller.agent}")

    def _require_room(self, address: str) -> None:
        wait_s = self._attempts.wait_s(address)
        if wait_s > 0:
            raise OverloadedError(
                "the count of wrong credentials of this address", retry_after_s=wait_s
            )

    def _failed(self, address: str, error: UnauthenticatedError) -> None:
        """Count an attempt in vain, and record it; past the bound that is recorded once."""
        count = self._attempts.failed(address)
        if count <= ATTEMPTS_MAX:
            more = "; no more are looked at for now" if count == ATTEMPTS_MAX else ""
            self._record("unauthenticated", "", f"from {address}: {error}{more}")

    # Keeping out.

    @property
    def quarantined(self) -> Mapping[str, QuarantineRow]:
        """The agents that no credential lets in, by name."""
        return self._tokens.held.quarantine

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` when credentials end, so that connections by them do."""
        self._listeners.append(listener)

    async def quarantine(self, agent: str, by: str, reason: str) -> None:
        """Let an agent in no more, and end its connections; it survives a restart.

        Who orders it records it. Raises `LimitExceededError` for a long reason.
        """
        if len(reason) > REASON_CHARS_MAX:
            raise LimitExceededError(
                "reason characters", actual=len(reason), allowed=REASON_CHARS_MAX
            )
        since_ns = self._now_ns()
        row = QuarantineRow(agent=agent, by=by, reason=reason, since_ns=since_ns)
        await self._tokens.quarantine(row)
        self._tell(Change(agents=frozenset({agent})))

    async def lift(self, agent: str) -> None:
        """Let an agent in again; raises `NotFoundError` if it is not quarantined."""
        if not await self._tokens.lift(agent):
            raise NotFoundError(f"agent {agent} is not quarantined")

    async def revoke_all(self, agent: str) -> list[str]:
        """End every credential that an agent was given up to now; return token ids.

        What an issuer signs later, and a certificate, let it in again: quarantine keeps
        an agent out.
        """
        ended = await self._tokens.revoke_all(agent)
        names = frozenset(map(tokens.name_of, ended))
        self._tell(Change(names, frozenset({agent})))
        return ended

    async def revoke(self, token_id: str) -> TokenRow:
        """End one token, and the connections by it.

        Raises `NotFoundError` if there is none of that id.
        """
        row = await self._tokens.revoke(token_id)
        if row is None:
            raise NotFoundError(f"no token {token_id}")
        self._tell(Change(frozenset({tokens.name_of(token_id)})))
        return row

    async def refresh(self) -> None:
        """Take over what another process changed in the tokens file, and record it.

        What has ended ends before it is recorded. Raises `AuditStalledError` while the
        record has no room: what it lacks is recorded by the next call.
        """
        before = self._tokens.held
        change = await self._tokens.refresh()
        if change != Change():
            self._tell(change)
        for token_id, row in self._tokens.held.tokens.items():
            if token_id not in before.tokens:
                self._met(row)
        for name in sorted(change.credentials):
            self._owed.append(("token_revoked", "", f"{name}; beside the node"))
        self._record_owed()

    async def _find(self, token_id: str) -> TokenRow | None:
        """Look for a token that another process may have made just now."""
        row = await self._tokens.find(token_id)
        if row is not None:
            self._met(row)
            self._record_owed()
        return row

    def _met(self, row: TokenRow) -> None:
        text = f"token {row.id} for {row.agent}, {row.scope}; beside the node, by "
        self._owed.append(("token_made", row.agent, text + row.made_by))

    def _record_owed(self) -> None:
        while self._owed:
            self._record(*self._owed[0])
            del self._owed[0]

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


def _keep(cache: dict[str, V], key: str, value: V) -> None:
    """Keep a value; past the bound the oldest goes."""
    cache.pop(key, None)
    if len(cache) >= PROOFS_CACHED_MAX:
        del cache[next(iter(cache))]
    cache[key] = value
