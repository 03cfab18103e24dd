"""The client against a whole node: over TLS, with real credentials."""

import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

import bus
from bus import Accepted
from bus.config.edge import CertificateSettings, HttpSettings
from bus.core.edgeerrors import ForbiddenError, NotFoundError, UnauthenticatedError
from bus.core.errors import BusNotStartedError, UnavailableError, UnknownAgentError
from bus.remote.address import Trust
from bus.remote.web import Api
from tests.fakes.buses import Inbox
from tests.fakes.faces import until
from tests.fakes.identities import Authority
from tests.fakes.nodes import Running, running_node


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a node's certificate and an agent's."""
    folder = tmp_path_factory.mktemp("papers")
    authority, other = Authority(), Authority()
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    for name, names in (("node", [address]), ("worker", [])):
        certificate, key, _ = authority.issue(name, *names)
        (folder / f"{name}.pem").write_bytes(certificate)
        (folder / f"{name}.key").touch(mode=0o600)
        (folder / f"{name}.key").write_bytes(key)
    (folder / "ca.pem").write_bytes(authority.pem)
    (folder / "other.pem").write_bytes(other.pem)
    return folder


@pytest.fixture
async def node(papers: Path) -> AsyncIterator[Running]:
    """A node that speaks TLS and knows one agent by its certificate."""
    http = HttpSettings(
        port=0,
        cert_file=papers / "node.pem",
        key_file=papers / "node.key",
        client_ca_file=papers / "ca.pem",
    )
    worker = CertificateSettings(agent="worker", name="worker")
    async with running_node(http=http, certificates=(worker,)) as running:
        yield running


async def entered(node: Running, **options: Any) -> None:
    """Connect, and hang up."""
    async with bus.connect(node.url, **options):
        pass


async def test_agents_meet_over_tls(node: Running, papers: Path) -> None:
    """One with a token, one with a certificate."""
    inbox = Inbox()
    ca: dict[str, Any] = {"ca": papers / "ca.pem"}
    own: dict[str, Any] = {
        "certificate": papers / "worker.pem",
        "key": papers / "worker.key",
    }
    async with (
        bus.connect(node.url, token=node.token("planner"), **ca) as planner,
        bus.connect(node.url, **ca, **own) as worker,
    ):
        assert worker.agent().name == "worker"
        assert planner.agent("planner").tenant == "acme"
        with pytest.raises(UnknownAgentError):
            planner.agent("worker")
        await worker.agent().subscribe("a", inbox).ready()
        assert isinstance(await planner.agent().publish("a", 1), Accepted)
        await until(lambda: inbox.got == [1])


async def test_a_node_that_nobody_vouches_for_is_not_spoken_to(
    node: Running, papers: Path
) -> None:
    """By neither door: no token leaves the machine."""
    token = node.token("planner")
    trusts: list[dict[str, Any]] = [{}, {"ca": papers / "other.pem"}]
    for trust in trusts:
        with pytest.raises(UnavailableError, match="certificate"):
            await entered(node, token=token, **trust)
        with pytest.raises(UnavailableError, match="certificate"):
            async with Api(node.url, token, Trust(**trust)) as api:
                await api.get("/v1/overview")


async def test_a_credential_that_is_none_is_refused(
    node: Running, papers: Path
) -> None:
    """And a revoked one ends what stands by it."""
    ca: dict[str, Any] = {"ca": papers / "ca.pem"}
    with pytest.raises(UnauthenticatedError):
        await entered(node, token="none", **ca)  # noqa: S106 - that is the point
    with pytest.raises(UnauthenticatedError):
        await entered(node, **ca)
    token = await node.add_token("critic")
    async with bus.connect(node.url, token=token, **ca) as critic:
        subscription = critic.agent().subscribe("a", Inbox())
        await subscription.ready()
        await node.node.identity.revoke_all("critic")
        await subscription.finished()
        assert isinstance(subscription.failure, UnauthenticatedError | ForbiddenError)
        with pytest.raises(BusNotStartedError):
            await critic.agent().publish("a", 1)


async def test_problems_of_http_are_raised_as_errors(
    node: Running, papers: Path
) -> None:
    """By their codes."""
    trust = Trust(ca=papers / "ca.pem")
    async with Api(node.url, node.token("planner"), trust) as api:
        with pytest.raises(ForbiddenError):
            await api.get("/v1/overview")
        with pytest.raises(NotFoundError):
            await api.get("/v1/nothing")
    async with Api(node.url, node.token("operator"), trust) as api:
        assert (await api.get("/v1/overview"))["durable"] is False
        assert [row async for row in api.items("/v1/agents", 2)]
    with pytest.raises(UnavailableError, match="not open"):
        await Api(node.url, None, trust).get("/v1/overview")
