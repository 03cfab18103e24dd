"""Bundles from a server: bounded, checked, asked for by ETag, and never half taken."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bus.core.errors import (
    BusError,
    ConfigurationError,
    PolicyLoadError,
    PolicyUnavailableError,
)
from policy.bundles import download
from policy.bundles.download import LONG_POLLING, Downloader, Remote
from tests.fakes.bundles import AUTHZ, GOOD, packed, pair, pem_of, signed
from tests.fakes.bundleserver import (
    Answer,
    BundleHost,
    closing,
    endless,
    hanging,
    replying,
    serving,
    until,
)

KEYS = pair()[1]
TOKEN = "secret-of-a-test"  # noqa: S105 - it opens nothing


@pytest.fixture
async def host() -> AsyncIterator[BundleHost]:
    """Return a server that has a signed bundle."""
    async with serving(BundleHost(signed())) as running:
        yield running


async def test_a_bundle_is_fetched_checked_and_not_fetched_again(
    host: BundleHost,
) -> None:
    """304 is nothing new; another ETag is."""
    async with Downloader(Remote(url=host.url), KEYS) as downloader:
        first = await downloader.poll()
        assert first is not None
        assert first.content == signed()
        assert first.opened.bundle.declared == "r1"
        assert await downloader.poll() is not None, "it was not said to be in force"
        downloader.accepted(first)
        assert await downloader.poll() is None
        host.publish(signed(AUTHZ))
        second = await downloader.poll()
        assert second is not None
        assert second.opened.bundle.revision != first.opened.bundle.revision
    assert [asked.get("If-None-Match") for asked in host.asked] == [None, None] + [
        '"1"'
    ] * 2


async def test_the_question_is_the_one_that_opa_asks(host: BundleHost) -> None:
    """Only snapshots, not compressed once more, and with the token."""
    async with Downloader(Remote(url=host.url, token=TOKEN), KEYS) as downloader:
        await downloader.poll()
    asked = host.asked[0]
    assert asked["Prefer"] == "modes=snapshot"
    assert asked["Accept-Encoding"] == "identity"
    assert asked["Authorization"] == "Bearer " + TOKEN


async def test_a_server_that_waits_is_asked_to(host: BundleHost) -> None:
    """By the content type it says that it can; then the answer comes when there is one."""
    host.content_type = LONG_POLLING
    async with Downloader(Remote(url=host.url, wait_s=30.0), KEYS) as downloader:
        first = await downloader.poll()
        assert first is not None
        assert downloader.waits
        downloader.accepted(first)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(downloader.poll())
            await until(lambda: len(host.asked) == 2)
            assert not waiting.done()
            host.publish(signed(AUTHZ))
        assert waiting.result() is not None
    assert {asked["Prefer"] for asked in host.asked} == {"modes=snapshot;wait=30"}


async def test_a_server_that_does_not_wait_is_not_asked_again(host: BundleHost) -> None:
    """Any other content type says that it does not."""
    async with Downloader(Remote(url=host.url, wait_s=30.0), KEYS) as downloader:
        first = await downloader.poll()
        assert first is not None
        assert not downloader.waits
        downloader.accepted(first)
        assert await downloader.poll() is None
    assert host.asked[1]["Prefer"] == "modes=snapshot"


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (replying(404), PolicyUnavailableError, "status 404"),
        (replying(500), PolicyUnavailableError, "status 500"),
        (replying(304), PolicyUnavailableError, "status 304"),
        (replying(204), PolicyUnavailableError, "status 204"),
        (replying(302, Location="/b"), PolicyUnavailableError, "status 302"),
        (replying(200, b"", Content_Encoding="br"), PolicyUnavailableError, "'br'"),
        (closing(signed()[:50]), PolicyUnavailableError, "bundle http"),
        (hanging(signed()[:50]), PolicyUnavailableError, "in time"),
        (replying(200, b""), PolicyLoadError, "cut off"),
        (replying(200, b"<html>"), PolicyLoadError, "no gzip"),
        (replying(200, packed()), PolicyLoadError, "not signed"),
        (replying(200, signed() + b"x"), PolicyLoadError, "follows"),
    ],
)
async def test_a_wrong_answer_is_refused_by_its_kind(
    host: BundleHost, answer: Answer, error: type[BusError], said: str
) -> None:
    """Guard: later, or never; and the next question is asked as if nothing had been."""
    host.answers.append(answer)
    async with Downloader(Remote(url=host.url, deadline_s=0.5), KEYS) as downloader:
        with pytest.raises(error, match=said) as caught:
            await downloader.poll()
        assert host.url in str(caught.value)
        assert await downloader.poll() is not None
    assert "If-None-Match" not in host.asked[1]


@pytest.mark.parametrize(
    "answer", [endless(), replying(200, bytes(200_000))], ids=["endless", "long"]
)
async def test_an_answer_that_is_too_long_is_not_read_to_its_end(
    host: BundleHost, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard: by what it says of its length, and by what comes."""
    monkeypatch.setattr(download, "BUNDLE_BYTES_MAX", 100_000)
    host.answers.append(answer)
    async with Downloader(Remote(url=host.url), KEYS) as downloader:
        with pytest.raises(PolicyLoadError, match="more than 100000 bytes"):
            await downloader.poll()


