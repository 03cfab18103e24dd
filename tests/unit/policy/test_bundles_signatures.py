"""A bundle is as signed as our keys say, file by file, and by nobody else."""

import base64
import hashlib
import hmac
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa

from bus.core.errors import ConfigurationError, PolicyLoadError
from policy.bundles import archive, build, documents, keys, opening
from policy.bundles.archive import Entry
from policy.bundles.keys import Algorithm, SigningKey, VerificationKey
from tests.fakes import bundles
from tests.fakes.bundles import AUTHZ, GOOD, packed, pair, signed

ALGORITHMS: tuple[Algorithm, ...] = ("RS256", "ES256", "EdDSA")
KEY, KEYS = pair()


def refusal(content: bytes, known: dict[str, VerificationKey] | None = None) -> str:
    """Return why a bundle is refused."""
    with pytest.raises(PolicyLoadError) as error:
        opening.read_archive(content, KEYS if known is None else known)
    return str(error.value)


def files(content: bytes) -> dict[str, bytes]:
    """Return what is in an archive."""
    return {entry.name: entry.content for entry in archive.read(content)}


def repacked(content: bytes, **changes: bytes | None) -> bytes:
    """Return a bundle with files changed, put in, or (None) taken out; `__` is a dot."""
    found: dict[str, bytes | None] = {**files(content)}
    found.update({name.replace("__", "."): text for name, text in changes.items()})
    kept = [Entry(name, text) for name, text in found.items() if text is not None]
    return archive.write(kept)


def with_token(token: str, **fields: Any) -> bytes:
    """Return the good bundle with this for a JWT."""
    document = {"signatures": [token], **fields}
    return packed(*GOOD, Entry(".signatures.json", msgspec.json.encode(document)))


def claims(content: bytes | None = None) -> dict[str, Any]:
    """Return the claims of a signed bundle."""
    found: dict[str, Any] = jwt.decode(
        token_of(content or signed()), options={"verify_signature": False}
    )
    return found


def token_of(content: bytes) -> str:
    """Return the JWT of a bundle."""
    document = msgspec.json.decode(files(content)[".signatures.json"])
    token: str = document["signatures"][0]
    return token


def signed_claims(told: dict[str, Any], **header: Any) -> bytes:
    """Return the good bundle with these claims, rightly signed."""
    return with_token(
        jwt.encode(told, KEY.pem, algorithm="EdDSA", headers={"kid": "k", **header})
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_signed_verifies(algorithm: Algorithm) -> None:
    """With the key it was signed with, and no other of its kind."""
    key, known = pair(algorithm)
    content = signed(key=key)
    found = opening.verify(content, known)
    assert (found.key_id, found.algorithm) == ("k", algorithm)
    _, others = pair(algorithm, number=1)
    assert "does not hold" in refusal(content, others)


def test_signing_and_building_are_repeatable() -> None:
    """Where the algorithm is."""
    assert signed() == signed()
    assert signed() != signed(key=pair(key_id="other")[0])


def test_a_signature_is_replaced_and_never_doubled() -> None:
    """Signing again is signing anew."""
    other, known = pair("ES256")
    twice = build.sign(signed(), other)
    assert opening.verify(twice, known).algorithm == "ES256"
    assert len(archive.read(twice)) == len(GOOD) + 1


def test_a_signed_bundle_without_a_key_is_refused() -> None:
    """Guard: nobody said that this signature is to be believed."""
    assert "no key is configured" in refusal(signed(), {})


def test_an_unsigned_bundle_with_a_key_is_refused() -> None:
    """Guard: taking the signature off does not help."""
    assert "not signed, and a key is configured" in refusal(packed())
    with pytest.raises(PolicyLoadError, match="not signed"):
        opening.verify(packed(), {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"authz__rego": b"package assent.authz\n"}, "authz.rego: not the file"),
        ({"data__json": b'{"agents": {}}'}, "data.json: not the file"),
        ({"__manifest": b'{"revision": "r2"}'}, ".manifest: not the file"),
        ({"__manifest": None}, "not in the bundle: .manifest"),
        ({"authz__rego": None}, "not in the bundle: authz.rego"),
        ({"more__rego": b"package more\n"}, "more.rego: not in the list"),
        ({"more/data__json": b"{}"}, "more/data.json: not in the list"),
        ({"README": b"hi"}, "README: not in the list"),
    ],
)
def test_any_change_of_a_signed_bundle_is_refused(
    changes: dict[str, bytes | None], said: str
) -> None:
    """Guard: the list and the files match exactly."""
    assert said in refusal(repacked(signed(), **changes))


