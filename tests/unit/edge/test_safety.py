"""Settings that would not be safe, each with what is said of it."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from bus.config import load
from bus.core.errors import ConfigurationError
from bus.edge import safety
from tests.fakes.identities import Authority

AUTHORITY = Authority()
TLS = ("http.cert_file=cert.pem", "http.key_file=key.pem")
TOKENS = "node.tokens_file=tokens.sqlite"
PUBLIC = "http.host=0.0.0.0"
CLIENTS = "http.client_ca_file=ca.pem"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate, its key in several states, an authority."""
    monkeypatch.chdir(tmp_path)
    certificate, key, _ = AUTHORITY.issue("localhost")
    loaded = serialization.load_pem_private_key(key, None)
    locked = loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    _, other, _ = AUTHORITY.issue("another")
    kept = {
        "cert.pem": (certificate, 0o644),
        "key.pem": (key, 0o600),
        "open.pem": (key, 0o640),
        "world.pem": (key, 0o604),
        "locked.pem": (locked, 0o600),
        "other.pem": (other, 0o600),
        "ca.pem": (AUTHORITY.pem, 0o644),
        "empty.pem": (b"", 0o600),
    }
    for name, (content, mode) in kept.items():
        Path(name).write_bytes(content)
        Path(name).chmod(mode)


def checked(*flags: str) -> ssl.SSLContext | None:
    """Return how TLS is spoken under these settings."""
    return safety.checked(load(environ={}, flags=flags).settings)


@pytest.mark.parametrize(
    ("flags", "setting", "told"),
    [
        ([PUBLIC, TOKENS], "http.host", "without TLS"),
        (["http.host=::", TOKENS], "http.host", "without TLS"),
        (["http.host=192.0.2.1", TOKENS], "http.host", "without TLS"),
        (["http.host=bus.example", TOKENS], "http.host", "without TLS"),
        (["http.host=localhost.example", TOKENS], "http.host", "without TLS"),
        ([PUBLIC, *TLS], "http.host", "nothing says who may come"),
        ([TLS[0]], "http.key_file", "go together"),
        ([TLS[1]], "http.cert_file", "go together"),
        ([TLS[0], "http.key_file=open.pem"], "http.key_file", "make it 0600"),
        ([TLS[0], "http.key_file=world.pem"], "http.key_file", "make it 0600"),
        ([TLS[0], "http.key_file=none.pem"], "http.key_file", "No such file"),
        ([TLS[0], "http.key_file=locked.pem"], "http.key_file", "encrypted"),
        ([TLS[0], "http.key_file=other.pem"], "http.key_file", "cert.pem"),
        ([TLS[1], "http.cert_file=none.pem"], "http.cert_file", "No such file"),
        ([TLS[1], "http.cert_file=empty.pem"], "http.cert_file", "empty.pem"),
        ([CLIENTS], "http.client_ca_file", "need TLS"),
        ([*TLS, "http.client_ca_file=none.pem"], "http.client_ca_file", "No such"),
        ([*TLS, "http.client_ca_file=key.pem"], "http.client_ca_file", "key.pem"),
        (
            ["http.client_certificates=required"],
            "http.client_certificates",
            "needs http.client_ca_file",
        ),
        (
            ['certificates=[{agent="a", name="b"}]'],
            "certificates",
            "set http.client_ca_file",
        ),
        (
            [*TLS, CLIENTS, 'certificates=[{agent="a"}]'],
            "certificates",
            "needs a uri or a name",
        ),
        (
            [*TLS, CLIENTS, 'certificates=[{agent="a", uri="b", name="c"}]'],
            "certificates",
            "and not both",
        ),
    ],
)
def test_what_is_not_safe_is_refused_with_what_to_do(
    flags: list[str], setting: str, told: str
) -> None:
    """The setting is named."""
    with pytest.raises(ConfigurationError) as caught:
        checked(*flags)
    assert setting in str(caught.value)
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["http.host=localhost"],
        ["http.host=127.1.2.3"],
        ["http.host=::1"],
    ],
)
def test_this_machine_needs_no_tls(flags: list[str]) -> None:
    """What stays on loopback is read by nobody else."""
    assert checked(*flags) is None


@pytest.mark.parametrize(
    "identity",
    [
        [TOKENS],
        [CLIENTS, 'certificates=[{agent="a", name="b"}]'],
        ['issuers=[{issuer="i", audience="a", jwks_file="k", tenants=["*"]}]'],
    ],
)
def test_a_public_address_takes_tls_and_an_identity(identity: list[str]) -> None:
    """Any of the three kinds."""
    assert checked(PUBLIC, *TLS, *identity) is not None


def test_tls_is_of_today() -> None:
    """1.2 at least; client certificates are asked for where they count."""
    plain: Any = checked(*TLS)
    assert plain.minimum_version is ssl.TLSVersion.TLSv1_2
    assert plain.verify_mode is ssl.CERT_NONE
    asked: Any = checked(*TLS, CLIENTS)
    assert asked.verify_mode is ssl.CERT_OPTIONAL
    needed: Any = checked(*TLS, CLIENTS, "http.client_certificates=required")
    assert needed.verify_mode is ssl.CERT_REQUIRED
