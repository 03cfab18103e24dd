"""Credentials under attack: forged, over, replayed, sent by a page of another site.

Rule: over a real node, by every way in; what each part checks by itself is tested there.
"""

import ast
import base64
import inspect
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography import x509

from bus.adapters.clock import SystemClock
from bus.config.edge import CertificateSettings, HttpSettings, IssuerSettings
from bus.core.frames import SUBPROTOCOL
from bus.edge import sessions, tokens
from bus.edge.http.api import KEYS
from bus.edge.http.who import COOKIE, CSRF_HEADER
from tests.fakes.attackers import (
    JSON,
    Target,
    answered,
    attacked,
    closing,
    connected,
    inside,
)
from tests.fakes.identities import AUDIENCE, ISSUER, Authority, Signer, claims, jwks
from tests.fakes.nodes import Running, new_node, settings

SOON_S = 0.2
OTHER = "https://other.example"
FORM = "application/x-www-form-urlencoded"


def now_s() -> int:
    """Return the time, in seconds since the epoch."""
    return SystemClock().now_ns() // 1_000_000_000


async def let_in(target: Target, token: str) -> bool:
    """Tell whether a token lets in; fail unless every way in says the same."""
    head = {"Authorization": f"Bearer {token}"}
    async with target.running.client() as client:
        async with client.get("/v1/constitution", headers=head) as answer:
            status = answer.status
        async with client.post("/v1/session", json={"token": token}) as answer:
            signed_in = answer.status == 200
        socket = await client.ws_connect("/ws", protocols=(SUBPROTOCOL,))
        await socket.send_json({"op": "connect", "token": token})
        got = await socket.receive(timeout=10)
        spoken = got.type is aiohttp.WSMsgType.TEXT and '"connected"' in got.data
        if not spoken:
            assert await closing(socket) in {4400, 4401}
        await socket.close()
    assert status in {200, 401}
    assert (status == 200) is signed_in is spoken
    return spoken


# Forged, over, replayed.


async def test_a_token_that_is_not_whole_and_valid_lets_nobody_in() -> None:
    """Truncated, longer, of another case, of another token's secret, over, revoked."""
    async with attacked() as target:
        good, other = target.running.token("planner"), target.running.token("admin")
        past = SystemClock().now_ns() - 1
        assert await let_in(target, good)
        wrong = [
            good[:-1],
            good + "0",
            good.upper(),
            good[:-64] + other[-64:],
            good[:-64] + "0" * 64,
            await target.running.add_token("planner", expires_ns=past),
            await target.running.add_token("planner", revoked_ns=past),
        ]
        for one in wrong:
            assert (one, await let_in(target, one)) == (one, False)
        await target.node.identity.revoke(tokens.id_of(good))
        assert not await let_in(target, good)


@pytest.fixture
def issuer(tmp_path: Path) -> tuple[Signer, IssuerSettings]:
    """An issuer that speaks for acme, with its key in a file."""
    signer, file = Signer(), tmp_path / "keys.json"
    file.write_bytes(jwks(signer))
    told = IssuerSettings(
        issuer=ISSUER, audience=AUDIENCE, jwks_file=file, tenants=("acme",)
    )
    return signer, told


async def test_a_forged_jwt_lets_nobody_in(
    issuer: tuple[Signer, IssuerSettings],
) -> None:
    """No algorithm, one of another family, another issuer's, another key's, or over."""
    (mine, told), theirs = issuer, Signer()
    said = claims(now_s(), roles=["all"])
    good = mine.sign(said)
    head, body, signature = good.split(".")
    public = base64.urlsafe_b64decode(mine.jwk["x"] + "=")
    wrong = {
        "none": jwt.encode(said, "", algorithm="none", headers={"kid": "k1"}),
        "hmac": jwt.encode(said, public, algorithm="HS256", headers={"kid": "k1"}),
        "no signature": f"{head}.{body}.",
        "another signature": f"{head}.{body}.{theirs.sign(said).split('.')[2]}",
        "another key": theirs.sign(said),
        "another issuer": mine.sign({**said, "iss": "https://other.example"}),
        "another audience": mine.sign({**said, "aud": "other"}),
        "another tenant": mine.sign({**said, "sub": "spy", "tenant": "globex"}),
        "a tenant not its own": mine.sign({**said, "sub": "spy"}),
        "a scope above": mine.sign({**said, "scope": "admin"}),
        "a role it has not": mine.sign({**said, "roles": ["operator"]}),
        "over": mine.sign(claims(now_s() - 700)),
        "not yet": mine.sign(claims(now_s() + 3_600)),
        "without end": mine.sign({**said, "exp": now_s() + 10**9}),
        "critical": mine.sign(said, crit=["x"]),
        "truncated": good[:-2],
        "deep": f"{head}.{base64.urlsafe_b64encode(b'[' * 5_000).decode()}.{signature}",
    }
    async with attacked(issuers=(told,)) as target:
        assert await let_in(target, good)
        assert await let_in(target, good)  # within its life it is a bearer's
        for name, one in wrong.items():
            shown = {"Authorization": f"Bearer {one}"}
            async with (
                target.running.client() as client,
                client.get("/v1/constitution", headers=shown) as answer,
            ):
                refused = answer.status in {400, 401, 429}
            assert (name, refused) == (name, True)
        await target.node.identity.revoke_all("planner")
        assert not await let_in(target, good)


