"""What can be set of the edge: the address, TLS, where credentials are, who issues them.

Rule: nothing is reached from other machines unless the settings say so.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bus.config.sections import Name, Section
from bus.core.edgelimits import (
    CONNECTIONS_MAX,
    CONNECTIONS_MAX_ALLOWED,
    CONNECTIONS_OF_AGENT_MAX,
    JWT_S_DEFAULT,
    JWT_S_MAX,
    SESSION_S,
    SESSION_S_MAX,
)

ScopeName = Literal["agent", "operator", "admin"]


class HttpSettings(Section, frozen=True):
    """Where the node is reached, and how TLS is spoken there."""

    host: Name = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 8222
    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    client_certificates: Literal["optional", "required"] = "optional"
    metrics: Literal["loopback", "token", "open"] = "loopback"


class NodeSettings(Section, frozen=True):
    """What a node keeps beside messages, and what it lets in."""

    folder: Path | None = Path("assent-data")
    tokens_file: Path | None = None
    admin: Name | None = None
    session_seconds: Annotated[float, msgspec.Meta(gt=0, le=SESSION_S_MAX)] = SESSION_S
    connections: Annotated[int, msgspec.Meta(ge=1, le=CONNECTIONS_MAX_ALLOWED)] = (
        CONNECTIONS_MAX
    )
    agent_connections: Annotated[
        int, msgspec.Meta(ge=1, le=CONNECTIONS_MAX_ALLOWED)
    ] = CONNECTIONS_OF_AGENT_MAX


class IssuerSettings(Section, frozen=True):
    """Who may sign for agents with Ed25519, and for which of them."""

    issuer: Name
    audience: Name
    jwks_file: Path | None = None
    jwks_url: Name | None = None
    ca_file: Path | None = None
    tenants: tuple[Name, ...] = ()
    scope: ScopeName = "agent"
    max_seconds: Annotated[float, msgspec.Meta(gt=0, le=JWT_S_MAX)] = JWT_S_DEFAULT


class CertificateSettings(Section, frozen=True):
    """The agent that a client certificate is: by its URI, or by its common name."""

    agent: Name
    uri: Name | None = None
    name: Name | None = None
    scope: ScopeName = "agent"
