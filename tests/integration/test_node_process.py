"""A node in a process of its own, as a person runs it: from nothing, killed, over TLS."""

import json
import os
import signal
import ssl
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from bus.cli.output import CHECK_FAILED, OK
from tests.command import RUN, assent, environment
from tests.fakes.identities import AUDIENCE, ISSUER, Authority, Signer, claims, jwks

FREE_PORT = ("--set", "http.port=0")


class Up:
    """A node that runs: what it announced, and what it answers."""

    def __init__(self, process: "subprocess.Popen[str]", told: dict[str, Any]) -> None:
        self.process = process
        self.told = told
        self.tls: ssl.SSLContext | None = None

    def ask(self, path: str, token: str | None = None) -> tuple[int, str]:
        """Return the status and the text of a GET."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = self.told["url"].replace("0.0.0.0", "127.0.0.1") + path  # noqa: S104 - where it serves
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - loopback only
        try:
            with urllib.request.urlopen(request, context=self.tls) as answer:  # noqa: S310 - loopback only
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def until(self, status: int, path: str, token: str) -> None:
        """Wait until a GET answers with a status, for ten seconds at most."""
        for _ in range(200):
            if self.ask(path, token)[0] == status:
                return
            time.sleep(0.05)
        pytest.fail(f"{path} never answered {status}")

    def stop(self) -> tuple[int, str]:
        """Stop it in order; return its code and what it said on stderr."""
        self.process.send_signal(signal.SIGTERM)
        _, error = self.process.communicate(timeout=20)
        return self.process.returncode, error


@contextmanager
def up(folder: Path, *flags: str) -> Iterator[Up]:
    """Run a node until the block is left; wait until it is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "up", "--json", *FREE_PORT, *flags],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = list(iter(process.stdout.readline, "}\n"))
            yield Up(process, json.loads("".join(lines) + "}"))
        finally:
            process.kill()


def test_from_an_empty_folder_to_an_agent_that_is_let_in(tmp_path: Path) -> None:
    """What was made is said, the admin's token is shown once, and all survives a kill."""
    with up(tmp_path) as node:
        admin = node.told["admin_token"]
        assert admin.startswith("assent_")
        made = [line.partition(":")[0] for line in node.told["made"]]
        assert "assent-data/policy.toml" in made
        assert all((tmp_path / name).exists() for name in made)
        assert node.ask("/v1/tokens", admin)[0] == 200
        # Made beside the node that runs, and known to it at once.
        ended = assent(tmp_path, "token", "create", "worker", "--json")
        worker = ended.document["token"]
        assert node.ask("/v1/tokens", worker)[0] == 403
        node.process.send_signal(signal.SIGKILL)
        node.process.communicate(timeout=10)
    secrets = [token.split("_")[2] for token in (admin, worker)]
    for file in (tmp_path / "assent-data").iterdir():
        content = file.read_bytes()
        for secret in secrets:
            assert secret.encode() not in content, file
            assert bytes.fromhex(secret) not in content, file
    kept = tmp_path / "assent-data"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    with up(tmp_path) as node:
        assert (node.told["admin_token"], node.told["made"]) == (None, [])
        assert node.told["tokens"] == 2
        assert node.ask("/v1/tokens", admin)[0] == 200
        # Ended beside the node: within a second nobody gets in by it.
        ended = assent(tmp_path, "token", "revoke", worker.split("_")[1], "--json")
        assert ended.document["state"] == "revoked"
        node.until(401, "/v1/tokens", worker)
        assert node.stop() == (OK, "")
    with up(tmp_path) as node:
        assert node.ask("/v1/tokens", worker)[0] == 401
    assert assent(tmp_path, "audit", "verify", "assent-data/audit.log").code in {
        OK,
        CHECK_FAILED,  # killed at once, it may end in an unsealed part
    }


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Who signs the certificates here."""
    return Authority()


def _files(folder: Path, **content: bytes) -> None:
    for name, data in content.items():
        file = folder / name.replace("_", ".")
        file.touch(mode=0o600)
        file.write_bytes(data)


def test_over_tls_a_client_certificate_is_an_agent(
    tmp_path: Path, authority: Authority
) -> None:
    """On a public address; without a certificate a token is needed; TLS 1.1 is not spoken."""
    address = x509.IPAddress(IPv4Address("127.0.0.1"))
    certificate, key, _ = authority.issue("node", address)
    uri = x509.UniformResourceIdentifier("spiffe://main/admin")
    mine, my_key, _ = authority.issue("anybody", uri)
    _files(
        tmp_path,
        cert_pem=certificate,
        key_pem=key,
        ca_pem=authority.pem,
        mine_pem=mine + my_key,
    )
    flags = [
        "http.host=0.0.0.0",
        "http.cert_file=cert.pem",
        "http.key_file=key.pem",
        "http.client_ca_file=ca.pem",
        'certificates=[{uri="spiffe://main/admin", agent="admin", scope="admin"}]',
    ]
    with up(tmp_path, *(part for flag in flags for part in ("--set", flag))) as node:
        node.tls = ssl.create_default_context(cadata=authority.pem.decode())
        assert node.ask("/livez") == (200, "ok\n")
        assert node.ask("/v1/tokens")[0] == 401
        assert node.ask("/v1/tokens", node.told["admin_token"])[0] == 200
        node.tls.load_cert_chain(tmp_path / "mine.pem")
        assert node.ask("/v1/tokens")[0] == 200
        assert node.ask("/v1/tokens", "wrong")[0] == 401
        other = Authority()
        theirs, their_key, _ = other.issue("anybody", uri)
        _files(tmp_path, theirs_pem=theirs + their_key)
        node.tls = ssl.create_default_context(cadata=authority.pem.decode())
        node.tls.load_cert_chain(tmp_path / "theirs.pem")
        with pytest.raises((OSError, urllib.error.URLError)):
            node.ask("/v1/tokens")
        node.tls = ssl.create_default_context(cadata=authority.pem.decode())
        node.tls.minimum_version = ssl.TLSVersion.TLSv1_2
        node.tls.maximum_version = ssl.TLSVersion.TLSv1_2
        assert node.ask("/livez")[0] == 200
        assert node.stop() == (OK, "")


def test_an_issuers_jwt_is_an_agent(tmp_path: Path) -> None:
    """With its keys from a file; a forged one, and one that is over, are not."""
    signer, now_s = Signer(), int(time.time())  # noqa: TID251 - by the clock of the process
    _files(tmp_path, keys_json=jwks(signer))
    (tmp_path / "assent.toml").write_text(
        f'[[issuers]]\nissuer = "{ISSUER}"\naudience = "{AUDIENCE}"\n'
        'jwks_file = "keys.json"\ntenants = ["main"]\nscope = "admin"\n'
    )
    said = {"sub": "admin", "tenant": "main", "roles": [], "scope": "admin"}
    with up(tmp_path) as node:
        assert node.ask("/v1/tokens", signer.sign(claims(now_s, **said)))[0] == 200
        for wrong in (
            Signer().sign(claims(now_s, **said)),
            signer.sign(claims(now_s - 700, **said)),
            signer.sign(claims(now_s, **{**said, "sub": "nobody"})),
        ):
            assert node.ask("/v1/tokens", wrong)[0] == 401
        assert node.stop() == (OK, "")


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    """The first one lets what is under way end; the second one is the end."""
    with up(tmp_path) as node:
        os.kill(node.process.pid, signal.SIGINT)
        os.kill(node.process.pid, signal.SIGINT)
        node.process.communicate(timeout=20)
        assert node.process.returncode in {OK, 130}