def test_secrets_are_compared_in_constant_time() -> None:
    """By reading: every comparison of a secret is `hmac.compare_digest`."""
    for function in (tokens.matches, sessions.Sessions.guards):
        tree = ast.parse(inspect.getsource(function).strip())
        calls = [
            node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]
        compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
        assert calls.count("compare_digest") == 1
        kinds = {type(op) for one in compared for op in one.ops}
        assert kinds <= {ast.Is, ast.IsNot}


async def test_the_text_of_a_token_is_told_once_and_kept_nowhere() -> None:
    """Not for who asks again under its key, though the token is made once."""
    async with attacked() as target, target.running.client("admin") as client:
        head, body = {"Idempotency-Key": "one"}, {"agent": "planner"}
        async with client.post("/v1/tokens", json=body, headers=head) as answer:
            assert answer.status == 201
            text = (await answer.json())["token"]
        async with client.post("/v1/tokens", json=body, headers=head) as answer:
            assert (answer.status, text in await answer.text()) == (409, False)
        async with client.get("/v1/tokens?agent=planner") as answer:
            told = await answer.json()
            assert len(told["items"]) == 2
            assert text not in str(told)
        keys = inside(target.node, "_app")[KEYS]
        kept = [
            one.body
            for theirs in inside(keys, "_tenants").values()
            for one in theirs.values()
        ]
        assert kept == [b""]


async def test_guesses_without_end_are_refused_and_take_no_room() -> None:
    """Others at the same address are let in all the while."""
    async with attacked() as target, target.running.client() as client:
        seen = set()
        for number in range(60):
            head = {"Authorization": f"Bearer assent_{number:016x}_{'0' * 64}"}
            async with client.get("/v1/constitution", headers=head) as answer:
                seen.add(answer.status)
        assert seen == {401, 429}
        assert len(inside(target.node.identity, "_attempts", "_failed")) == 1
        assert await let_in(target, target.running.token("worker"))


# Sent by a page of another site.


@asynccontextmanager
async def signed_in(target: Target) -> AsyncIterator[tuple[dict[str, str], str]]:
    """Give the header of an admin's cookie, and the session's CSRF token."""
    token = {"token": target.running.token("admin")}
    async with (
        target.running.client() as client,
        client.post("/v1/session", json=token) as answer,
    ):
        csrf = (await answer.json())["csrf"]
        cookie = answer.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Strict")
    yield {"Cookie": f"{COOKIE}={cookie.value}"}, csrf


async def test_a_page_of_another_site_writes_nothing_by_a_cookie() -> None:
    """By no form, no script and no method, even where the browser sent the cookie."""
    async with attacked() as target, signed_in(target) as (cookie, csrf):
        own = target.running.url
        refused: list[dict[str, str]] = [
            {},
            {"Origin": OTHER},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": own},
            {"Origin": own, CSRF_HEADER: ""},
            {"Origin": own, CSRF_HEADER: "0" * 64},
            {"Origin": OTHER, CSRF_HEADER: csrf},
            {"Origin": own.replace("http", "ftp"), CSRF_HEADER: csrf},
            {"Origin": own + "0", CSRF_HEADER: csrf},
        ]
        writes = (
            ("POST", "/v1/messages"),
            ("POST", "/v1/agents/planner/kill"),
            ("POST", "/v1/recovery/store/approve"),
            ("POST", "/v1/tokens"),
            ("PUT", "/v1/policy"),
            ("DELETE", "/v1/session"),
            ("DELETE", "/v1/consumers/x"),
        )
        async with target.running.client() as client:
            for method, path in writes:
                for more in refused:
                    head = {**cookie, **more, "Content-Type": JSON}
                    async with client.request(
                        method, path, data=b"{}", headers=head
                    ) as answer:
                        assert (path, more, answer.status) == (path, more, 403)
            for kind in (FORM, "text/plain", "multipart/form-data; boundary=x", ""):
                head = {
                    **cookie,
                    "Origin": own,
                    CSRF_HEADER: csrf,
                    "Content-Type": kind,
                }
                async with client.post(
                    "/v1/messages", data="{}", headers=head
                ) as answer:
                    assert (kind, answer.status) == (kind, 415)
                head = {"Content-Type": kind}
                async with client.post(
                    "/v1/session", data="{}", headers=head
                ) as answer:
                    assert (kind, answer.status) == (kind, 415)


