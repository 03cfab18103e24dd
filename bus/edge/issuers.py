"""Tokens that an issuer signs for agents: JWTs, Ed25519 and nothing else (RFC 7519, 8037).

Rule: the algorithm is never taken from the token. A token is for this node's audience,
short-lived, of a tenant and a scope that its issuer may speak for; all of it must be said.
"""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bus.config.edge import IssuerSettings
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.edgelimits import JWT_LEEWAY_S, PROOFS_CACHED_MAX
from bus.core.errors import ConfigurationError
from bus.edge.caller import Presented, Scope
from bus.edge.keysets import Fetch, KeySet
from bus.edge.packages import needed
from bus.edge.proofs import Proof

_ALGORITHM: Final = "EdDSA"
_ANY: Final = "*"
_PARTS: Final = 3
_NS_PER_S: Final = 1_000_000_000
_NAMED_CHARS: Final = 12
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str = ""
    crit: msgspec.Raw | None = None
    b64: msgspec.Raw | None = None


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    iat: float
    tenant: str
    nbf: float = 0.0
    roles: list[str] = []
    scope: Scope = Scope.AGENT


_header: Final = msgspec.json.Decoder(_Header).decode
_claims: Final = msgspec.json.Decoder(_Claims).decode


class _Issuer(msgspec.Struct, frozen=True):
    told: IssuerSettings
    keys: KeySet


class _Known(msgspec.Struct, frozen=True):
    """A token that was checked: by whom it is, under which key, what it says."""

    issuer: _Issuer
    key_id: str
    key: Any
    proof: Proof


class Issuers:
    """Proves JWTs of the issuers that the settings name.

    Raises:
        ConfigurationError: an issuer that cannot be honoured, or packages are missing.
    """

    def __init__(
        self,
        told: tuple[IssuerSettings, ...],
        fetch_of: Callable[[IssuerSettings], Fetch],
        now_ns: Callable[[], int],
    ) -> None:
        needed("cryptography", "issuers")
        jws = needed("jwt.api_jws", "issuers")
        self._jws = jws.PyJWS(algorithms=[_ALGORITHM])
        self._wrong: type[Exception] = needed("jwt.exceptions", "issuers").PyJWTError
        self._now_ns = now_ns
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._issuers: dict[str, _Issuer] = {}
        for one in told:
            _check(one)
            if one.issuer in self._issuers:
                raise ConfigurationError(f"issuers: {one.issuer} is there twice")
            keys = KeySet(one.issuer, fetch_of(one), now_ns)
            self._issuers[one.issuer] = _Issuer(one, keys)

    async def prove(self, shown: Presented) -> Proof | None:
        """Return what a JWT says; None for what is none.

        Raises:
            UnauthenticatedError: it does not hold.
            UnavailableError: its issuer's keys cannot be had now.
        """
        text = shown.bearer or ""
        if text.count(".") != _PARTS - 1:
            return None
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        if known is not None and known.issuer.keys.holds(known.key_id, known.key):
            self._known.move_to_end(digest)
            return known.proof
        made = await self._prove(text, f"jwt {digest.hex()[:_NAMED_CHARS]}")
        self._known[digest] = made
        if len(self._known) > PROOFS_CACHED_MAX:
            self._known.popitem(last=False)
        return made.proof

    async def _prove(self, text: str, name: str) -> _Known:
        try:
            header, claims = _unproved(text)
        except _UNREADABLE:
            raise UnauthenticatedError("the JWT cannot be read") from None
        if (
            header.alg != _ALGORITHM
            or header.crit is not None
            or header.b64 is not None
        ):
            raise UnauthenticatedError(
                "the JWT is not signed by EdDSA and nothing else"
            )
        issuer = self._issuers.get(claims.iss)
        if issuer is None:
            raise UnauthenticatedError("the JWT is of an issuer that is not known here")
        key = await issuer.keys.key(header.kid)
        if key is None:
            raise UnauthenticatedError(f"{claims.iss} has no key of that id")
        try:
            self._jws.decode(text, key, algorithms=[_ALGORITHM])
        except self._wrong:
            raise UnauthenticatedError("the JWT's signature is wrong") from None
        self._check(issuer.told, claims)
        proof = Proof(
            credential=f"{name} of {claims.iss}",
            agent=claims.sub,
            tenant=claims.tenant,
            roles=tuple(claims.roles),
            scope=claims.scope,
            issued_ns=int(claims.iat * _NS_PER_S),
            expires_ns=int(claims.exp * _NS_PER_S),
        )
        return _Known(issuer, header.kid, key, proof)

    def _check(self, told: IssuerSettings, claims: _Claims) -> None:
        """Return if the claims hold here and now; raise `UnauthenticatedError`."""
        now_s = self._now_ns() / _NS_PER_S
        late = now_s + JWT_LEEWAY_S
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        wrong = {
            "is for another audience": told.audience not in audiences,
            "has expired": claims.exp <= now_s,
            "is not valid yet": claims.nbf > late or claims.iat > late,
            f"lives longer than {told.max_seconds:g} s": (
                claims.exp - claims.iat > told.max_seconds
            ),
            f"is of tenant {claims.tenant}, for which its issuer does not speak": (
                _ANY not in told.tenants and claims.tenant not in told.tenants
            ),
            f"is of scope {claims.scope.value}, which its issuer may not give": (
                not Scope(told.scope).covers(claims.scope)
            ),
        }
        for text, holds in wrong.items():
            if holds:
                raise UnauthenticatedError(f"the JWT {text}")


def _unproved(text: str) -> tuple[_Header, _Claims]:
    """Return what a JWT says of itself: good for finding the key, and nothing else."""
    header, claims, _ = text.split(".")
    return _header(_part(header)), _claims(_part(claims))


def _part(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)


def _check(told: IssuerSettings) -> None:
    if (told.jwks_file is None) == (told.jwks_url is None):
        raise ConfigurationError(
            f"issuers: {told.issuer} needs a jwks_file or a jwks_url, and not both"
        )
    if not told.tenants:
        raise ConfigurationError(
            f"issuers: {told.issuer} speaks for no tenant; name them in tenants, or "
            f'["{_ANY}"] for all'
        )
    if told.ca_file is not None and told.jwks_url is None:
        raise ConfigurationError(f"issuers: {told.issuer}: ca_file is for a jwks_url")
