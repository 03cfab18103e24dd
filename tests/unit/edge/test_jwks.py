"""Keys over HTTP: what is taken, and what is not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from bus.config.edge import IssuerSettings
from bus.core.edgelimits import JWKS_BYTES_MAX
from bus.core.errors import UnavailableError
from bus.edge.http import jwks as module
from bus.edge.http.jwks import fetch_of
from bus.edge.http.serving import serve
from tests.fakes.identities import AUDIENCE, ISSUER, Desk, Signer, claims, jwks


def told(url: str) -> IssuerSettings:
    """Return an issuer whose keys are at `url`."""
    return IssuerSettings(
        issuer=ISSUER, audience=AUDIENCE, jwks_url=url, tenants=("acme",)
    )


@contextlib.asynccontextmanager
async def issuer(document: bytes = b"", **changes: Any) -> AsyncIterator[str]:
    """Serve a document, and a redirect to it; give its URL."""

    async def keys(_: web.Request) -> web.Response:
        return web.Response(body=document, **changes)

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("/keys")

    app = web.Application()
    app.router.add_get("/keys", keys)
    app.router.add_get("/elsewhere", elsewhere)
    async with serve(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}/keys"


async def test_keys_over_http_let_an_agent_in() -> None:
    """From this machine it may be without TLS."""
    signer = Signer()
    async with issuer(jwks(signer)) as url:
        one = told(url)
        assert await fetch_of(one)() == jwks(signer)
        desk = await _desk(one)
        caller = await desk.ask(signer.sign(claims(desk.now_s)))
        assert caller.agent == "planner"


async def _desk(one: IssuerSettings) -> Desk:
    return await asyncio.to_thread(Desk, issuers=(one,), fetch=fetch_of(one))


async def test_no_redirect_is_followed_and_only_200_counts() -> None:
    """Who was named says which keys count, and nobody else."""
    async with issuer(jwks(Signer())) as url:
        fetch = fetch_of(told(url.replace("/keys", "/elsewhere")))
        with pytest.raises(UnavailableError, match="status 302"):
            await fetch()
    async with issuer(status=500) as url:
        with pytest.raises(UnavailableError, match="status 500"):
            await fetch_of(told(url))()
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1"):
        await fetch_of(told(url))()  # nobody is there any more


async def test_what_is_too_long_or_too_late_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bounded in bytes and in time."""
    async with issuer(b" " * (JWKS_BYTES_MAX + 1)) as url:
        with pytest.raises(UnavailableError, match="at most"):
            await fetch_of(told(url))()
    monkeypatch.setattr(module, "JWKS_FETCH_S", 1e-9)
    async with issuer(jwks(Signer())) as url:
        with pytest.raises(UnavailableError):
            await fetch_of(told(url))()
