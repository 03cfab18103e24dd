"""The public keys of an issuer: a JWKS from a file or a URL (RFC 7517, RFC 8037).

Rule: only Ed25519 keys count. What was read is used for JWKS_KEEP_S; an unknown key id
has it read anew, but not within JWKS_AGAIN_S of the last time, whoever asks.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from bus.core.edgelimits import JWKS_AGAIN_S, JWKS_KEEP_S, JWKS_KEYS_MAX
from bus.core.errors import UnavailableError
from bus.edge.packages import needed

_KEY_BYTES: Final = 32
_NS_PER_S: Final = 1_000_000_000

Fetch = Callable[[], Awaitable[bytes]]
"""Returns the document; raises `UnavailableError` where it cannot be had."""


class _Key(msgspec.Struct, frozen=True):
    kty: str
    crv: str = ""
    x: str = ""
    kid: str = ""
    use: str = "sig"
    alg: str = "EdDSA"


class _Document(msgspec.Struct, frozen=True):
    keys: list[_Key]


_decode: Final = msgspec.json.Decoder(_Document).decode


def read(document: bytes) -> Mapping[str, Any]:
    """Return the Ed25519 keys of a JWKS by their ids; others are passed over.

    Raises:
        UnavailableError: it is no JWKS, has too many keys, one id twice, or none to use.
    """
    try:
        keys = _decode(document).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnavailableError(f"no JWKS: {error}") from None
    if len(keys) > JWKS_KEYS_MAX:
        raise UnavailableError(f"{len(keys)} keys; {JWKS_KEYS_MAX} are allowed")
    make = needed(
        "cryptography.hazmat.primitives.asymmetric.ed25519", "issuers"
    ).Ed25519PublicKey.from_public_bytes
    found: dict[str, Any] = {}
    for key in keys:
        if (key.kty, key.crv, key.use, key.alg) != ("OKP", "Ed25519", "sig", "EdDSA"):
            continue
        if key.kid in found:
            raise UnavailableError(f"two keys with the id {key.kid!r}")
        found[key.kid] = make(_point(key))
    if not found:
        raise UnavailableError("no Ed25519 key (kty OKP, crv Ed25519) in it")
    return found


def _point(key: _Key) -> bytes:
    try:
        made = base64.b64decode(key.x + "=" * (-len(key.x) % 4), b"-_", validate=True)
    except ValueError:
        made = b""
    if len(made) != _KEY_BYTES:
        raise UnavailableError(f"key {key.kid!r}: x is not 32 bytes in base64url")
    return made


class KeySet:
    """The keys of one issuer, as they were read last."""

    def __init__(self, name: str, fetch: Fetch, now_ns: Callable[[], int]) -> None:
        self._name = name
        self._fetch = fetch
        self._now_ns = now_ns
        self._keys: Mapping[str, Any] = {}
        self._read_ns: int | None = None
        self._tried_ns: int | None = None
        self._one = asyncio.Lock()

    async def key(self, key_id: str) -> Any | None:
        """Return the key of an id, or None if the issuer has none of it.

        Raises:
            UnavailableError: the keys cannot be had now.
        """
        if self._fresh() and key_id in self._keys:
            return self._keys[key_id]
        async with self._one:
            if self._may_ask() and not (self._fresh() and key_id in self._keys):
                await self._renew()
        if not self._fresh():
            raise UnavailableError(f"the keys of {self._name} cannot be had now")
        return self._keys.get(key_id)

    def holds(self, key_id: str, key: object) -> bool:
        """Tell whether a key that was used before is still the one of its id."""
        return self._fresh() and self._keys.get(key_id) is key

    async def _renew(self) -> None:
        self._tried_ns = self._now_ns()
        try:
            found = read(await self._fetch())
        except UnavailableError as error:
            if not self._fresh():
                raise UnavailableError(f"the keys of {self._name}: {error}") from error
            return  # those that are known are still good; the id is not known
        # A key that stays keeps its object, so that what was checked under it stays so.
        self._keys = {key_id: self._same(key_id, key) for key_id, key in found.items()}
        self._read_ns = self._now_ns()

    def _same(self, key_id: str, key: Any) -> Any:
        before = self._keys.get(key_id)
        if before is not None and before.public_bytes_raw() == key.public_bytes_raw():
            return before
        return key

    def _fresh(self) -> bool:
        return self._read_ns is not None and not self._past(self._read_ns, JWKS_KEEP_S)

    def _may_ask(self) -> bool:
        return self._tried_ns is None or self._past(self._tried_ns, JWKS_AGAIN_S)

    def _past(self, since_ns: int, seconds: float) -> bool:
        return self._now_ns() - since_ns >= int(seconds * _NS_PER_S)
