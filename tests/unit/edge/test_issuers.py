"""Tokens of issuers: what is checked of a JWT, and how an issuer's keys are had."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bus.config.edge import IssuerSettings
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.edgelimits import (
    JWKS_AGAIN_S,
    JWKS_BYTES_MAX,
    JWKS_KEEP_S,
    JWKS_KEYS_MAX,
)
from bus.core.errors import ConfigurationError, UnavailableError
from bus.edge import issuers as module, keysets
from bus.edge.caller import Scope
from bus.edge.http.jwks import fetch_of
from bus.edge.issuers import Issuers
from bus.edge.packages import needed
from bus.testing import FakeClock
from tests.fakes.identities import AUDIENCE, ISSUER, Desk, Signer, claims, jwks

TOLD = IssuerSettings(
    issuer=ISSUER,
    audience=AUDIENCE,
    jwks_file=Path("keys.json"),
    tenants=("acme",),
    scope="operator",
)


class Keys:
    """An issuer's document, and how often it was asked for."""

    def __init__(self, *signers: Signer) -> None:
        self.document: bytes | None = jwks(*signers)
        self.asked = 0

    async def __call__(self) -> bytes:
        """Return the document."""
        self.asked += 1
        await asyncio.sleep(0)
        if self.document is None:
            raise UnavailableError("nobody answers")
        return self.document


@pytest.fixture
def signer() -> Signer:
    """An issuer's key."""
    return Signer()


@pytest.fixture
def keys(signer: Signer) -> Keys:
    """The issuer's document."""
    return Keys(signer)


@pytest.fixture
def desk(keys: Keys) -> Desk:
    """An identity that knows one issuer."""
    return Desk(issuers=(TOLD,), fetch=keys)


async def test_a_jwt_is_its_agent(desk: Desk, signer: Signer, keys: Keys) -> None:
    """With its scope and its end; the second time nothing is checked anew."""
    text = signer.sign(claims(desk.now_s, scope="operator"))
    caller = await desk.ask(text)
    assert (caller.agent, caller.tenant) == ("planner", "acme")
    assert caller.scope is Scope.OPERATOR
    assert caller.expires_ns == (desk.now_s + 600) * 10**9
    assert caller.credential.endswith(f" of {ISSUER}")
    assert await desk.ask(text) is caller
    assert keys.asked == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"aud": "another"}, "another audience"),
        ({"aud": []}, "another audience"),
        ({"aud": None}, "cannot be read"),
        ({"iss": "https://evil.example"}, "not known here"),
        ({"iss": None}, "cannot be read"),
        ({"sub": None}, "cannot be read"),
        ({"sub": "nobody"}, "policy data do not name"),
        ({"tenant": None}, "cannot be read"),
        ({"tenant": "globex"}, "does not speak"),
        ({"roles": ["judge"]}, "role 'judge'"),
        ({"roles": "plan"}, "cannot be read"),
        ({"scope": "admin"}, "may not give"),
        ({"scope": "root"}, "cannot be read"),
        ({"exp": None}, "cannot be read"),
        ({"exp": "9999999999"}, "cannot be read"),
        ({"iat": None}, "cannot be read"),
        ({"exp": 0}, "has expired"),
        ({"exp": 10**12}, "lives longer"),
        ({"iat": 10**12, "exp": 10**12 + 1}, "not valid yet"),
        ({"nbf": 10**12}, "not valid yet"),
    ],
)
async def test_a_jwt_holds_only_if_all_of_it_does(
    desk: Desk, signer: Signer, changes: dict[str, Any], told: str
) -> None:
    """Each claim is needed, has one form, and is checked."""
    with pytest.raises(UnauthenticatedError, match=told):
        await desk.ask(signer.sign(claims(desk.now_s, **changes)))
    assert (await desk.ask(signer.sign(claims(desk.now_s)))).agent == "planner"


async def test_a_jwt_ends_on_time_though_it_is_kept(desk: Desk, signer: Signer) -> None:
    """What was checked once is not good for ever, so a replayed one is refused."""
    text = signer.sign(claims(desk.now_s, exp=desk.now_s + 2))
    caller = await desk.ask(text)
    desk.advance(2)
    with pytest.raises(UnauthenticatedError, match="has expired"):
        await desk.ask(text)
    with pytest.raises(UnauthenticatedError, match="has expired"):
        desk.identity.still(caller)


async def test_jwts_up_to_now_can_be_revoked(desk: Desk, signer: Signer) -> None:
    """Those that the issuer signs later hold."""
    text = signer.sign(claims(desk.now_s))
    await desk.ask(text)
    await desk.identity.revoke_all("planner")
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await desk.ask(text)
    desk.advance(1)
    again = signer.sign(claims(desk.now_s))
    assert (await desk.ask(again)).agent == "planner"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _raw(header: dict[str, Any], said: dict[str, Any], signature: bytes = b"") -> str:
    parts = (msgspec.json.encode(header), msgspec.json.encode(said), signature)
    return ".".join(map(_b64, parts))


