"""Client certificates: which agent one is."""

from typing import Any

import pytest
from cryptography import x509

from bus.config.edge import CertificateSettings
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.errors import ConfigurationError
from bus.edge import certificates as module
from bus.edge.caller import Presented, Scope
from bus.edge.certificates import Certificates
from tests.fakes.identities import ADDRESS, Authority, Desk

URI = "spiffe://acme.example/planner"
TOLD = (
    CertificateSettings(agent="planner", uri=URI, scope="operator"),
    CertificateSettings(agent="worker", name="the worker"),
)
AUTHORITY = Authority()


@pytest.fixture
def desk() -> Desk:
    """An identity that knows two certificates."""
    return Desk(certificates=TOLD)


def _uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


async def test_a_certificate_is_an_agent_by_its_uri_or_its_name(desk: Desk) -> None:
    """A URI counts before the common name; the end is the certificate's."""
    *_, der = AUTHORITY.issue("anybody", x509.DNSName("a.example"), _uri(URI))
    caller = await desk.ask(certificate=der)
    assert (caller.agent, caller.tenant) == ("planner", "acme")
    assert caller.scope is Scope.OPERATOR
    assert caller.expires_ns is not None
    assert caller.credential.startswith("certificate ")
    assert await desk.ask(certificate=der) is caller
    *_, der = AUTHORITY.issue("the worker")
    assert (await desk.ask(certificate=der)).agent == "worker"
    *_, der = AUTHORITY.issue("the worker", _uri(URI))
    assert (await desk.ask(certificate=der)).agent == "planner"


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("planner", ()),
        ("The Worker", ()),
        ("the worker ", ()),
        ("anybody", (_uri(URI + "/"),)),
        ("anybody", (_uri(URI.upper()),)),
        ("anybody", (x509.DNSName("the worker"),)),
        (URI, ()),
    ],
)
async def test_a_certificate_that_is_not_named_exactly_is_nobody(
    desk: Desk, name: str, names: tuple[Any, ...]
) -> None:
    """Though TLS has verified it."""
    *_, der = AUTHORITY.issue(name, *names)
    with pytest.raises(UnauthenticatedError, match="is no agent's"):
        await desk.ask(certificate=der)
    assert desk.record[-1][0] == "unauthenticated"


async def test_what_is_no_certificate_is_nobody(desk: Desk) -> None:
    """Whatever the bytes are; and none shown is none."""
    with pytest.raises(UnauthenticatedError, match="cannot be read"):
        await desk.ask(certificate=b"\x30\x03abc")
    assert await Certificates(TOLD).prove(Presented(address=ADDRESS)) is None


async def test_certificates_of_before_can_be_cut_off(desk: Desk) -> None:
    """With everything else that the agent was given."""
    *_, der = AUTHORITY.issue("the worker")
    caller = await desk.ask(certificate=der)
    await desk.identity.revoke_all("worker")
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        await desk.ask(certificate=der)
    with pytest.raises(UnauthenticatedError, match="was revoked"):
        desk.identity.still(caller)


async def test_a_token_counts_before_a_certificate(desk: Desk) -> None:
    """And where it is wrong, the certificate does not stand in for it."""
    *_, der = AUTHORITY.issue("the worker")
    _, text = await desk.token("planner")
    assert (await desk.ask(text, certificate=der)).agent == "planner"
    with pytest.raises(UnauthenticatedError):
        await desk.ask("wrong", certificate=der)


def test_a_name_that_stands_twice_is_refused() -> None:
    """It could not be told whose it is."""
    with pytest.raises(ConfigurationError, match="twice"):
        Certificates((*TOLD, CertificateSettings(agent="spy", uri=URI)))


async def test_certificates_that_were_read_are_bounded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is read anew."""
    monkeypatch.setattr(module, "PROOFS_CACHED_MAX", 1)
    ders = [AUTHORITY.issue("the worker")[2] for _ in range(3)]
    first = [await desk.ask(certificate=der) for der in ders]
    assert await desk.ask(certificate=ders[2]) is first[2]
    assert (await desk.ask(certificate=ders[0])).agent == "worker"