async def test_no_answer_lets_a_page_of_another_site_read_it() -> None:
    """There is no CORS: a preflight is answered with what is there, and no leave."""
    async with attacked() as target, target.running.client("admin") as client:
        ask = {"Origin": OTHER, "Access-Control-Request-Method": "POST"}
        for method in ("OPTIONS", "GET", "POST"):
            for path in ("/v1/messages", "/v1/agents", "/", "/livez", "/metrics"):
                async with client.request(method, path, headers=ask) as answer:
                    names = [name.lower() for name in answer.headers]
                    assert [n for n in names if n.startswith("access-control")] == []


@contextmanager
def certified(tmp_path: Path) -> Iterator[tuple[dict[str, Any], ssl.SSLContext]]:
    """Give the settings of a node over TLS, and what shows a certificate to it."""
    authority = Authority()
    host = x509.IPAddress(IPv4Address("127.0.0.1"))
    certificate, key, _ = authority.issue("node", host)
    uri = x509.UniformResourceIdentifier("spiffe://main/admin")
    mine, my_key, _ = authority.issue("admin", uri)
    for name, content in (
        ("cert", certificate),
        ("key", key),
        ("ca", authority.pem),
        ("mine", mine + my_key),
    ):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(content)
    http = HttpSettings(
        port=0,
        cert_file=tmp_path / "cert",
        key_file=tmp_path / "key",
        client_ca_file=tmp_path / "ca",
    )
    told = CertificateSettings(agent="admin", uri="spiffe://main/admin", scope="admin")
    shows = ssl.create_default_context(cadata=authority.pem.decode())
    shows.load_cert_chain(tmp_path / "mine")
    yield {"http": http, "certificates": (told,)}, shows


def over_tls(tmp_path: Path) -> tuple[Running, ssl.SSLContext]:
    """Return a node that is not started; it reads files, so before the loop runs."""
    with certified(tmp_path) as (sections, shows):
        return Running(new_node(given=settings(**sections))), shows


@pytest.fixture
def tls(tmp_path: Path) -> tuple[Running, ssl.SSLContext]:
    """A node over TLS, not started, and what shows the certificate of an admin."""
    return over_tls(tmp_path)


async def test_a_page_of_another_site_does_nothing_by_a_certificate(
    tls: tuple[Running, ssl.SSLContext],
) -> None:
    """A browser shows it by itself, as it does a cookie; programs name no origin."""
    running, shows = tls
    async with running.node:
        line = aiohttp.TCPConnector(ssl=shows)
        async with running.client(connector=line) as client:
            for more in ({"Origin": OTHER}, {"Sec-Fetch-Site": "cross-site"}):
                for path in ("/v1/recovery/store/approve", "/v1/audit/verify"):
                    async with client.post(path, headers=more) as answer:
                        assert (path, answer.status) == (path, 403)
                hook = "/v1/hooks/claude-code"
                async with client.post(hook, data="{}", headers=more) as answer:
                    assert "pages of other sites" in await answer.text()
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await client.ws_connect(
                        "/ws", protocols=(SUBPROTOCOL,), headers=more
                    )
                assert refused.value.status == 403
            async with client.get("/v1/tokens") as answer:
                assert answer.status == 200
                assert "max-age" in answer.headers["Strict-Transport-Security"]
            one = {"subject": "calm.a", "body": 1}
            async with client.post("/v1/messages", json=one) as answer:
                assert (await answer.json())["code"] == "no_responders"
            await (await connected(client)).close()


async def test_a_tls_handshake_that_never_ends_is_closed(
    tls: tuple[Running, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow-loris before there is any HTTP; others get through."""
    monkeypatch.setattr("bus.edge.http.serving.TLS_HANDSHAKE_S", SOON_S)
    running, shows = tls
    async with running.node:
        target = Target(running)
        lines = [await target.open() for _ in range(5)]
        for _, writer in lines:
            writer.write(b"\x16\x03\x01\x02\x00")
        line = aiohttp.TCPConnector(ssl=shows)
        async with (
            running.client(connector=line) as client,
            client.get("/livez") as answer,
        ):
            assert answer.status == 200
        for reader, writer in lines:
            found = await answered(reader)
            while not found.closed:
                found = await answered(reader)
            writer.close()


async def test_a_name_that_leads_here_is_not_this_machine() -> None:
    """DNS rebinding: a page asks its own name, which its owner points at us."""
    async with attacked() as target:
        port = target.node.port
        for path in ("/metrics", "/readyz?verbose"):
            for host in (
                f"evil.example:{port}",
                "127.0.0.1.evil.example",
                "[",
                "10.0.0.1",
            ):
                head = (
                    f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                )
                found = await target.send(head.encode())
                assert (host, found.status in {400, 401}) == (host, True)
            for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
                head = (
                    f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                )
                assert (await target.send(head.encode())).status == 200