def test_how_json_is_written_does_not_matter() -> None:
    """What is signed is what it says, as in OPA; Rego is signed letter by letter."""
    data = files(signed())["data.json"]
    spaced = msgspec.json.format(data, indent=4)
    assert spaced != data
    opening.read_archive(repacked(signed(), data__json=spaced), KEYS)
    rego = AUTHZ.content + b"\n"
    assert "not the file" in refusal(repacked(signed(), authz__rego=rego))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_signature_without_an_algorithm_is_taken(algorithm: Algorithm) -> None:
    """Guard: `none` is not an algorithm, in any spelling."""
    _, known = pair(algorithm)
    payload = token_of(signed()).split(".")[1]
    for word in ("none", "None", "NONE", ""):
        header = _encoded({"alg": word, "kid": "k", "typ": "JWT"})
        assert "algorithm" in refusal(with_token(f"{header}.{payload}."), known)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_never_a_shared_secret(algorithm: Algorithm) -> None:
    """Guard: the classic confusion, an HMAC made with the public key."""
    _, known = pair(algorithm)
    header = _encoded({"alg": "HS256", "kid": "k", "typ": "JWT"})
    signing = f"{header}.{token_of(signed()).split('.')[1]}"
    made = hmac.new(known["k"].pem, signing.encode(), hashlib.sha256).digest()
    token = f"{signing}.{base64.urlsafe_b64encode(made).decode().rstrip('=')}"
    assert "algorithm 'HS256'" in refusal(with_token(token), known)


def test_the_keys_algorithm_decides() -> None:
    """Guard: another that we take is refused as well, if it is not this key's."""
    key, _ = pair("ES256")
    said = refusal(signed(key=key), KEYS)
    assert "not signed with EdDSA, the algorithm of its key" in said


def test_a_header_may_not_bring_its_key() -> None:
    """Guard: `jwk`, `jku` and `x5c` are read by nobody."""
    other, _ = pair(number=1)
    public = bundles.public_pem(other.pem).decode()
    token = jwt.encode(
        claims(), other.pem, algorithm="EdDSA", headers={"kid": "k", "x5c": [public]}
    )
    assert "does not hold" in refusal(with_token(token))


def test_the_key_is_found_by_its_id() -> None:
    """Among several by the id in the header; an only key is the one."""
    _, other = pair("ES256", key_id="other")
    content = signed()
    assert opening.verify(content, {**KEYS, **other}).key_id == "k"
    assert opening.verify(content, {"x": KEYS["k"]}).key_id == "x"
    known = {"x": KEYS["k"], **other}
    assert "key 'k', which is not configured" in refusal(content, known)


def test_the_scope_is_that_of_the_key() -> None:
    """Guard: a signature for staging is none for production."""
    key, known = pair(scope="production")
    assert opening.verify(signed(key=key), known).scope == "production"
    assert "scope 'production'" in refusal(signed(key=key), KEYS)
    assert "scope ''" in refusal(signed(), known)


def test_the_list_is_read_to_the_letter() -> None:
    """Guard: hashes that are broken, lists that are doubled, files that are made up."""
    told = claims()
    listed = told["files"]
    md5 = [{**file, "algorithm": "MD5"} for file in listed]
    assert "hashed with 'MD5'" in refusal(signed_claims({**told, "files": md5}))
    double = [*listed, listed[0]]
    assert "stands twice" in refusal(signed_claims({**told, "files": double}))
    more = [*listed, {"name": "x", "hash": "00", "algorithm": "SHA-256"}]
    assert "not in the bundle: x" in refusal(signed_claims({**told, "files": more}))
    empty = {**listed[0], "hash": ""}
    assert "not the file" in refusal(signed_claims({"files": [empty, *listed[1:]]}))
    wrongs: list[dict[str, Any]] = [{}, {"files": {}}, {"files": [{"name": "x"}]}]
    for wrong in wrongs:
        assert "files" in refusal(signed_claims(wrong))