def _by_hand(signer: Signer, said: dict[str, Any], more: dict[str, Any]) -> str:
    """Sign what no library would."""
    text = _raw({"alg": "EdDSA", "kid": "k1", **more}, said)[:-1]
    return f"{text}.{_b64(signer.key.sign(text.encode()))}"


def _of_rsa(said: dict[str, Any]) -> str:
    key = rsa.generate_private_key(65537, 2048)
    return jwt.encode(said, key, algorithm="RS256", headers={"kid": "k1"})


def _as_secret(signer: Signer, said: dict[str, Any]) -> str:
    """Return a token that is signed by HMAC with the public key as the secret."""
    public = signer.key.public_key().public_bytes_raw()
    return jwt.encode(said, public, algorithm="HS256", headers={"kid": "k1"})


FORGED: dict[str, Callable[[Signer, dict[str, Any]], str]] = {
    "no algorithm": lambda _s, c: _raw({"alg": "none", "kid": "k1"}, c),
    "no algorithm, spelt oddly": lambda _s, c: _raw({"alg": "None", "kid": "k1"}, c),
    "in small letters": lambda _s, c: _raw({"alg": "eddsa", "kid": "k1"}, c),
    "algorithm not said": lambda _s, c: _raw({"kid": "k1"}, c),
    "no signature": lambda _s, c: _raw({"alg": "EdDSA", "kid": "k1"}, c),
    "an empty signature": lambda _s, c: _raw(
        {"alg": "EdDSA", "kid": "k1"}, c, bytes(64)
    ),
    "HMAC by the public key": _as_secret,
    "RSA": lambda _s, c: _of_rsa(c),
    "another key": lambda _s, c: Signer().sign(c),
    "another key and id": lambda _s, c: Signer("k2").sign(c),
    "an unknown id": lambda s, c: s.sign(c, kid="k2"),
    "no id": lambda s, c: s.sign(c, kid=""),
    "a critical header": lambda s, c: s.sign(c, crit=["exp"]),
    "a bare payload": lambda s, c: _by_hand(s, c, {"b64": True}),
    "a changed signature": lambda s, c: s.sign(c)[:-2] + "AA",
    "a fourth part": lambda s, c: s.sign(c) + ".x",
    "a changed header": lambda s, c: "a" + s.sign(c),
    "nothing": lambda *_: "..",
    "digits of another alphabet": lambda *_: "\u0660.\u0660.\u0660",
    "a deep header": lambda *_: _b64(b"[" * 3000) + "." + _b64(b"{}") + ".",
}


@pytest.mark.parametrize("forged", FORGED)
async def test_only_the_issuers_own_ed25519_signature_counts(
    desk: Desk, signer: Signer, forged: str
) -> None:
    """No other algorithm, key, or form; whatever the token says of itself."""
    with pytest.raises(UnauthenticatedError):
        await desk.ask(FORGED[forged](signer, claims(desk.now_s)))
    assert desk.record[-1][0] == "unauthenticated"


async def test_another_issuers_key_does_not_sign_for_this_one() -> None:
    """A key counts for the issuer that it is of, also under the same id."""
    mine, theirs = Signer(), Signer()
    other = "https://other.example"
    both = (TOLD, msgspec.structs.replace(TOLD, issuer=other))
    documents = {ISSUER: Keys(mine), other: Keys(theirs)}
    desk = await asyncio.to_thread(Desk, issuers=both, fetch=documents)
    with pytest.raises(UnauthenticatedError, match="signature is wrong"):
        await desk.ask(theirs.sign(claims(desk.now_s)))
    text = theirs.sign(claims(desk.now_s, iss=other))
    assert (await desk.ask(text)).credential.endswith(other)


async def test_an_unknown_key_has_the_keys_read_anew_but_not_too_often(
    desk: Desk, signer: Signer, keys: Keys
) -> None:
    """A key that is new counts; one that was taken away does not any more."""
    old = signer.sign(claims(desk.now_s, exp=desk.now_s + 800))
    await desk.ask(old)
    new = Signer("k2")
    keys.document = jwks(new)
    for _ in range(5):
        with pytest.raises(UnauthenticatedError, match="no key of that id"):
            await desk.ask(new.sign(claims(desk.now_s)))
    assert keys.asked == 1
    desk.advance(JWKS_AGAIN_S)
    text = new.sign(claims(desk.now_s))
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(desk.ask(text)) for _ in range(5)]
    assert {task.result().agent for task in asked} == {"planner"}
    assert keys.asked == 2
    with pytest.raises(UnauthenticatedError, match="no key of that id"):
        await desk.ask(old)


