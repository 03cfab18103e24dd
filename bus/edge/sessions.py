"""Sessions of browsers: a cookie that stands for a credential that was shown once.

Rule: kept in memory by the hash of a random id, bounded, and over with the credential or
after a stated time. Every write by one needs its CSRF token, which no other site can read.
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from bus.core.edgelimits import SESSIONS_MAX, SESSIONS_OF_CREDENTIAL_MAX
from bus.core.errors import OverloadedError
from bus.edge.proofs import Proof

_SECRET_BYTES: Final = 32
_NS_PER_S: Final = 1_000_000_000
_RETRY_S: Final = 60.0
_SHOWN_CHARS: Final = 12


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser's session. `of` is the credential that `proof` stands for."""

    of: str
    proof: Proof
    csrf: str
    expires_ns: int


class Sessions:
    """The sessions of a node. They end with the process."""

    def __init__(self, now_ns: Callable[[], int], seconds: float) -> None:
        self._now_ns = now_ns
        self._ns = int(seconds * _NS_PER_S)
        self._all: OrderedDict[str, Session] = OrderedDict()

    def begin(self, proof: Proof) -> tuple[str, Session]:
        """Begin a session; return the cookie's value and the session.

        Raises:
            OverloadedError: SESSIONS_MAX are under way.
        """
        now_ns = self._now_ns()
        self._forget(now_ns)
        mine = [key for key, one in self._all.items() if one.of == proof.credential]
        for key in mine[: max(0, len(mine) - SESSIONS_OF_CREDENTIAL_MAX + 1)]:
            del self._all[key]
        if len(self._all) >= SESSIONS_MAX:
            raise OverloadedError("the place for sessions", retry_after_s=_RETRY_S)
        expires_ns = now_ns + self._ns
        if proof.expires_ns is not None:
            expires_ns = min(expires_ns, proof.expires_ns)
        value = secrets.token_hex(_SECRET_BYTES)
        key = key_of(value)
        stands = msgspec.structs.replace(
            proof,
            credential=f"session {key[:_SHOWN_CHARS]} of {proof.credential}",
            session=key,
            expires_ns=expires_ns,
        )
        made = Session(
            of=proof.credential,
            proof=stands,
            csrf=secrets.token_hex(_SECRET_BYTES),
            expires_ns=expires_ns,
        )
        self._all[key] = made
        return value, made

    def find(self, value: str) -> Session | None:
        """Return the session of a cookie, or None if there is none or it is over."""
        found = self._all.get(key_of(value))
        return (
            found if found is not None and found.expires_ns > self._now_ns() else None
        )

    def proof(self, value: str) -> Proof | None:
        """Return what the session of a cookie stands for, or None."""
        found = self.find(value)
        return None if found is None else found.proof

    def lives(self, key: str) -> bool:
        """Tell whether the session of that key is under way."""
        found = self._all.get(key)
        return found is not None and found.expires_ns > self._now_ns()

    def end(self, value: str) -> Session | None:
        """End a session and return it."""
        return self._all.pop(key_of(value), None)

    def guards(self, value: str, csrf: str | None) -> bool:
        """Tell whether `csrf` is the token of the session of a cookie."""
        found = self.find(value)
        kept = "" if found is None else found.csrf
        given = (csrf or "").encode("utf-8", "replace")
        return hmac.compare_digest(kept.encode(), given) and found is not None

    def _forget(self, now_ns: int) -> None:
        for key in [k for k, s in self._all.items() if s.expires_ns <= now_ns]:
            del self._all[key]


def key_of(value: str) -> str:
    """Return what a session is kept by: not the cookie itself."""
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
