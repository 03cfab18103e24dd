"""The collector: OPA's decision-log service, as one request and what its answer means.

Rule: a chunk carries the same `Idempotency-Key` each time it is sent, because an
answer that is lost on its way leaves no choice but to send again.
"""

import gzip
import hashlib
import ipaddress
import ssl
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from bus.core.errors import ConfigurationError
from bus.core.policylimits import (
    DECISION_BACKOFF_S_BASE,
    DECISION_BACKOFF_S_MAX,
    DECISION_RETRY_AFTER_S_MAX,
    DECISION_SPOOL_BYTES,
    DECISION_TOKEN_BYTES_MAX,
    DECISION_UPLOAD_S,
    DECISION_UPLOAD_TIMEOUT_S,
)

_NS_PER_S: Final = 1_000_000_000
_GZIP_LEVEL: Final = 6
# What these say is said of the address, the token or the moment, not of the events.
_LATER: Final = frozenset({401, 403, 404, 405, 407, 408, 421, 423, 425, 426, 429})
Verdict = Literal["taken", "later", "never"]


class CollectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where events go: `url` has no `/logs`; `spool` is a folder for this log alone."""

    url: str
    spool: Path
    spool_bytes: int = DECISION_SPOOL_BYTES
    token_file: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = DECISION_UPLOAD_TIMEOUT_S
    delay_s: float = DECISION_UPLOAD_S
    backoff_s_base: float = DECISION_BACKOFF_S_BASE
    backoff_s_max: float = DECISION_BACKOFF_S_MAX


class Chunk(msgspec.Struct, frozen=True):
    """A segment as it is sent: gzip of a JSON array, and the hash of that array."""

    body: bytes
    key: str


def verdict(status: int) -> Verdict:
    """Tell what an HTTP status means for the events that were sent."""
    if 200 <= status < 300:  # noqa: PLR2004 - the class of statuses is its definition
        return "taken"
    if 400 <= status < 500 and status not in _LATER:  # noqa: PLR2004 - as above
        return "never"
    return "later"


def chunk_of(lines: bytes) -> Chunk:
    """Return what to send for a segment's lines."""
    array = b"[" + lines.removesuffix(b"\n").replace(b"\n", b",") + b"]"
    body = gzip.compress(array, _GZIP_LEVEL, mtime=0)
    return Chunk(body, hashlib.sha256(array).hexdigest())


def retry_after_s(told: str, now_ns: int) -> float:
    """Return the seconds that a Retry-After header asks for; 0 if it says nothing."""
    told = told.strip()
    if told.isascii() and told.isdecimal():
        return min(float(told[:10]), DECISION_RETRY_AFTER_S_MAX)
    try:
        when_s = parsedate_to_datetime(told).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(when_s - now_ns / _NS_PER_S, 0.0), DECISION_RETRY_AFTER_S_MAX)


def tls(settings: CollectorSettings) -> ssl.SSLContext:
    """Return how the collector is to be verified; checks the settings.

    Raises:
        ConfigurationError: no usable address, a token that would be sent in the clear,
            or no usable CA file.
    """
    try:
        url = urlsplit(settings.url)
        host, _ = url.hostname, url.port
    except ValueError as error:
        raise ConfigurationError(f"collector {settings.url!r}: {error}") from error
    if url.scheme not in ("http", "https") or not host or url.query or url.fragment:
        raise ConfigurationError(
            f"collector {settings.url!r}: an http or https address without a query"
        )
    if url.username or url.password:
        raise ConfigurationError(f"collector at {host}: put the token into token_file")
    if settings.token_file and url.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(
            f"collector {settings.url!r}: a token is sent by https only"
        )
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"CA file {settings.ca_file}: {error}") from error


def headers_of(chunk: Chunk, token_file: Path | None) -> dict[str, str]:
    """Return what to send a chunk with; the token is read each time.

    Raises:
        OSError: there is no token.
    """
    headers = {
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "Idempotency-Key": f'"{chunk.key}"',
        "User-Agent": "assent",
    }
    if token_file is not None:
        headers["Authorization"] = f"Bearer {_token(token_file)}"
    return headers


def _token(path: Path) -> str:
    """Return the token in a file, or raise OSError."""
    with path.open("rb") as file:
        found = file.read(DECISION_TOKEN_BYTES_MAX + 1)
    token = found.decode("ascii", errors="replace").strip()
    if len(found) > DECISION_TOKEN_BYTES_MAX or not token.isprintable() or not token:
        raise OSError(f"{path} holds no token: one line of printable ASCII")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
