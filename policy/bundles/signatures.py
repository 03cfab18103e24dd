"""The signature of a bundle: one JWT that lists every file with its hash.

Rule: the list and the files match exactly. A bundle is as signed as our keys say, never
as it says itself: signed without a key here, or unsigned with one, it is refused.
Source: OPA, `management-bundles`, section Signing.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec

from bus.core.errors import PolicyLoadError
from policy.bundles import documents, keys
from policy.bundles.archive import Entry
from policy.bundles.extra import needed
from policy.bundles.keys import ALGORITHMS, SigningKey, VerificationKey
from policy.bundles.paths import SIGNATURES, is_structured
from policy.forms import FormError, fit

Keys = Mapping[str, VerificationKey]
"""Key ids and keys; empty where none is configured."""

_HASH: Final = "SHA-256"
_HASHES: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "SHA-256": hashlib.sha256,
    "SHA-384": hashlib.sha384,
    "SHA-512": hashlib.sha512,
}
_PLUGINS: Final = ("", "_default")
_JWT_PARTS: Final = 3


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    signatures: list[str]
    plugin: str = ""


class FileHash(msgspec.Struct, frozen=True):
    """One line of the list that is signed; `hash` is hexadecimal."""

    name: str
    hash: str
    algorithm: str


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the JWT says. Time claims are recorded by OPA and heeded by nobody."""

    files: list[FileHash]
    keyid: str = ""
    scope: str = ""
    iss: str = ""


class Signature(msgspec.Struct, frozen=True):
    """By which key a bundle is signed. Only `verify` makes one that is to be believed."""

    key_id: str
    algorithm: str
    scope: str
    issuer: str


def sign(entries: Sequence[Entry], key: SigningKey) -> Entry:
    """Return the file that makes a signed bundle of these files.

    Raises:
        ConfigurationError: the key is not one, or the packages for it are missing.
        PolicyLoadError: a JSON or YAML file among them does not parse.
    """
    jws = _jws()
    files = [
        FileHash(entry.name, _hashed(entry, _HASH), _HASH)
        for entry in entries
        if entry.name != SIGNATURES
    ]
    claims = Claims(files, keyid=key.id, scope=key.scope)
    token = jws.encode(
        msgspec.json.encode(claims),
        keys.private(key),
        algorithm=key.algorithm,
        headers={"kid": key.id},
    )
    return Entry(SIGNATURES, msgspec.json.encode(_Document([token])))


def verify(entries: Sequence[Entry], known: Keys) -> Signature | None:
    """Return the signature, or None where neither key nor signature is there.

    Raises:
        PolicyLoadError: unsigned though there is a key, signed though there is none, a
            signature that does not hold, or a list other than the files.
        ConfigurationError: a key is not one, or the packages for it are missing.
    """
    signed = next((entry for entry in entries if entry.name == SIGNATURES), None)
    if signed is None:
        if known:
            raise PolicyLoadError("the bundle is not signed, and a key is configured")
        return None
    if not known:
        raise PolicyLoadError("the bundle is signed, and no key is configured")
    token = _token(signed)
    claimed, unproven = claimed_by(signed)
    key_id, key = _key_for(claimed.key_id, known)
    claims = _parsed(_proven(token, key))
    if claims != unproven:
        _refuse("the JWT can be read in two ways")
    if claims.scope != key.scope:
        _refuse(f"scope {claims.scope!r}, and the key is for {key.scope!r}")
    _check_list(entries, claims.files)
    return Signature(key_id, key.algorithm, claims.scope, claims.iss)


def claimed_by(signed: Entry) -> tuple[Signature, Claims]:
    """Return what a signature says of itself and the bundle; nothing of it is proven.

    Raises:
        PolicyLoadError: it cannot be read.
    """
    header, payload, _ = _token(signed).split(".")
    told = documents.parse(SIGNATURES, _unpadded(header))
    if not isinstance(told, dict):
        _refuse("the JWT's header is no object")
    algorithm, key_id = told.get("alg"), told.get("kid", "")
    if not isinstance(algorithm, str) or not isinstance(key_id, str):
        _refuse("the JWT's header names no algorithm, or a key id that is no string")
    if algorithm not in ALGORITHMS:
        _refuse(f"algorithm {algorithm!r}; {', '.join(ALGORITHMS)} are taken")
    claims = _parsed(_unpadded(payload))
    named = Signature(key_id or claims.keyid, algorithm, claims.scope, claims.iss)
    return named, claims


