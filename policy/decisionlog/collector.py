"""The collector: OPA's decision-log service, as one request and what its answer means.

Rule: a chunk carries the same `Idempotency-Key` each time it is sent, because an
answer that is lost on its way leaves no choice but to send again.
"""

import asyncio
import gzip
import hashlib
import ipaddress
import ssl
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import aiohttp
import msgspec

from bus.core.errors import ConfigurationError
from bus.core.limits import (
    DECISION_ANSWER_BYTES_MAX,
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


class Answer(msgspec.Struct, frozen=True):
    """What came of one attempt; `status` is 0 where there was no whole answer."""

    status: int = 0
    retry_after: str = ""
    trouble: str = ""


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


async def post(
    chunk: Chunk, settings: CollectorSettings, verify: ssl.SSLContext
) -> Answer:
    """Send a chunk once and return what came of it. May be cancelled."""
    try:
        return await _post(chunk, settings, verify)
    except TimeoutError:
        return Answer(trouble=f"no answer in {settings.timeout_s:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return Answer(trouble=f"{type(error).__name__}: {error}")


async def _post(
    chunk: Chunk, settings: CollectorSettings, verify: ssl.SSLContext
) -> Answer:
    headers = {
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "Idempotency-Key": f'"{chunk.key}"',
        "User-Agent": "assent",
    }
    if settings.token_file is not None:
        # Each time: a token that was renewed is used at once.
        token = await asyncio.to_thread(_token, settings.token_file)
        headers["Authorization"] = f"Bearer {token}"
    # No connection is kept: one that died meanwhile would look like a lost answer.
    connector = aiohttp.TCPConnector(ssl=verify, force_close=True)
    timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
    async with (
        aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        ) as session,
        session.post(
            f"{settings.url.rstrip('/')}/logs",
            data=chunk.body,
            headers=headers,
            allow_redirects=False,
        ) as response,
    ):
        read = 0
        async for piece in response.content.iter_any():
            read += len(piece)
            if read > DECISION_ANSWER_BYTES_MAX:
                break
        return Answer(
            response.status,
            response.headers.get("Retry-After", ""),
            f"HTTP {response.status}",
        )


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