@pytest.mark.parametrize("name", ["SHA-384", "SHA-512"])
def test_longer_hashes_are_taken(name: str) -> None:
    """OPA signs with SHA-256; other builders may do more."""
    listed = [
        {"name": entry.name, "algorithm": name, "hash": _hashed(entry, name)}
        for entry in GOOD
    ]
    assert (
        opening.verify(signed_claims({"files": listed, "iss": "ci"}), KEYS).issuer
        == "ci"
    )


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "Expecting value"),
        (b"{}", "signatures"),
        (b'{"signatures": []}', "0 JWTs"),
        (b'{"signatures": ["a.b.c", "a.b.c"]}', "2 JWTs"),
        (b'{"signatures": ["ab"]}', "no JWT"),
        (b'{"signatures": ["%.b.c"]}', "not base64"),
        (b'{"signatures": ["e30.e30.e30"]}', "no algorithm"),
        (b'{"signatures": ["W10.e30.e30"]}', "no object"),
        (b'{"signatures": ["e30.e30.e30"], "plugin": "own"}', "plugin 'own'"),
        (b'{"signatures": ["e30.e30.e30"], "x": 1}', "unknown field 'x'"),
        (b'{"signatures": "e30.e30.e30"}', "signatures"),
    ],
)
def test_what_is_no_signature_is_refused(document: bytes, said: str) -> None:
    """Each with its reason."""
    assert said in refusal(packed(*GOOD, Entry(".signatures.json", document)))


def test_every_changed_character_of_a_signature_is_seen() -> None:
    """Guard: header, claims and signature are all covered."""
    token = token_of(signed())
    for place in range(0, len(token) - 1, 7):
        letter = "A" if token[place] != "A" else "B"
        assert refusal(with_token(token[:place] + letter + token[place + 1 :]))


def test_keys_that_do_not_fit_their_algorithm_are_refused() -> None:
    """Guard: at first use, by what is wrong with them, and without their text."""
    small = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - to be refused
    weak = bundles.pem_of(small)
    curve = bundles.pem_of(ec.generate_private_key(ec.SECP384R1()))
    edwards = bundles.pem_of(ed448.Ed448PrivateKey.generate())
    cases: list[tuple[Algorithm, bytes, str]] = [
        ("RS256", weak, "1024 bits"),
        ("ES256", curve, "P-256"),
        ("EdDSA", edwards, "Ed25519"),
        ("RS256", KEY.pem, "RSA"),
        ("ES256", b"nonsense", "PEM"),
    ]
    for algorithm, pem, said in cases:
        with pytest.raises(ConfigurationError, match=said) as error:
            build.sign(packed(), SigningKey(algorithm, pem))
        assert "MII" not in str(error.value)
        public = bundles.public_pem(pem) if pem != b"nonsense" else pem
        with pytest.raises(ConfigurationError, match=said):
            opening.read_archive(signed(), {"k": VerificationKey(algorithm, public)})


def test_a_private_key_is_not_printed() -> None:
    """Guard: neither in a log nor in an error."""
    assert KEY.pem.decode() not in repr(KEY) + str(KEY)
    assert "id='k'" in repr(KEY)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_file_tells_its_algorithm(algorithm: Algorithm) -> None:
    """Each kind of key has one; others are for nothing here."""
    private = bundles.private_pem(algorithm)
    assert keys.made_for(private, "k.pem") == algorithm
    assert keys.made_for(bundles.public_pem(private), "k.pem") == algorithm
    assert keys.algorithm_of(algorithm) == algorithm
    with pytest.raises(ConfigurationError, match=r"k\.pem: RSA, P-256 or Ed25519"):
        keys.made_for(bundles.pem_of(ed448.Ed448PrivateKey.generate()), "k.pem")
    with pytest.raises(ConfigurationError, match=r"k\.pem: no key"):
        keys.made_for(b"nonsense", "k.pem")
    with pytest.raises(ConfigurationError, match="HS256"):
        keys.algorithm_of("HS256")


def test_inspecting_needs_no_key_and_proves_nothing() -> None:
    """It shows what is claimed, even where it does not hold."""
    found = opening.inspect(repacked(signed(), authz__rego=AUTHZ.content + b"\n"))
    assert found.claimed is not None
    assert (found.claimed.key_id, found.claimed.algorithm) == ("k", "EdDSA")
    assert next(file.name for file in found.files) == ".manifest"
    assert opening.inspect(packed()).claimed is None


def _hashed(entry: Entry, name: str) -> str:
    content = entry.content
    if entry.name != AUTHZ.name:
        content = documents.signed_form(entry.name, content)
    return hashlib.new(name.replace("-", ""), content).hexdigest()


def _encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")
