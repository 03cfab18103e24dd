"""The keys that bundles are signed and checked with.

Rule: a key has one algorithm, said where the key is configured. What a signature says
of its own algorithm decides nothing; it must agree.
"""

from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec

from bus.core.errors import ConfigurationError
from bus.core.policylimits import BUNDLE_KEY_BYTES_MAX, BUNDLE_RSA_BITS_MIN
from policy.bundles.extra import needed

Algorithm = Literal["RS256", "ES256", "EdDSA"]

ALGORITHMS: Final[tuple[str, ...]] = get_args(Algorithm)
KEY_ID: Final = "default"
"""What OPA's commands call a key that has been given no name."""

_CURVE: Final = "secp256r1"
_PURPOSE: Final = "signed bundles"
_ASYMMETRIC: Final = "cryptography.hazmat.primitives.asymmetric"
_KINDS: Final[dict[Algorithm, tuple[str, str]]] = {
    "RS256": ("rsa", "RSA"),
    "ES256": ("ec", "EllipticCurve"),
    "EdDSA": ("ed25519", "Ed25519"),
}


class VerificationKey(msgspec.Struct, frozen=True):
    """A public key in PEM, what it is for, and the scope its signatures must name."""

    algorithm: Algorithm
    pem: bytes
    scope: str = ""


class SigningKey(msgspec.Struct, frozen=True):
    """A private key in PEM (PKCS #8 or older), and the id that its signatures name."""

    algorithm: Algorithm
    pem: bytes
    id: str = KEY_ID
    scope: str = ""

    def __repr__(self) -> str:
        return f"SigningKey(algorithm={self.algorithm!r}, id={self.id!r})"


def algorithm_of(name: str) -> Algorithm:
    """Return the algorithm of this name.

    Raises:
        ConfigurationError: there is none, or not one that we take.
    """
    for known in get_args(Algorithm):
        if known == name:
            return known  # type: ignore[no-any-return]  # get_args returns Any
    raise ConfigurationError(
        f"algorithm {name!r}: bundles are signed with {', '.join(ALGORITHMS)}"
    )


def read_pem(path: Path) -> bytes:
    """Return the bytes of a key file.

    Raises:
        ConfigurationError: it cannot be read, or is too long to be a key.
    """
    try:
        with path.open("rb") as file:
            pem = file.read(BUNDLE_KEY_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    if len(pem) > BUNDLE_KEY_BYTES_MAX:
        raise ConfigurationError(f"{path}: longer than {BUNDLE_KEY_BYTES_MAX} bytes")
    return pem


def public(key: VerificationKey) -> Any:
    """Return the key as `cryptography` has it.

    Raises:
        ConfigurationError: no public key in PEM, or not one for its algorithm.
    """
    serialization = _serialization()
    try:
        found = serialization.load_pem_public_key(key.pem)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"a public key in PEM is needed: {error}") from None
    except _unsupported() as error:
        raise ConfigurationError(f"a key of a kind nobody knows: {error}") from None
    _check_kind(found, key.algorithm, "PublicKey")
    return found


def private(key: SigningKey) -> Any:
    """Return the key as `cryptography` has it.

    Raises:
        ConfigurationError: no unencrypted private key in PEM, or not one for its
            algorithm. The key is in no error.
    """
    serialization = _serialization()
    try:
        found = serialization.load_pem_private_key(key.pem, password=None)
    except (ValueError, TypeError, _unsupported()):
        raise ConfigurationError(
            f"signing key {key.id!r}: a private key in PEM without a password is needed"
        ) from None
    _check_kind(found, key.algorithm, "PrivateKey")
    return found


def made_for(pem: bytes, name: str) -> Algorithm:
    """Return the algorithm of a private or public key: each kind of key has one.

    Raises:
        ConfigurationError: no key in PEM, or of a kind that signs no bundles. `name` is
            how errors call it.
    """
    serialization = _serialization()
    try:
        if b"PRIVATE KEY" in pem:
            found = serialization.load_pem_private_key(pem, password=None)
        else:
            found = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, _unsupported()):
        raise ConfigurationError(
            f"{name}: no key in PEM, or one with a password"
        ) from None
    for algorithm, (module, kind) in _KINDS.items():
        classes = needed(f"{_ASYMMETRIC}.{module}", _PURPOSE)
        halves = (
            getattr(classes, kind + "PublicKey"),
            getattr(classes, kind + "PrivateKey"),
        )
        if isinstance(found, halves):
            return algorithm
    raise ConfigurationError(f"{name}: RSA, P-256 or Ed25519 is needed")


def _check_kind(found: Any, algorithm: Algorithm, half: str) -> None:
    """Return if this is a key that its algorithm may be used with."""
    module, kind = _KINDS[algorithm]
    wanted = getattr(needed(f"{_ASYMMETRIC}.{module}", _PURPOSE), kind + half)
    if not isinstance(found, wanted):
        raise ConfigurationError(
            f"{algorithm} needs a key of {kind}, and this is another"
        )
    if algorithm == "RS256" and found.key_size < BUNDLE_RSA_BITS_MIN:
        raise ConfigurationError(
            f"RS256: a key of {found.key_size} bits; {BUNDLE_RSA_BITS_MIN} at least"
        )
    if algorithm == "ES256" and found.curve.name != _CURVE:
        raise ConfigurationError(f"ES256 needs the curve P-256, not {found.curve.name}")


def _serialization() -> Any:
    return needed("cryptography.hazmat.primitives.serialization", _PURPOSE)


def _unsupported() -> type[Exception]:
    found: type[Exception] = needed(
        "cryptography.exceptions", _PURPOSE
    ).UnsupportedAlgorithm
    return found
