"""Bundles of a real OPA load here, and ours load in a real OPA, signed or not."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bus.core.errors import PolicyLoadError
from policy import loading
from policy.bundles import archive, build, opening
from policy.bundles.archive import Entry
from policy.bundles.files import BundleFiles
from policy.bundles.keys import Algorithm, SigningKey, VerificationKey
from tests.fakes import bundles, policies
from tests.fakes.opa_process import running_opa
from tests.parts import require

pytestmark = pytest.mark.integration

ALGORITHMS: tuple[Algorithm, ...] = ("RS256", "ES256", "EdDSA")
# Numbers whose digits count, text that Go escapes, an order that is not ours.
ODD = (
    '{"z": [1.50, 1e3, -0, 1E-7, 18446744073709551615], "a": "<&>\\u2028é\\u0001\\/",'
    ' "\U0001f600": {"\uffff": null, "~": [[], {}]}}'
)
ODD_YAML = """
plain: words and more
numbers: [1, -2, 1.50, 1e3, 1e21, 1.0e-7, 0.000001, 123456789.125]
quoted: ["yes", 'no', "1", "\\u2028<"]
block: |
  two
  lines
nothing: ~
deep: {a: [{b: true}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a policy folder whose data is hard to hash alike."""
    place = policies.folder(tmp_path / "source", policies.ALLOW_ALL)
    for name, text in (("odd/data.json", ODD), ("words/data.yaml", ODD_YAML)):
        (place / name).parent.mkdir()
        (place / name).write_text(text)
    roots = ["assent/authz", "agents", "odd", "words"]
    told = {"revision": "r1", "roots": roots, "metadata": {"by": "<ci>", "n": 1.50}}
    (place / ".manifest").write_text(json.dumps(told))
    return place


class Pair:
    """A key pair in files, for OPA, and as values, for us."""

    def __init__(self, place: Path, algorithm: Algorithm, number: int = 0) -> None:
        private = bundles.private_pem(algorithm, number)
        self.algorithm = algorithm
        self.private = place / f"{algorithm}{number}.pem"
        self.public = place / f"{algorithm}{number}.pub"
        self.private.write_bytes(private)
        self.public.write_bytes(bundles.public_pem(private))
        self.signing = SigningKey(algorithm, private)
        self.keys = {"default": VerificationKey(algorithm, self.public.read_bytes())}

    @property
    def signs(self) -> list[str]:
        """What tells OPA to sign."""
        return [f"--signing-key={self.private}", f"--signing-alg={self.algorithm}"]

    @property
    def verifies(self) -> list[str]:
        """What tells OPA to verify."""
        return [f"--verification-key={self.public}", f"--signing-alg={self.algorithm}"]


def opa(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run OPA in a folder."""
    return subprocess.run(
        [require("opa"), *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def built(folder: Path, *arguments: str) -> bytes:
    """Return the bundle that OPA makes of a folder."""
    target = folder.parent / "opa.tar.gz"
    done = opa(folder.parent, "build", "-b", folder.name, "-o", target.name, *arguments)
    assert done.returncode == 0, done.stderr
    return target.read_bytes()


def opa_takes(place: Path, content: bytes, *arguments: str) -> str:
    """Return what OPA says against a bundle; nothing if it takes it."""
    (place / "ours.tar.gz").write_bytes(content)
    done = opa(place, "build", "-b", "ours.tar.gz", "-o", "again.tar.gz", *arguments)
    return done.stderr + done.stdout if done.returncode else ""


def test_a_bundle_of_opa_decides_here(folder: Path) -> None:
    """The same rules and data as in the folder, under the revision it declares."""
    opened = opening.read_archive(built(folder))
    assert opened.bundle.declared == "r1"
    assert opened.bundle.data == BundleFiles([folder], {}).read().data
    assert loading.build(opened.bundle).agents["planner"].tenant == "acme"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_opa_signs_verifies_here(folder: Path, algorithm: Algorithm) -> None:
    """A whole bundle of `opa build`, and no other than it."""
    pair = Pair(folder.parent, algorithm)
    content = built(folder, *pair.signs)
    signature = opening.verify(content, pair.keys)
    assert (signature.key_id, signature.algorithm) == ("default", algorithm)
    with pytest.raises(PolicyLoadError, match="does not hold"):
        opening.verify(content, Pair(folder.parent, algorithm, 1).keys)
    entries = [
        Entry(e.name, e.content.replace(b"acme", b"evil"))
        for e in archive.read(content)
    ]
    with pytest.raises(PolicyLoadError, match="not the file that was signed"):
        opening.verify(archive.write(entries), pair.keys)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_folder_that_opa_signs_verifies_here(
    folder: Path, algorithm: Algorithm
) -> None:
    """`opa sign` hashes each file as it lies there: numbers, escapes and YAML."""
    pair = Pair(folder.parent, algorithm)
    done = opa(folder, "sign", "--bundle", ".", *pair.signs)
    assert done.returncode == 0, done.stderr
    ((_, opened),) = BundleFiles([folder], pair.keys).opened()
    assert opened.signature is not None
    assert opened.bundle.data["words"]["quoted"] == ["yes", "no", "1", "\u2028<"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_opa_verifies_what_we_sign(folder: Path, algorithm: Algorithm) -> None:
    """With the right key; with another, or after a change, it refuses."""
    pair = Pair(folder.parent, algorithm)
    content = build.sign(build.build(folder), pair.signing)
    assert opa_takes(folder.parent, content, *pair.verifies) == ""
    other = Pair(folder.parent, algorithm, 1)
    assert "verify" in opa_takes(folder.parent, content, *other.verifies)
    entries = [
        Entry(e.name, e.content.replace(b"acme", b"evil"))
        for e in archive.read(content)
    ]
    changed = archive.write(entries)
    assert "digest mismatch" in opa_takes(folder.parent, changed, *pair.verifies)


def test_opa_takes_what_we_build(folder: Path) -> None:
    """Unsigned, without a key; with one it refuses it, as we do."""
    content = build.build(folder)
    assert opa_takes(folder.parent, content) == ""
    pair = Pair(folder.parent, "ES256")
    assert "missing" in opa_takes(folder.parent, content, *pair.verifies)


def test_signing_what_opa_built_is_understood_by_both(folder: Path) -> None:
    """A bundle may be built by one and signed by the other."""
    pair = Pair(folder.parent, "EdDSA")
    content = build.sign(built(folder), pair.signing)
    assert opening.verify(content, pair.keys).key_id == "default"
    assert opa_takes(folder.parent, content, *pair.verifies) == ""


async def asked(url: str, path: str) -> Any:
    """Return OPA's answer to a question without input."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/data/{path}", json={"input": {}}) as answer,
    ):
        return (await answer.json())["result"]


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
async def test_an_opa_server_answers_from_our_bundle(
    folder: Path, *, signed: bool
) -> None:
    """Rules and data, nested data and YAML, from `opa run --bundle`."""
    pair = await asyncio.to_thread(Pair, folder.parent, "ES256")
    content = await asyncio.to_thread(build.build, folder)
    if signed:
        content = build.sign(content, pair.signing)
    file = folder.parent / "ours.tar.gz"
    await asyncio.to_thread(file.write_bytes, content)
    arguments = ["--bundle", str(file), *(pair.verifies if signed else ())]
    here = opening.read_archive(content, pair.keys if signed else {}).bundle
    async with running_opa(*arguments) as server:
        assert (await asked(server.url, "assent/authz/decision"))["allow"] is True
        for part in ("agents", "odd", "words"):
            assert await asked(server.url, part) == here.data[part]
