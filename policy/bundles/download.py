"""Bundles from an HTTP(S) server, as OPA's agents ask for them.

Rule: an answer is bounded in bytes and time, and is a bundle only once it was checked.
No redirect is followed, so the token goes to the server that was named and no other.
Source: OPA, `management-bundles`, sections Bundle Service API and Long Polling.
"""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from bus.core.errors import ConfigurationError, PolicyLoadError, PolicyUnavailableError
from bus.core.policylimits import (
    BUNDLE_BYTES_MAX,
    BUNDLE_DOWNLOAD_S,
    BUNDLE_ETAG_CHARS_MAX,
    BUNDLE_LONG_POLL_S_MAX,
)
from policy.bundles import opening
from policy.bundles.opening import Opened
from policy.bundles.signatures import Keys

LONG_POLLING: Final = "application/vnd.openpolicyagent.bundles"
"""The content type by which a server says that it waits when it is asked to."""

_CHUNK: Final = 64 << 10
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_SCHEMES: Final = ("http", "https")
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bundle is. `wait_s` is how long the server may wait; 0: it need not.

    `token` is sent as a bearer token, over TLS or to this machine only. `ca_file` is
    what TLS trusts in the place of the system's authorities.
    """

    url: str
    token: str = ""
    ca_file: Path | None = None
    deadline_s: float = BUNDLE_DOWNLOAD_S
    wait_s: float = 0.0

    def __repr__(self) -> str:
        return f"Remote(url={self.url!r})"


class Fetched(msgspec.Struct, frozen=True):
    """A bundle that came and was checked, its bytes, and the server's name for them."""

    opened: Opened
    content: bytes
    etag: str


class Downloader:
    """Asks one server for one bundle. Used by one task at a time, on one loop.

    Cancelling a question ends it; nothing is remembered of it.
    """

    __slots__ = ("_etag", "_keys", "_remote", "_session", "_tls", "_waits")

    def __init__(self, remote: Remote, keys: Keys) -> None:
        """Take the settings, and read the authorities that TLS is to trust.

        Raises:
            ConfigurationError: the settings cannot be honoured.
        """
        _check(remote)
        self._remote = remote
        self._keys = dict(keys)
        self._tls = _tls(remote)
        self._session: aiohttp.ClientSession | None = None
        self._etag = ""
        self._waits = False

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def waits(self) -> bool:
        """Whether the server waits with its answer until there is something new."""
        return self._waits

    def accepted(self, fetched: Fetched) -> None:
        """Note that a bundle is in force: from now on only another one is asked for."""
        self._etag = fetched.etag

    async def poll(self) -> Fetched | None:
        """Ask once; return a bundle, or None if there is no other than the accepted one.

        Raises:
            PolicyUnavailableError: no answer in time, or not one with a bundle.
            PolicyLoadError: the bundle was refused. What is in force is not touched.
            ConfigurationError: a key is not one, or a package for it is missing.
        """
        if self._session is None:
            raise PolicyUnavailableError("the downloader is closed: enter it first")
        wait_s = self._remote.wait_s if self._waits or not self._etag else 0.0
        try:
            async with asyncio.timeout(self._remote.deadline_s + wait_s):
                answer = await self._ask(self._session, wait_s)
        except TimeoutError:
            self._fail("no whole answer in time")
        except aiohttp.ClientError as error:
            self._fail(f"{type(error).__name__}: {error}")
        except OSError as error:
            self._fail(error.strerror or str(error))
        if answer is None:
            return None
        content, etag = answer
        opened = await asyncio.to_thread(
            opening.read_archive, content, self._keys, name=self._remote.url
        )
        return Fetched(opened, content, etag)

    async def _ask(
        self, session: aiohttp.ClientSession, wait_s: float
    ) -> tuple[bytes, str] | None:
        # The deadline of the whole is the caller's; aiohttp's own would cut a wait short.
        async with session.get(
            self._remote.url,
            headers=self._headers(wait_s),
            allow_redirects=False,
            ssl=self._tls,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            if answer.status == _NOT_MODIFIED and self._etag:
                return None
            if answer.status != _OK:
                self._fail(f"status {answer.status}")
            coding = answer.headers.get("Content-Encoding", "identity")
            if coding.lower() != "identity":
                self._fail(f"content encoding {coding!r}, which was not asked for")
            content = await self._body(answer)
            self._waits = answer.content_type == LONG_POLLING
            return content, _etag(answer.headers)

    def _headers(self, wait_s: float) -> dict[str, str]:
        prefer = "modes=snapshot" + (f";wait={wait_s:.0f}" if wait_s else "")
        headers = {"Accept-Encoding": "identity", "Prefer": prefer}
        if self._etag:
            headers["If-None-Match"] = self._etag
        if self._remote.token:
            headers["Authorization"] = f"Bearer {self._remote.token}"
        return headers

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        told = answer.content_length or 0
        content = bytearray()
        while told <= BUNDLE_BYTES_MAX and len(content) <= BUNDLE_BYTES_MAX:
            chunk = await answer.content.read(_CHUNK)
            if not chunk:
                return bytes(content)
            content += chunk
        answer.close()  # the rest is not read
        raise PolicyLoadError(
            f"more than {BUNDLE_BYTES_MAX} bytes compressed", file=self._remote.url
        )

    def _fail(self, reason: str) -> NoReturn:
        raise PolicyUnavailableError(f"bundle {self._remote.url}: {reason}") from None


def _check(remote: Remote) -> None:
    try:
        parts = urlsplit(remote.url)
        host = parts.hostname
    except ValueError as error:
        raise ConfigurationError(f"bundle url: {error}") from None
    if parts.scheme not in _SCHEMES or not host:
        raise ConfigurationError("bundle url: begins with http:// or https://")
    if parts.username or parts.password:
        raise ConfigurationError("bundle url: no password belongs in it; give a token")
    if parts.scheme == "http" and remote.token and host not in _LOCAL:
        raise ConfigurationError(
            "bundle url: a token goes over https:// only, or to this machine"
        )
    if not (remote.token.isascii() and remote.token.isprintable()):
        raise ConfigurationError("bundle token: printable ASCII only")
    if not 0 < remote.deadline_s <= BUNDLE_DOWNLOAD_S:
        raise ConfigurationError(f"bundle deadline: up to {BUNDLE_DOWNLOAD_S:g} s")
    if not 0 <= remote.wait_s <= BUNDLE_LONG_POLL_S_MAX:
        raise ConfigurationError(f"bundle wait: up to {BUNDLE_LONG_POLL_S_MAX:g} s")


def _tls(remote: Remote) -> ssl.SSLContext | bool:
    if remote.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(remote.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{remote.ca_file}: no authorities: {error}") from None


def _etag(headers: Mapping[str, str]) -> str:
    found = headers.get("ETag", "")
    plain = found.isascii() and found.isprintable()
    return found if plain and len(found) <= BUNDLE_ETAG_CHARS_MAX else ""