async def test_keys_that_cannot_be_had_let_nobody_in(
    desk: Desk, signer: Signer, keys: Keys
) -> None:
    """It is said that it is for now; those that are known are used until they are old."""
    document, keys.document = keys.document, None
    text = signer.sign(claims(desk.now_s))
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await desk.ask(text)
    assert keys.asked == 1
    assert desk.record == []
    desk.advance(JWKS_AGAIN_S)
    keys.document = document
    await desk.ask(text)
    keys.document = None
    desk.advance(JWKS_AGAIN_S)
    with pytest.raises(UnauthenticatedError, match="no key of that id"):
        await desk.ask(Signer("k9").sign(claims(desk.now_s)))
    assert (await desk.ask(text)).agent == "planner"
    desk.advance(JWKS_KEEP_S)
    with pytest.raises(UnavailableError):
        await desk.ask(text)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"keys": 1}',
        b'{"keys": []}',
        b'{"keys": [{"kty": "RSA", "kid": "k1"}]}',
        b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "AAAA"}]}',
        b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "\xc3\xa9"}]}',
        b'{"keys": [{"kty": "OKP", "crv": "Ed448", "kid": "k1", "x": "AAAA"}]}',
        b"[" * 500,
    ],
)
def test_a_document_that_is_no_set_of_keys_is_refused(document: bytes) -> None:
    """As a whole: nothing is guessed."""
    with pytest.raises(UnavailableError):
        keysets.read(document)


def test_too_many_keys_and_one_id_twice_are_refused() -> None:
    """Which of them counts could not be told."""
    many = [Signer(str(number)) for number in range(JWKS_KEYS_MAX + 1)]
    with pytest.raises(UnavailableError, match="are allowed"):
        keysets.read(jwks(*many))
    with pytest.raises(UnavailableError, match="two keys"):
        keysets.read(jwks(Signer("k1"), Signer("k1")))


def test_keys_of_other_kinds_are_passed_over() -> None:
    """An issuer may have more than this node understands."""
    signer = Signer()
    others = [
        {"kty": "RSA", "kid": "r"},
        {**Signer("e").jwk, "use": "enc"},
        {**Signer("h").jwk, "alg": "HS256"},
    ]
    document = msgspec.json.encode({"keys": [*others, signer.jwk]})
    assert list(keysets.read(document)) == ["k1"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"jwks_file": None}, "jwks_file or a jwks_url"),
        ({"jwks_url": "https://a.example"}, "and not both"),
        ({"tenants": ()}, "no tenant"),
        ({"ca_file": Path("ca.pem")}, "ca_file is for"),
    ],
)
def test_an_issuer_that_is_not_told_whole_is_refused(
    changes: dict[str, Any], told: str
) -> None:
    """With what to do."""
    one = msgspec.structs.replace(TOLD, **changes)
    with pytest.raises(ConfigurationError, match=told):
        Issuers((one,), lambda _: Keys(), FakeClock().now_ns)
    with pytest.raises(ConfigurationError, match="twice"):
        Issuers((TOLD, TOLD), lambda _: Keys(), FakeClock().now_ns)


def test_a_package_that_is_missing_is_said() -> None:
    """With the command that gets it."""
    with pytest.raises(ConfigurationError, match=r"pip install 'assent\[issuers\]'"):
        needed("no_such_package", "issuers")
    assert needed("json", "issuers") is not None


async def test_checked_jwts_are_bounded(
    desk: Desk, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one unused longest is checked anew, and holds."""
    monkeypatch.setattr(module, "PROOFS_CACHED_MAX", 2)
    texts = [signer.sign(claims(desk.now_s, jti=str(n))) for n in range(4)]
    first = [await desk.ask(text) for text in texts]
    assert await desk.ask(texts[3]) is first[3]
    assert (await desk.ask(texts[0])).agent == "planner"


async def test_keys_come_from_a_file(tmp_path: Path, signer: Signer) -> None:
    """It is read when the node starts, and again when keys are asked for."""
    file = tmp_path / "keys.json"
    told = msgspec.structs.replace(TOLD, jwks_file=file)
    with pytest.raises(ConfigurationError, match="No such file"):
        await asyncio.to_thread(fetch_of, told)
    await asyncio.to_thread(file.write_bytes, jwks(signer))
    fetch = await asyncio.to_thread(fetch_of, told)
    assert await fetch() == jwks(signer)
    await asyncio.to_thread(file.unlink)
    with pytest.raises(UnavailableError, match="No such file"):
        await fetch()
    await asyncio.to_thread(file.write_bytes, b" " * (JWKS_BYTES_MAX + 1))
    with pytest.raises(UnavailableError, match="at most"):
        await fetch()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://issuer.example/keys", "over https"),
        ("ftp://127.0.0.1/keys", "over https"),
        ("file:///etc/keys", "over https"),
        ("https://me:secret@issuer.example/keys", "no password"),
        ("https:///keys", "a host"),
    ],
)
def test_keys_come_from_safe_places_only(url: str, told: str) -> None:
    """TLS, or this machine itself."""
    one = msgspec.structs.replace(TOLD, jwks_file=None, jwks_url=url)
    with pytest.raises(ConfigurationError, match=told):
        fetch_of(one)


def test_an_authority_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """At the start, not at the first token."""
    url = "https://issuer.example/keys"
    ca_file = tmp_path / "none.pem"
    one = msgspec.structs.replace(TOLD, jwks_file=None, jwks_url=url, ca_file=ca_file)
    with pytest.raises(ConfigurationError, match="ca_file"):
        fetch_of(one)
