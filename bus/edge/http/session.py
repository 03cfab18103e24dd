"""Signing in and out of a browser: POST, GET and DELETE /v1/session.

Rule: the cookie is HttpOnly and SameSite=Strict, so scripts cannot read it and no other
site can send it; the CSRF token is told only to who reads an answer of this node.
"""

import asyncio
from typing import Annotated, Final

import msgspec
from aiohttp import web

from bus.core.edgeerrors import ForbiddenError, UnauthenticatedError
from bus.core.edgelimits import (
    CREDENTIAL_CHARS_MAX,
    SESSION_BODY_BYTES_MAX,
    SESSION_READ_S,
)
from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.edge.caller import Caller
from bus.edge.http.problems import HttpError
from bus.edge.http.who import COOKIE, CSRF_HEADER, own_origin, presented
from bus.edge.identity import Identity
from bus.edge.operator.told import rfc3339
from bus.edge.sessions import Session

PATH: Final = "/v1/session"


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person signs in with."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=CREDENTIAL_CHARS_MAX)]


class SessionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in. `csrf` goes with every write, `expires` is RFC 3339 in UTC."""

    agent: str
    tenant: str
    roles: tuple[str, ...]
    scope: str
    csrf: str
    expires: str


_decode: Final = msgspec.json.Decoder(SignIn).decode
_encode: Final = msgspec.json.Encoder().encode


def add_routes(app: web.Application, identity: Identity) -> None:
    """Serve PATH."""

    async def sign_in(request: web.Request) -> web.Response:
        if not own_origin(request):
            raise ForbiddenError("sign in from a page of this node's own")
        token = await _token(request)
        value, session, caller = await identity.sign_in(presented(request, token))
        identity.sign_out(request.cookies.get(COOKIE, ""))
        answer = _answer(session, caller)
        answer.set_cookie(
            COOKIE,
            value,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        return answer

    async def signed_in(request: web.Request) -> web.Response:
        value = request.cookies.get(COOKIE, "")
        session = identity.sessions.find(value)
        if session is None:
            raise UnauthenticatedError("nobody is signed in here")
        return _answer(session, identity.admit(session.proof))

    async def sign_out(request: web.Request) -> web.Response:
        value = request.cookies.get(COOKIE, "")
        csrf = request.headers.get(CSRF_HEADER)
        if not own_origin(request) or not identity.sessions.guards(value, csrf):
            raise ForbiddenError(
                f"signing out needs the session's token in {CSRF_HEADER}"
            )
        identity.sign_out(value)
        answer = web.Response(status=204)
        answer.del_cookie(COOKIE, path="/")
        return answer

    app.router.add_post(PATH, sign_in)
    app.router.add_get(PATH, signed_in, allow_head=False)
    app.router.add_delete(PATH, sign_out)


async def _token(request: web.Request) -> str:
    """Return the token in the body; a form of another site cannot send such a body."""
    if request.content_type != "application/json":
        raise HttpError("unsupported_media_type", "send application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(SESSION_READ_S):
            async for part in request.content.iter_any():
                body += part
                if len(body) > SESSION_BODY_BYTES_MAX:
                    raise LimitExceededError(
                        "body bytes", actual=len(body), allowed=SESSION_BODY_BYTES_MAX
                    )
    except TimeoutError:
        raise MalformedMessageError("the body did not come in time") from None
    try:
        return _decode(body).token
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # What is wrong with it is not told: it may quote a secret.
        raise MalformedMessageError('the body is {"token": "..."} as JSON') from None


def _answer(session: Session, caller: Caller) -> web.Response:
    told = SessionAnswer(
        agent=caller.agent,
        tenant=caller.tenant,
        roles=caller.roles,
        scope=caller.scope.value,
        csrf=session.csrf,
        expires=rfc3339(session.expires_ns),
    )
    return web.Response(
        body=_encode(told),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
