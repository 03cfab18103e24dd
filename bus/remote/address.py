"""Where a node is, and how it is made sure that it is that one.

Rule: what is secret goes over TLS, or does not leave the machine. A plain address of
another machine is refused unless the caller says that it is meant.
"""

import ipaddress
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

import msgspec

from bus.core.errors import ConfigurationError

_SECURE: Final = {"wss": True, "https": True, "ws": False, "http": False}
_SOCKET_PATH: Final = "/ws"


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to believe, and what to show: files in PEM.

    `ca` has the certificates of those who may vouch for the node, the system's by
    default; `certificate` and `key` are the client's own, for mutual TLS. `insecure`
    allows a plain address of another machine: then anybody on the way reads the token.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


class Address(msgspec.Struct, frozen=True):
    """A node's two doors: `socket` for the protocol, `web` for HTTP, without a slash."""

    socket: str
    web: str
    secure: bool


def address(url: str, trust: Trust) -> Address:
    """Return the doors of the node at `url`, which may be of either.

    Raises:
        ConfigurationError: no such address, one with a name or password in it, a plain
            one of another machine, or files for TLS where there is none.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"server {url!r}: {error}") from None
    if parts.scheme not in _SECURE or not host:
        raise ConfigurationError(f"server {url!r}: wss://HOST[:PORT], or https://")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("server: no name and no password; give a token")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"server {url!r}: nothing follows the path")
    del port
    secure = _SECURE[parts.scheme]
    if not secure and not trust.insecure and not _loopback(host):
        raise ConfigurationError(
            f"server {url!r} is plain, and not of this machine: whoever is on the way "
            "reads the token; use wss://, or say insecure"
        )
    given = (trust.ca, trust.certificate, trust.key)
    if not secure and any(file is not None for file in given):
        raise ConfigurationError(f"server {url!r} is plain: certificates do nothing")
    return Address(_socket(parts, secure=secure), _web(parts, secure=secure), secure)


def tls(trust: Trust) -> ssl.SSLContext:
    """Return what checks the node's certificate and name. It reads files.

    Raises:
        ConfigurationError: a file is not there, or no PEM; a key without certificate.
    """
    if trust.key is not None and trust.certificate is None:
        raise ConfigurationError("a key needs its certificate")
    try:
        context = ssl.create_default_context(cafile=trust.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if trust.certificate is not None:
            context.load_cert_chain(trust.certificate, trust.key)
    except OSError as error:  # SSLError is one
        files = ", ".join(
            str(file)
            for file in (trust.ca, trust.certificate, trust.key)
            if file is not None
        )
        raise ConfigurationError(f"certificates ({files}): {error}") from None
    return context


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _socket(parts: SplitResult, *, secure: bool) -> str:
    path = parts.path.rstrip("/")
    if not path.endswith(_SOCKET_PATH):
        path += _SOCKET_PATH
    return urlunsplit(("wss" if secure else "ws", parts.netloc, path, "", ""))


def _web(parts: SplitResult, *, secure: bool) -> str:
    path = parts.path.rstrip("/").removesuffix(_SOCKET_PATH).rstrip("/")
    return urlunsplit(("https" if secure else "http", parts.netloc, path, "", ""))
