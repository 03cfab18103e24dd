"""The MCP server over TLS, with certificates of a test's own authority."""

import ipaddress
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from mcp.server.mcpserver import MCPServer

from bus.core.errors import ConfigurationError
from bus.edge.mcp import serving
from bus.edge.mcp.door import Door
from tests.fakes.identities import Authority
from tests.fakes.mcps import ACCEPT, INITIALIZE, TOKEN, kept_node, over_http


@pytest.fixture
def pems(tmp_path: Path) -> dict[str, Path]:
    """Return the files of an authority, a certificate and its key."""
    authority = Authority()
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate, key, _ = authority.issue("node", address)
    made = {"ca": authority.pem, "certificate": certificate, "key": key}
    for name, pem in made.items():
        (tmp_path / name).write_bytes(pem)
    return {name: tmp_path / name for name in made}


async def test_callers_are_served_over_tls(pems: dict[str, Path]) -> None:
    """With its token; in plain words nothing is answered."""
    trusting = ssl.create_default_context(cafile=pems["ca"])
    headers = {**ACCEPT, "Authorization": f"Bearer {TOKEN}"}
    files = {"certificate": pems["certificate"], "key": pems["key"]}
    async with (
        kept_node() as running,
        over_http(running, "intern", token=TOKEN, **files) as (url, _),
        aiohttp.ClientSession(headers=headers) as session,
    ):
        assert url.startswith("https://127.0.0.1:")
        async with session.post(url, json=INITIALIZE, ssl=trusting) as answer:
            assert answer.status == 200
        plain = url.replace("https", "http", 1)
        with pytest.raises(aiohttp.ClientError):
            await session.post(plain, json=INITIALIZE)


def test_a_certificate_that_is_none_is_refused(pems: dict[str, Path]) -> None:
    """With the file's name, before anything is served."""
    server: MCPServer[Any] = MCPServer("a test's")
    for file in (pems["key"], pems["key"] / "nothing"):
        door = Door(certificate=file, key=pems["key"])
        with pytest.raises(ConfigurationError, match="certificate"):
            serving.running(server, door, 1)