def _token(signed: Entry) -> str:
    try:
        found = fit(documents.parse(SIGNATURES, signed.content), _Document)
    except FormError as error:
        raise PolicyLoadError(str(error), file=SIGNATURES) from None
    if found.plugin not in _PLUGINS:
        _refuse(f"made by the plugin {found.plugin!r}, which is not here")
    if len(found.signatures) != 1:
        _refuse(f"{len(found.signatures)} JWTs; exactly one is taken")
    (token,) = found.signatures
    if token.count(".") != _JWT_PARTS - 1:
        _refuse("no JWT")
    return token


def _key_for(key_id: str, known: Keys) -> tuple[str, VerificationKey]:
    """Return the key of this id, or the only one: it decides, whatever it is called."""
    if key_id in known:
        return key_id, known[key_id]
    if len(known) == 1:
        return next(iter(known.items()))
    raise PolicyLoadError(f"signed by key {key_id!r}, which is not configured")


def _proven(token: str, key: VerificationKey) -> bytes:
    """Return the payload, if the signature holds under this key and its algorithm."""
    jws = _jws()
    jwt = needed("jwt", "signed bundles")
    try:
        payload: bytes = jws.decode_complete(
            token, keys.public(key), algorithms=[key.algorithm]
        )["payload"]
    except jwt.exceptions.InvalidAlgorithmError:
        _refuse(f"not signed with {key.algorithm}, the algorithm of its key")
    except jwt.exceptions.PyJWTError as error:
        _refuse(f"the signature does not hold: {error}")
    return payload


def _parsed(payload: bytes) -> Claims:
    try:
        return fit(documents.parse(SIGNATURES, payload), Claims)
    except FormError as error:
        raise PolicyLoadError(str(error), file=SIGNATURES) from None


def _check_list(entries: Sequence[Entry], listed: Sequence[FileHash]) -> None:
    wanted = {file.name.removeprefix("/"): file for file in listed}
    if len(wanted) != len(listed):
        _refuse("a file stands twice in the list")
    for entry in entries:
        if entry.name == SIGNATURES:
            continue
        told = wanted.pop(entry.name, None)
        if told is None:
            raise PolicyLoadError("not in the list that is signed", file=entry.name)
        if told.algorithm not in _HASHES:
            raise PolicyLoadError(
                f"hashed with {told.algorithm!r}; {', '.join(_HASHES)} are taken",
                file=entry.name,
            )
        found = _hashed(entry, told.algorithm)
        if not hmac.compare_digest(found.encode(), told.hash.lower().encode()):
            raise PolicyLoadError("not the file that was signed", file=entry.name)
    if wanted:
        missing = ", ".join(sorted(wanted)[:3])
        _refuse(f"signed, but not in the bundle: {missing}")


def _hashed(entry: Entry, algorithm: str) -> str:
    content = entry.content
    if is_structured(entry.name):
        content = documents.signed_form(entry.name, content)
    digest: str = _HASHES[algorithm](content).hexdigest()
    return digest


def _unpadded(part: str) -> bytes:
    try:
        return base64.b64decode(
            part + "=" * (-len(part) % 4), altchars=b"-_", validate=True
        )
    except ValueError:
        raise PolicyLoadError("no JWT: not base64", file=SIGNATURES) from None


def _jws() -> Any:
    needed("cryptography", "signed bundles")
    return needed("jwt.api_jws", "signed bundles").PyJWS(algorithms=list(ALGORITHMS))


def _refuse(reason: str) -> NoReturn:
    raise PolicyLoadError(reason, file=SIGNATURES)
