"""HTTP to an OPA server; the only file here that knows the HTTP library.

Rule: a request ends within its deadline with a whole reply inside its bound, or with
an `EvaluationError`. It is sent again once, and only where a connection that was kept
open had gone before the head of a reply came.
"""

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace
from yarl import URL

from bus.core.limits import ERROR_CHARS_MAX
from bus.core.policylimits import (
    OPA_KEEPALIVE_S,
    OPA_POLICIES_BYTES_MAX,
    OPA_QUESTIONS_MAX,
)
from policy.evaluation import EvaluationError, Kind
from policy.opa.address import ServerAddress
from policy.opa.answers import JSON, Reply

_SENT: Final[Mapping[str, str]] = {
    "Accept": JSON,
    # What is compressed could be far larger than its length says.
    "Accept-Encoding": "identity",
    "User-Agent": "assent",
}
_OF_BODY: Final[Mapping[str, str]] = {"Content-Type": JSON}
_PLAIN: Final = frozenset({"", "identity"})
# What a connection that was kept open and closed by its peer fails with, in that order
# from the likeliest: before the reply, while writing, while taking it from the pool.
_DROPPED: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


class Request(msgspec.Struct, frozen=True):
    """One request: `bytes_max` bounds the reply's body, `deadline_s` all of it."""

    url: URL
    deadline_s: float
    bytes_max: int
    method: str = "GET"
    body: bytes | None = None


class _Attempt:
    """Whether a connection was made for it, or one that was kept was used."""

    __slots__ = ("fresh",)

    def __init__(self) -> None:
        self.fresh = False


_attempt: Final[ContextVar[_Attempt | None]] = ContextVar("_attempt", default=None)


def _note_fresh() -> None:
    attempt = _attempt.get()
    if attempt is not None:
        attempt.fresh = True


# The library tells this to a tracer as well, for 18 us more on each request.
class _Tcp(aiohttp.TCPConnector):
    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the library's own signature
    ) -> ResponseHandler:
        _note_fresh()
        return await super()._create_connection(req, traces, timeout)


class _Unix(aiohttp.UnixConnector):
    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the library's own signature
    ) -> ResponseHandler:
        _note_fresh()
        return await super()._create_connection(req, traces, timeout)


FAULTS: Final = (aiohttp.ClientError, OSError)
"""What the library raises for what a server or the way to it did; see `explained`."""


class Http:
    """A bounded pool of connections to one server. Made by `open_http`."""

    __slots__ = ("_base", "_open", "_session")

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base
        self._open = 0

    def url(self, path: str) -> URL:
        """Return the address of an encoded path such as `/v1/data/a?b=c`."""
        return URL(self._base + path, encoded=True)

    async def send(self, request: Request) -> Reply:
        """Send a request and return the whole reply, whatever its status.

        Cancelling it closes its connection and no other.

        Raises:
            EvaluationError: no whole reply in time and inside its bound.
        """
        if self._open >= OPA_QUESTIONS_MAX:
            raise _error("unavailable", f"{OPA_QUESTIONS_MAX} questions wait already")
        self._open += 1
        try:
            async with asyncio.timeout(request.deadline_s):
                return await self._send(request)
        except TimeoutError:
            reason = f"no answer in {request.deadline_s:g} s"
            raise _error("deadline", reason) from None
        except FAULTS as error:
            raise explained(error) from None
        finally:
            self._open -= 1

    async def close(self) -> None:
        """Close every connection; what waits for an answer fails."""
        await self._session.close()

    async def _send(self, request: Request) -> Reply:
        attempt = _Attempt()
        _attempt.set(attempt)
        try:
            response = await self._begin(request)
        except _DROPPED:
            if attempt.fresh:
                raise
            response = await self._begin(request)
        try:
            return await _whole(response, request.bytes_max)
        except BaseException:
            response.close()  # what is left of it must not be read as another's
            raise

    async def _begin(self, request: Request) -> aiohttp.ClientResponse:
        if self._session.closed:
            raise _error("unavailable", "this client is closed")
        return await self._session.request(
            request.method,
            request.url,
            data=request.body,
            headers=None if request.body is None else _OF_BODY,
            allow_redirects=False,
        )