async def test_nobody_there_is_said(host: BundleHost) -> None:
    """A port that nobody listens on, and a downloader that is closed."""
    async with serving(BundleHost()) as gone:
        remote = Remote(url=gone.url)
    downloader = Downloader(remote, KEYS)
    async with downloader:
        with pytest.raises(PolicyUnavailableError, match="Connect"):
            await downloader.poll()
    with pytest.raises(PolicyUnavailableError, match="closed"):
        await downloader.poll()
    assert host.asked == []


@pytest.mark.parametrize("etag", ["x" * 2_000, "\xe9"])
async def test_an_etag_that_cannot_be_sent_back_is_not(
    host: BundleHost, etag: str
) -> None:
    """Guard: a server does not choose how long our questions are."""
    host.answers.append(replying(200, signed(), ETag=etag))
    async with Downloader(Remote(url=host.url), KEYS) as downloader:
        fetched = await downloader.poll()
        assert fetched is not None
        downloader.accepted(fetched)
        assert await downloader.poll() is not None
    assert "If-None-Match" not in host.asked[1]


@pytest.mark.parametrize(
    ("remote", "said"),
    [
        (Remote(url="ftp://h/b"), "http"),
        (Remote(url="bundle.tar.gz"), "http"),
        (Remote(url="http://"), "http"),
        (Remote(url="http://[::1"), "url"),
        (Remote(url="https://u:p@h/b"), "no password"),
        (Remote(url="http://example.org/b", token=TOKEN), "https:// only"),
        (Remote(url="https://h/b", token=f"{TOKEN}\r\nX: y"), "token"),
        (Remote(url="https://h/b", deadline_s=0), "deadline"),
        (Remote(url="https://h/b", deadline_s=1e9), "deadline"),
        (Remote(url="https://h/b", wait_s=1e9), "wait"),
        (Remote(url="https://h/b", ca_file=Path("no.pem")), r"no\.pem"),
    ],
)
def test_settings_that_cannot_be_honoured_are_refused(
    remote: Remote, said: str
) -> None:
    """Guard: before anything is asked, and without the token in the error."""
    with pytest.raises(ConfigurationError, match=said):
        Downloader(remote, KEYS)


def test_a_token_is_not_printed() -> None:
    """Guard: neither in a log nor in an error."""
    assert TOKEN not in repr(Remote(url="https://h/b", token=TOKEN))


def authority(place: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate for this machine, and what a server needs to show it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    day = dt.timedelta(days=1)
    today = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today)
        .not_valid_after(today + 36_500 * day)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = place / "ca.pem", place / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(pem_of(key))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, private)
    return certificate, server


async def test_tls_is_trusted_by_the_named_authority_only(tmp_path: Path) -> None:
    """The certificate is checked, against the file and nothing else."""
    certificate, tls = await asyncio.to_thread(authority, tmp_path)
    async with serving(BundleHost(packed(*GOOD)), tls) as host:
        async with Downloader(Remote(url=host.url, ca_file=certificate), {}) as known:
            assert await known.poll() is not None
        async with Downloader(Remote(url=host.url), {}) as unknown:
            with pytest.raises(PolicyUnavailableError, match="Certificate"):
                await unknown.poll()
    assert len(host.asked) == 1
