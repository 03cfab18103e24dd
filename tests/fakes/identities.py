"""An identity for tests: its file in memory, its clock standing still, its record a list."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from bus.adapters.tokens import TokenFile, TokenRow
from bus.config.edge import CertificateSettings, IssuerSettings
from bus.core.decision import Principal
from bus.core.errors import AuditStalledError, UnknownAgentError
from bus.edge import tokens
from bus.edge.caller import Caller, Presented
from bus.edge.certificates import Certificates
from bus.edge.credentials import Parts
from bus.edge.identity import Identity
from bus.edge.issuers import Issuers
from bus.edge.keysets import Fetch
from bus.edge.sessions import Sessions
from bus.edge.tokens import Tokens
from bus.testing import FakeClock

ADDRESS = "192.0.2.7"
ISSUER = "https://issuer.example"
AUDIENCE = "assent"
SESSION_S = 3_600.0


class Desk:
    """An identity, and everything around it that a test changes or looks at."""

    def __init__(
        self,
        issuers: tuple[IssuerSettings, ...] = (),
        certificates: tuple[CertificateSettings, ...] = (),
        fetch: Any = None,
        file: Path | None = None,
    ) -> None:
        """Take issuers with what fetches their keys: one for all, or by issuer."""
        self.clock = FakeClock()
        self.file = TokenFile(file)
        self.tokens = Tokens(self.file, self.clock.now_ns)
        self.sessions = Sessions(self.clock.now_ns, SESSION_S)
        self.agents = {
            "planner": Principal("planner", "acme", ("plan", "write")),
            "worker": Principal("worker", "acme", ("work",)),
        }
        self.record: list[tuple[str, str, str]] = []
        self.full = False  # whether the record has no room
        now_ns = self.clock.now_ns
        self.identity = Identity(
            Parts(
                tokens=self.tokens,
                sessions=self.sessions,
                principal=self._principal,
                record=self._recorded,
                now_ns=now_ns,
                signed=(
                    Issuers(issuers, self._fetch_of(fetch), now_ns) if issuers else None
                ),
                certified=Certificates(certificates) if certificates else None,
            )
        )

    def _fetch_of(self, fetch: Any) -> Callable[[IssuerSettings], Fetch]:
        """Return what gives each issuer its document: of all, or by name."""
        if isinstance(fetch, dict):
            return lambda one: fetch[one.issuer]
        return lambda _: fetch

    def _recorded(self, *told: str) -> None:
        if self.full:
            raise AuditStalledError("the audit record has no room")
        self.record.append((told[0], told[1], told[2]))

    def _principal(self, agent: str) -> Principal:
        try:
            return self.agents[agent]
        except KeyError:
            raise UnknownAgentError(agent) from None

    def row(self, agent: str = "planner", **changes: Any) -> tuple[TokenRow, str]:
        """Return a token's row and its text; nothing is kept of it."""
        minted = tokens.mint()
        principal = self.agents[agent]
        row = TokenRow(
            id=minted.id,
            digest=minted.digest,
            agent=agent,
            tenant=principal.tenant,
            roles=principal.roles,
            scope="agent",
            label="",
            made_by="a test",
            created_ns=self.clock.now_ns(),
        )
        return msgspec.structs.replace(row, **changes), minted.text

    async def token(self, agent: str = "planner", **changes: Any) -> tuple[str, str]:
        """Keep a token; return its id and its text."""
        row, text = self.row(agent, **changes)
        await self.tokens.add(row)
        return row.id, text

    async def ask(self, bearer: str | None = None, **shown: Any) -> Caller:
        """Show a credential."""
        told = Presented(**{"address": ADDRESS, "bearer": bearer, **shown})
        return await self.identity.authenticate(told)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.step(self.clock.now_ns() + int(seconds * 1e9))

    @property
    def now_s(self) -> int:
        """Seconds since the epoch."""
        return self.clock.now_ns() // 1_000_000_000


class Signer:
    """An issuer's key, and what it signs."""

    def __init__(self, key_id: str = "k1") -> None:
        self.key = Ed25519PrivateKey.generate()
        self.key_id = key_id

    @property
    def jwk(self) -> dict[str, str]:
        """The public key as a JWK."""
        raw = self.key.public_key().public_bytes_raw()
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "kid": self.key_id, "x": x}

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        """Return a JWT of these claims."""
        told = {"kid": self.key_id, **headers}
        return jwt.encode(claims, self.key, algorithm="EdDSA", headers=told)


def jwks(*signers: Signer) -> bytes:
    """Return the document with the signers' keys."""
    return msgspec.json.encode({"keys": [signer.jwk for signer in signers]})


def claims(now_s: int, **changes: Any) -> dict[str, Any]:
    """Return claims that hold; None removes one."""
    made = {
        "iss": ISSUER,
        "sub": "planner",
        "aud": AUDIENCE,
        "iat": now_s,
        "nbf": now_s,
        "exp": now_s + 600,
        "tenant": "acme",
        "roles": ["plan"],
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


class Authority:
    """A certificate authority of a test's own."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's")])
        self.certificate = (
            _builder(self.name, self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()),
                critical=False,
            )
            .add_extension(_USE_OF_AUTHORITY, critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def issue(self, name: str, *names: x509.GeneralName) -> tuple[bytes, bytes, bytes]:
        """Return a certificate as PEM, its key as PEM, and the certificate as DER."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, self.name, key).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
            critical=False,
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(names), critical=False
            )
        made = builder.sign(self.key, hashes.SHA256())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        encoding = serialization.Encoding
        return made.public_bytes(encoding.PEM), pem, made.public_bytes(encoding.DER)

    @property
    def pem(self) -> bytes:
        """The authority's own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)


_USE_OF_AUTHORITY = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
BEGUN = datetime(2020, 1, 1, tzinfo=UTC)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGUN)
        .not_valid_after(BEGUN + timedelta(days=100 * 365))
    )
