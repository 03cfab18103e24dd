"""Who sends a request: what it shows, read from it and given to `Identity`.

Rule: an Authorization header counts before a cookie, and a cookie before a certificate;
what is there and wrong is not passed over. What a browser shows by itself (a cookie, a
certificate) is good for a write and a WebSocket only from a page of our own; a cookie is
good for a write only with its CSRF token.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from bus.core.edgeerrors import ForbiddenError, UnauthenticatedError
from bus.edge.caller import Caller, Presented
from bus.edge.identity import Identity

Who = Callable[[web.Request], Awaitable[Caller]]
"""Returns the caller of a request; raises as `Identity.authenticate`, or `ForbiddenError`."""

COOKIE: Final = "assent_session"
CSRF_HEADER: Final = "X-CSRF-Token"
_BEARER: Final = "bearer "
_SCHEMES: Final = frozenset({"http", "https"})  # TLS may end in front of the node
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def who_of(identity: Identity) -> Who:
    """Return what tells the caller of a request."""

    async def who(request: web.Request) -> Caller:
        shown = presented(request)
        caller = await identity.authenticate(shown)
        if shown.session is not None and shown.bearer is None:
            _check_session(request, identity, shown.session)
        elif shown.certificate is not None and shown.bearer is None:
            _check_certificate(request)
        return caller

    return who


def presented(request: web.Request, bearer: str | None = None) -> Presented:
    """Return what a request shows; `bearer` is a token that came in another way.

    Raises:
        UnauthenticatedError: an Authorization header that is no bearer token.
    """
    given = request.headers.getall("Authorization", ())
    if bearer is None and given:
        if len(given) > 1 or given[0][: len(_BEARER)].lower() != _BEARER:
            raise UnauthenticatedError("send one 'Authorization: Bearer TOKEN'")
        bearer = given[0][len(_BEARER) :].strip(" ")
    if bearer is not None:
        return Presented(address=request.remote or "", bearer=bearer)
    return Presented(
        address=request.remote or "",
        session=request.cookies.get(COOKIE),
        certificate=certificate_of(request),
    )


def certificate_of(request: web.Request) -> bytes | None:
    """Return the certificate of the peer as DER, if TLS has asked for one and got it."""
    transport = request.transport
    line = None if transport is None else transport.get_extra_info("ssl_object")
    found = None if line is None else line.getpeercert(binary_form=True)
    return found if isinstance(found, bytes) else None


def own_origin(request: web.Request) -> bool:
    """Tell whether a request comes from a page of our own, or from no page at all."""
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}
    scheme, _, authority = origin.partition("://")
    if authority.lower() != request.host.lower():
        return False
    return scheme == "https" if request.secure else scheme in _SCHEMES


def _check_certificate(request: web.Request) -> None:
    """Refuse what a page of another site lets a browser send: it names its origin."""
    writes = request.method not in _READS or "Upgrade" in request.headers
    if writes and not own_origin(request):
        raise ForbiddenError("a certificate is not for pages of other sites")


def _check_session(request: web.Request, identity: Identity, session: str) -> None:
    if request.method in _READS:
        upgrades = "Upgrade" in request.headers
        if upgrades and (
            request.headers.get("Origin") is None or not own_origin(request)
        ):
            raise ForbiddenError("a session is for pages of this node's own")
        return
    if not own_origin(request):
        raise ForbiddenError("a session is for pages of this node's own")
    if not identity.sessions.guards(session, request.headers.get(CSRF_HEADER)):
        raise ForbiddenError(
            f"a write of a session needs its token in the header {CSRF_HEADER}"
        )
