"""Reads an issuer's keys: from its file, or over HTTPS.

Rule: bounded in bytes and time, over TLS or from this machine, and no redirect is
followed, so that nobody but who was named says which keys count.
"""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from bus.config.edge import IssuerSettings
from bus.core.edgelimits import JWKS_BYTES_MAX, JWKS_FETCH_S
from bus.core.errors import ConfigurationError, UnavailableError
from bus.edge.keysets import Fetch
from bus.edge.safety import is_local

_OK: Final = 200


def fetch_of(told: IssuerSettings) -> Fetch:
    """Return what reads the keys of an issuer.

    Raises:
        ConfigurationError: a URL that is not safe, or a file that cannot be read.
    """
    if told.jwks_url is not None:
        return _from_url(told, told.jwks_url)
    file = told.jwks_file
    assert file is not None  # noqa: S101 - an issuer has one or the other

    def read() -> bytes:
        try:
            with file.open("rb") as opened:
                body = opened.read(JWKS_BYTES_MAX + 1)
        except OSError as error:
            raise UnavailableError(f"{file}: {error.strerror or error}") from error
        _check_length(body)
        return body

    try:
        read()
    except UnavailableError as error:
        raise ConfigurationError(f"issuers: {told.issuer}: {error}") from error

    async def fetch() -> bytes:
        return await asyncio.to_thread(read)

    return fetch


def _from_url(told: IssuerSettings, url: str) -> Fetch:
    parts = urlsplit(url)
    local = parts.scheme == "http" and is_local(parts.hostname or "")
    if not local and parts.scheme != "https":
        raise ConfigurationError(
            f"issuers: {told.issuer}: jwks_url {url}: keys come over https, or from this "
            "machine"
        )
    if parts.username is not None or not parts.hostname:
        raise ConfigurationError(
            f"issuers: {told.issuer}: jwks_url needs a host, and no password"
        )
    try:
        trusted = ssl.create_default_context(cafile=told.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"issuers: {told.issuer}: ca_file {told.ca_file}: {error}"
        ) from error

    async def fetch() -> bytes:
        limit = aiohttp.ClientTimeout(total=JWKS_FETCH_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
                session.get(url, ssl=trusted, allow_redirects=False) as answer,
            ):
                if answer.status != _OK:
                    raise UnavailableError(f"{url}: status {answer.status}")
                body = bytearray()
                async for part in answer.content.iter_any():
                    body += part
                    _check_length(body)
                return bytes(body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told_of = str(error) or type(error).__name__
            raise UnavailableError(f"{url}: {told_of}") from error

    return fetch


def _check_length(body: bytes | bytearray) -> None:
    if len(body) > JWKS_BYTES_MAX:
        raise UnavailableError(f"a JWKS is {JWKS_BYTES_MAX} bytes long at most")
