"""Where the MCP server is reached over HTTP, and whether that is safe.

Rule: whoever reaches the server acts as its agent, so it is reached from this machine
only, or with a token and over TLS.
"""

import ipaddress
from pathlib import Path

import msgspec

from bus.core.edgelimits import MCP_TOKEN_CHARS_MIN
from bus.core.errors import ConfigurationError


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server is reached over HTTP, and by whom; `repr` shows no token.

    `names` are the hosts, without port, that clients call it by beside its address.
    `certificate` and `key` are files in PEM.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    names: tuple[str, ...] = ()
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __repr__(self) -> str:
        return f"Door({self.host!r}, {self.port})"


def checked(door: Door) -> None:
    """Return if a door is safe.

    Raises:
        ConfigurationError: it is for other machines without a token or TLS, the token is
            short, or nobody says by which name it is called.
    """
    if door.token is not None and len(door.token) < MCP_TOKEN_CHARS_MIN:
        raise ConfigurationError(
            f"the callers' token is short: {MCP_TOKEN_CHARS_MIN} characters at least"
        )
    if (door.certificate is None) is not (door.key is None):
        raise ConfigurationError("--certificate and --key go together")
    address = address_of(door.host)
    if address is not None and address.is_loopback:
        return
    if door.token is None or door.certificate is None:
        raise ConfigurationError(
            f"{door.host} is reached by other machines, and whoever calls acts as the "
            "agent: give --callers-token-file, --certificate and --key"
        )
    if address is not None and address.is_unspecified and not door.names:
        raise ConfigurationError(
            f"{door.host} is every address: say with --allow-host which name clients use"
        )


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a host is; None for a name, which may be anybody's."""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return None


def written(host: str) -> str:
    """Return a host as a URL has it."""
    return f"[{host}]" if ":" in host else host
