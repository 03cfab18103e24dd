"""Bundles, archives and keys for tests: good ones, and every kind of bad one."""

import gzip
import io
import tarfile
from functools import cache
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from policy.bundles import archive, build
from policy.bundles.archive import Entry
from policy.bundles.keys import Algorithm, SigningKey, VerificationKey
from tests.fakes import policies

AUTHZ = Entry("authz.rego", policies.ALLOW_ALL.encode())
AGENTS = Entry("data.json", msgspec.json.encode(policies.AGENTS))


def manifest(**fields: Any) -> Entry:
    """Return a manifest with these fields."""
    return Entry(".manifest", msgspec.json.encode(fields))


GOOD = (AUTHZ, AGENTS, manifest(revision="r1", roots=["assent/authz", "agents"]))


def packed(*entries: Entry) -> bytes:
    """Return an archive of these files, of the good ones where none are given."""
    return archive.write(entries or GOOD)


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    """Return a header of any kind."""
    header = tarfile.TarInfo(name)
    header.type = kind
    for field, value in fields.items():
        setattr(header, field, value)
    return header


def tarred(
    *members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT
) -> bytes:
    """Return a tar that holds these in this order, whatever they are."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=form) as tar:
        for header, content in members:
            header.size = header.size or len(content)
            tar.addfile(header, io.BytesIO(content))
    return plain.getvalue()


def gzipped(
    *members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT
) -> bytes:
    """Return the same, compressed."""
    return gzip.compress(tarred(*members, form=form), mtime=0)


@cache
def private_pem(algorithm: Algorithm, number: int = 0) -> bytes:
    """Return a private key; the same for the same number, within this process."""
    del number
    key: Any
    if algorithm == "RS256":
        key = rsa.generate_private_key(65_537, 2_048)
    elif algorithm == "ES256":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = ed25519.Ed25519PrivateKey.generate()
    return pem_of(key)


def pem_of(key: Any) -> bytes:
    """Return a private key as PEM."""
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem


def public_pem(private: bytes) -> bytes:
    """Return the public half of a private key."""
    key = serialization.load_pem_private_key(private, password=None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def pair(
    algorithm: Algorithm = "EdDSA",
    *,
    number: int = 0,
    scope: str = "",
    key_id: str = "k",
) -> tuple[SigningKey, dict[str, VerificationKey]]:
    """Return a key to sign with, and the keys to check with."""
    private = private_pem(algorithm, number)
    public = VerificationKey(algorithm, public_pem(private), scope)
    return SigningKey(algorithm, private, key_id, scope), {key_id: public}


def signed(*entries: Entry, key: SigningKey | None = None) -> bytes:
    """Return a signed archive of these files, by the first Ed25519 key by default."""
    return build.sign(packed(*entries), key or pair()[0])
