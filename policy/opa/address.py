"""Where an OPA server is, who may be believed to be it, and who we are to it.

Rule: what cannot be honoured is refused before anything is sent, and no part of a
secret is in an error or in `repr`.
"""

import ssl
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec

from bus.core.errors import ConfigurationError
from bus.core.policylimits import (
    OPA_ADDRESS_CHARS_MAX,
    OPA_CONNECTIONS,
    OPA_CONNECTIONS_MAX,
    OPA_DEADLINE_S,
    OPA_DEADLINE_S_MAX,
    OPA_FAILURES_MAX,
    OPA_RESET_S,
    OPA_TOKEN_CHARS_MAX,
)

UNIX: Final = "unix:"
_PORTS: Final = {"http": 80, "https": 443}


class Hidden(Protocol):
    """A secret text that its `repr` does not show."""

    def reveal(self) -> str:
        """Return the text."""


class ServerAddress(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach an OPA server.

    `url` is `http://host:port`, `https://host:port` (either with a path to put before
    OPA's own) or `unix:/path/of/socket`. The files are PEM and for `https` only:
    `ca_file` alone says who is believed, the system's authorities where it is None;
    `cert_file` with `key_file` (or the key in the same file) is who we are.
    `deadline_s` is for one question, `connections` how many are kept.

    Raises:
        ConfigurationError: anything of it cannot be honoured.
    """

    url: str
    token: Hidden | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    deadline_s: float = OPA_DEADLINE_S
    connections: int = OPA_CONNECTIONS
    failures_max: int = OPA_FAILURES_MAX
    reset_s: float = OPA_RESET_S

    def __post_init__(self) -> None:
        """Refuse what cannot be honoured."""
        split = _split(self.url)
        tls_files = (self.ca_file, self.cert_file, self.key_file)
        if split.scheme != "https" and any(f is not None for f in tls_files):
            raise ConfigurationError(
                "OPA server: certificates need an https:// address"
            )
        if self.key_file is not None and self.cert_file is None:
            raise ConfigurationError("OPA server: a key file needs a certificate file")
        if not 0 < self.deadline_s <= OPA_DEADLINE_S_MAX:
            raise ConfigurationError(
                f"OPA server: a deadline is more than 0 and at most {OPA_DEADLINE_S_MAX:g} s"
            )
        if not 1 <= self.connections <= OPA_CONNECTIONS_MAX:
            raise ConfigurationError(
                f"OPA server: 1 to {OPA_CONNECTIONS_MAX} connections may be kept"
            )
        if self.failures_max < 1 or self.reset_s <= 0:
            raise ConfigurationError(
                "OPA server: the breaker bears 1 failure or more, and resets later"
            )
        self.headers()

    def __repr__(self) -> str:
        return f"ServerAddress({self.url!r})"

    @property
    def socket(self) -> str | None:
        """The path of the Unix socket, or None."""
        return self.url[len(UNIX) :] if self.url.startswith(UNIX) else None

    @property
    def base(self) -> str:
        """The URL that OPA's own paths are appended to, without a slash at its end."""
        return "http://localhost" if self.socket is not None else self.url.rstrip("/")

    @property
    def host(self) -> str:
        """The host name or address to connect to; meaningless for a socket."""
        return urlsplit(self.base).hostname or ""

    @property
    def port(self) -> int:
        """The port to connect to; meaningless for a socket."""
        split = urlsplit(self.base)
        return split.port or _PORTS[split.scheme]

    def headers(self) -> dict[str, str]:
        """Return what every request carries, the token among it.

        Raises:
            ConfigurationError: the token cannot stand in a header.
        """
        if self.token is None:
            return {}
        text = self.token.reveal()
        if not 0 < len(text) <= OPA_TOKEN_CHARS_MAX:
            raise ConfigurationError(
                f"OPA server: a token has 1 to {OPA_TOKEN_CHARS_MAX} characters"
            )
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise ConfigurationError(
                "OPA server: the token holds a character that no header may carry"
            )
        return {"Authorization": f"Bearer {text}"}

    def tls(self) -> ssl.SSLContext | None:
        """Return whom to believe and who we are, or None without TLS. Reads files.

        Raises:
            ConfigurationError: a file is missing, is no PEM, or holds a key that does
                not fit the certificate or has a pass phrase.
        """
        if urlsplit(self.base).scheme != "https":
            return None
        named = self.ca_file
        try:
            context = ssl.create_default_context(
                cafile=None if named is None else str(named)
            )
            if self.cert_file is not None:
                named = self.key_file or self.cert_file
                # Without a password of ours, OpenSSL would ask at the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password="")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigurationError(
                f"OPA server: {named}: cannot be loaded: {error.args[-1]}"
            ) from None
        return context


def _split(url: str) -> SplitResult:
    """Return the parts of an address, or refuse it without repeating a secret of it."""
    if len(url) > OPA_ADDRESS_CHARS_MAX or not url.isprintable() or " " in url:
        raise ConfigurationError(
            f"OPA server: an address has no spaces and at most {OPA_ADDRESS_CHARS_MAX} "
            "characters"
        )
    if url.startswith(UNIX):
        if not url.startswith(f"{UNIX}/"):
            raise ConfigurationError(
                "OPA server: a socket is named by its whole path, as in "
                "unix:/run/opa.sock"
            )
        return urlsplit(url)
    try:
        split = urlsplit(url)
        usable = split.scheme in _PORTS and bool(split.hostname) and split.port != 0
    except ValueError:  # no number for a port, no end of an IPv6 address
        raise ConfigurationError("OPA server: no valid address") from None
    if split.username is not None or split.password is not None:
        raise ConfigurationError(
            "OPA server: no user or password in the address; use a token"
        )
    if not usable or split.query or split.fragment:
        raise ConfigurationError(
            f"OPA server: {url!r} is none of http://host:port, https://host:port, "
            "unix:/path"
        )
    return split