async def open_http(address: ServerAddress) -> Http:
    """Return a client that has not connected yet.

    Raises:
        ConfigurationError: certificates cannot be loaded.
    """
    return Http(await open_session(address), address.base)


async def open_session(address: ServerAddress, **more: Any) -> aiohttp.ClientSession:
    """Return a session that reaches the server as its address says.

    It keeps no cookies, knows no proxy, expands nothing and has no time limit of its
    own. `more` is passed to the library.

    Raises:
        ConfigurationError: certificates cannot be loaded.
    """
    context = await asyncio.to_thread(address.tls)
    bounds: dict[str, Any] = {
        "limit": address.connections,
        "keepalive_timeout": OPA_KEEPALIVE_S,
    }
    connector: aiohttp.BaseConnector
    if address.socket is not None:
        connector = _Unix(address.socket, **bounds)
    else:
        connector = _Tcp(ssl=True if context is None else context, **bounds)
    sent = {**_SENT, **address.headers()}
    settings: dict[str, Any] = {
        "headers": sent,
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=None),
        "cookie_jar": aiohttp.DummyCookieJar(),
        "auto_decompress": False,
        "trust_env": False,
    }
    return aiohttp.ClientSession(connector=connector, **(settings | more))


async def read_bounded(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Return a body, read in chunks and never past its bound.

    Raises:
        EvaluationError: `oversize`; the connection must then be closed.
    """
    declared = response.content_length
    if declared is not None and declared > bytes_max:
        raise _oversize(bytes_max)
    chunks: list[bytes] = []
    size = 0
    while chunk := await response.content.readany():
        size += len(chunk)
        if size > bytes_max:
            raise _oversize(bytes_max)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def explained(error: Exception) -> EvaluationError:
    """Return what a fault of the connection, or of the reply, stands for."""
    match error:
        case TimeoutError():
            return _error("deadline", "no answer in time")
        case aiohttp.ClientPayloadError():
            return _error("malformed", "its answer ended before its end")
        case aiohttp.ClientResponseError():
            told = " ".join(f"HTTP {error.status}: {error.message}".split())
            return _error("malformed", f"what it sent is no answer ({told})")
        case aiohttp.ServerDisconnectedError():
            return _error("unavailable", "it closed the connection without an answer")
        case _:
            return _error("unavailable", f"{type(error).__name__}: {error}")


async def _whole(response: aiohttp.ClientResponse, bytes_max: int) -> Reply:
    headers = response.headers
    coding = headers.get("Content-Encoding", "")
    if coding.lower() not in _PLAIN:
        told = coding[:ERROR_CHARS_MAX]
        raise _error("malformed", f"its answer is in {told!r}, which was not asked for")
    body = await read_bounded(response, bytes_max)
    response.release()
    return Reply(response.status, headers.get("Content-Type", ""), body)


def _oversize(bytes_max: int) -> EvaluationError:
    return _error("oversize", f"an answer of more than {bytes_max} bytes")


def _error(kind: Kind, reason: str) -> EvaluationError:
    return EvaluationError(f"OPA server: {reason}"[:ERROR_CHARS_MAX], kind=kind)


class _Bounded(aiohttp.ClientResponse):
    """A reply that a library reads at once, whatever its size; here it is bounded."""

    async def read(self) -> bytes:
        if self._body is None:
            try:
                self._body = await read_bounded(self, OPA_POLICIES_BYTES_MAX)
            except BaseException:
                self.close()
                raise
        return self._body


async def _refuse_redirect(
    _session: aiohttp.ClientSession,
    _context: SimpleNamespace,
    told: aiohttp.TraceRequestRedirectParams,
) -> None:
    place = told.response.headers.get("Location", "")
    # OPA itself redirects /v1/policies/, which the library asks for.
    if told.url.join(URL(place)).origin() != told.url.origin():
        raise aiohttp.ClientError("it redirects elsewhere, which is never followed")


async def open_bounded_session(address: ServerAddress) -> aiohttp.ClientSession:
    """Return a session for a library that bounds nothing and follows redirects.

    Here they lead to the same server only.

    Raises:
        ConfigurationError: certificates cannot be loaded.
    """
    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(_refuse_redirect)
    return await open_session(address, response_class=_Bounded, trace_configs=[tracing])
