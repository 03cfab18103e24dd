"""A node in this process: who it lets in, what it says of itself, how it ends."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bus.adapters.tokens import QuarantineRow, TokenFile
from bus.config.edge import HttpSettings, NodeSettings
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.edgelimits import ATTEMPTS_MAX, SESSION_BODY_BYTES_MAX
from bus.core.errors import BusAlreadyStartedError, ConfigurationError
from bus.edge.caller import Caller, Scope
from bus.edge.connections import Ending
from tests.fakes.durable import eventually
from tests.fakes.nodes import Running, data, new_node, presented, running_node, settings


class Line:
    """A connection that notes how it ends, and gives its place back."""

    def __init__(self, running: Running, caller: Caller) -> None:
        self.told: list[float | str] = []
        self._connections = running.node.connections
        self._place = self._connections.enter(caller, self)

    def draining(self, seconds: float) -> None:
        """Note it."""
        self.told.append(seconds)

    def end(self, ending: Ending) -> None:
        """Note it and go."""
        self.told.append(ending.code)
        self._connections.leave(self._place)


async def status(client: aiohttp.ClientSession, path: str, **options: Any) -> int:
    """Return the status of a GET."""
    async with client.get(path, **options) as answer:
        return answer.status


async def audited(running: Running, event: str) -> list[str]:
    """Return the details of an event's records."""
    audit: Any = running.node.bus.audit
    await audit.flush()
    return [entry.detail for entry in audit.tail(1_000) if entry.event == event]


# Tokens.


async def test_a_token_makes_its_agent_the_caller() -> None:
    """With tenant, roles and scope."""
    async with running_node() as running:
        caller = await running.caller("operator")
        assert (caller.agent, caller.tenant) == ("operator", "acme")
        assert caller.scope is Scope.OPERATOR
        with pytest.raises(UnauthenticatedError):
            await running.node.identity.authenticate(
                presented(running.token("operator")[:-1] + "x")
            )


async def test_an_admin_makes_tokens_that_hold_and_ends_them() -> None:
    """The text is in one answer and nowhere else; all of it is recorded."""
    async with running_node() as running, running.client("admin") as client:
        wish = {"agent": "worker", "scope": "operator", "seconds": 60, "label": "a b"}
        async with client.post("/v1/tokens", json=wish) as answer:
            made = await answer.json()
            assert answer.status == 201
        assert (made["tenant"], made["state"], made["made_by"]) == (
            "acme",
            "valid",
            "admin",
        )
        header = {"Authorization": f"Bearer {made['token']}"}
        async with aiohttp.ClientSession(running.url, headers=header) as theirs:
            async with client.get("/v1/tokens?agent=worker") as answer:
                text = await answer.text()
                assert made["id"] in text
                assert made["token"].split("_")[2] not in text
            assert await status(theirs, "/v1/tokens") == 403
            async with client.delete(f"/v1/tokens/{made['id']}") as answer:
                assert (await answer.json())["state"] == "revoked"
            assert await status(theirs, "/v1/tokens") == 401
        assert (
            f"token {made['id']} for worker, operator"
            in (await audited(running, "token_made"))[0]
        )
        assert made["id"] in (await audited(running, "token_revoked"))[0]
        audit: Any = running.node.bus.audit
        assert made["token"] not in repr(audit.tail(1_000))


WISHES: list[tuple[dict[str, Any], str]] = [
    ({"agent": "nobody"}, "unknown_agent"),
    ({"agent": "worker", "roles": ["judge"]}, "usage"),
    ({"agent": "worker", "scope": "root"}, "malformed"),
    ({"agent": "worker", "seconds": 0}, "malformed"),
    ({"agent": "worker", "seconds": 1e99}, "malformed"),
    ({"agent": "worker", "label": "a\nb"}, "usage"),
    ({"agent": "worker", "tenant": "globex"}, "malformed"),
    ({}, "malformed"),
]


async def test_a_token_that_cannot_be_is_not_made() -> None:
    """And nothing is kept of it."""
    async with running_node() as running, running.client("admin") as client:
        before = len(running.node.tokens.held.tokens)
        for wish, code in WISHES:
            async with client.post("/v1/tokens", json=wish) as answer:
                assert (await answer.json())["code"] == code, wish
        assert len(running.node.tokens.held.tokens) == before


async def test_tokens_are_told_in_pages_and_to_admins_only() -> None:
    """An operator's scope is not enough; a token that is not there is not found."""
    async with running_node() as running, running.client("admin") as client:
        ids: list[str] = []
        path = "/v1/tokens?limit=3"
        while path:
            async with client.get(path) as answer:
                page = await answer.json()
            ids += [item["id"] for item in page["items"]]
            after = page["next"]
            path = f"/v1/tokens?limit=3&after={after}" if after else ""
        assert ids == sorted(running.node.tokens.held.tokens)
        async with client.delete("/v1/tokens/0000") as answer:
            assert answer.status == 404
        async with running.client("operator") as theirs:
            assert await status(theirs, "/v1/tokens") == 403
            async with theirs.post("/v1/tokens", json={"agent": "worker"}) as answer:
                assert answer.status == 403


async def test_without_a_credential_that_holds_nothing_is_told() -> None:
    """401 with how to come; the same for a path that has nothing at that id."""
    wrong = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"Authorization": ""},
        {"Cookie": "assent_session=wrong"},
    ]
    async with running_node() as running, running.client() as client:
        for headers in wrong:
            for path in ("/v1/tokens", "/v1/tokens?agent=nobody"):
                async with client.get(path, headers=headers) as answer:
                    assert answer.status == 401, headers
                    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                    assert (await answer.json())["code"] == "unauthenticated"


async def test_two_credentials_in_one_request_are_none() -> None:
    """Which of them counts would be a guess."""
    async with running_node() as running, running.client() as client:
        token = running.bearer("admin")["Authorization"]
        headers = [("Authorization", token), ("Authorization", token)]
        assert await status(client, "/v1/tokens", headers=headers) == 401
        lower = {"Authorization": token.replace("Bearer", "bearer")}
        assert await status(client, "/v1/tokens", headers=lower) == 200


async def test_brute_force_is_limited_and_recorded() -> None:
    """After so many in vain it is 429, with when to come again; a holder still gets in."""
    async with running_node() as running, running.client() as client:
        for number in range(ATTEMPTS_MAX + 5):
            wrong = {"Authorization": f"Bearer {number}"}
            async with client.get("/v1/tokens", headers=wrong) as answer:
                limited = number >= ATTEMPTS_MAX
                assert answer.status == (429 if limited else 401)
                assert ("Retry-After" in answer.headers) is limited
        assert len(await audited(running, "unauthenticated")) == ATTEMPTS_MAX
        headers = running.bearer("admin")
        assert await status(client, "/v1/tokens", headers=headers) == 200


# Sessions of browsers.


async def _signed_in(running: Running, client: aiohttp.ClientSession) -> dict[str, Any]:
    token = {"token": running.token("admin")}
    async with client.post("/v1/session", json=token) as answer:
        assert answer.status == 200
        cookie = answer.headers["Set-Cookie"]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
            assert part in cookie
        assert "Secure" not in cookie  # no TLS here
        assert answer.headers["Cache-Control"] == "no-store"
        made: dict[str, Any] = await answer.json()
        return made


async def test_a_browser_signs_in_writes_with_its_csrf_token_and_signs_out() -> None:
    """Reading needs the cookie; writing needs what only a page of our own knows."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with running_node() as running, running.client(cookie_jar=jar) as client:
        told = await _signed_in(running, client)
        assert (told["agent"], told["tenant"], told["scope"]) == (
            "admin",
            "acme",
            "admin",
        )
        async with client.get("/v1/session") as answer:
            assert await answer.json() == told
        assert await status(client, "/v1/tokens") == 200
        wish = {"agent": "worker"}
        for csrf in ({}, {"X-CSRF-Token": "wrong"}, {"X-CSRF-Token": ""}):
            async with client.post("/v1/tokens", json=wish, headers=csrf) as answer:
                assert answer.status == 403
        csrf = {"X-CSRF-Token": told["csrf"]}
        evil = {**csrf, "Origin": "https://evil.example"}
        async with client.post("/v1/tokens", json=wish, headers=evil) as answer:
            assert answer.status == 403
        own = {**csrf, "Origin": running.url}
        async with client.post("/v1/tokens", json=wish, headers=own) as answer:
            assert answer.status == 201
        async with client.delete("/v1/session") as answer:
            assert answer.status == 403
        cookies = [f"{one.key}={one.value}" for one in jar]
        async with client.delete("/v1/session", headers=csrf) as answer:
            assert answer.status == 204
        assert await status(client, "/v1/session") == 401
        replayed = {"Cookie": cookies[0]}
        assert await status(client, "/v1/tokens", headers=replayed) == 401


SIGNING_IN: list[tuple[dict[str, str], bytes | None, int]] = [
    ({"Origin": "https://evil.example"}, None, 403),
    ({"Origin": "null"}, None, 403),
    ({"Sec-Fetch-Site": "cross-site"}, None, 403),
    ({"Content-Type": "text/plain"}, None, 415),
    ({}, b"", 400),
    ({}, b"[]", 400),
    ({}, b'{"token": ""}', 400),
    ({}, b'{"token": "wrong"}', 401),
    ({}, b'{"token": "a", "more": 1}', 400),
    ({}, b"\xff", 400),
    ({}, b"[" * 5_000, 400),
    ({}, b" " * (SESSION_BODY_BYTES_MAX + 1), 413),
]


async def test_signing_in_from_elsewhere_or_with_anything_else_is_refused() -> None:
    """No cookie is set, and what was sent is not told back."""
    async with running_node() as running, running.client() as client:
        usual = f'{{"token": "{running.token("admin")}"}}'.encode()
        for headers, body, expected in SIGNING_IN:
            sent = {"Content-Type": "application/json", **headers}
            data = usual if body is None else body
            async with client.post("/v1/session", data=data, headers=sent) as answer:
                assert answer.status == expected, (headers, body)
                assert "Set-Cookie" not in answer.headers
                assert "assent_" not in await answer.text()


async def test_a_websocket_by_a_session_comes_from_a_page_of_our_own() -> None:
    """A browser sends the cookie whoever's page it is; what it says of the page counts."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with running_node() as running, running.client(cookie_jar=jar) as client:
        await _signed_in(running, client)
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            headers = {**upgrade, **origin}
            assert await status(client, "/v1/tokens", headers=headers) == 403
        own = {**upgrade, "Origin": running.url}
        assert await status(client, "/v1/tokens", headers=own) == 200


# Connections.


async def test_connections_end_with_their_credential() -> None:
    """Revoked, quarantined, expired, or policy took it back: each with why."""
    policy = data()
    async with running_node(policy) as running:
        node = running.node
        lines = {}
        for agent in ("planner", "critic", "worker", "intern"):
            lines[agent] = Line(running, await running.caller(agent))
        text = await running.add_token("spy", expires_ns=node.now_ns() + 10**8)
        shown = await node.identity.authenticate(presented(text))
        lines["spy"] = Line(running, shown)
        token_id = running.token("planner").split("_")[1]
        await node.identity.revoke(token_id)
        assert lines["planner"].told == ["unauthenticated"]
        await node.identity.quarantine("critic", "warden", "it leaks")
        assert lines["critic"].told == ["quarantined"]
        await eventually(lambda: lines["spy"].told == ["unauthenticated"])
        assert lines["worker"].told == lines["intern"].told == []
        policy["agents"]["worker"]["roles"] = ["narrow"]
        await node.bus.reload_policy()
        await eventually(lambda: lines["worker"].told == ["unauthenticated"])
        assert lines["intern"].told == []
    assert lines["intern"].told[-1] == "going_away"


async def test_what_is_done_beside_a_node_ends_connections_and_survives_it(
    tmp_path: Path,
) -> None:
    """Another process revokes and quarantines; the next node knows of it as well."""
    path = tmp_path / "tokens.sqlite"
    kept = NodeSettings(folder=None, tokens_file=path)
    async with running_node(node=kept) as running:
        beside = await asyncio.to_thread(TokenFile, path)
        lines = {}
        for agent in ("planner", "critic", "worker"):
            lines[agent] = Line(running, await running.caller(agent))
        texts = {agent: running.token(agent) for agent in lines}
        token_id = texts["planner"].split("_")[1]
        await asyncio.to_thread(beside.revoke, token_id, running.node.now_ns())
        await eventually(lambda: lines["planner"].told == ["unauthenticated"])
        row = QuarantineRow(agent="critic", by="a test", reason="a drill", since_ns=1)
        await asyncio.to_thread(beside.quarantine, row)
        await eventually(lambda: lines["critic"].told == ["quarantined"])
        assert lines["worker"].told == []
        ended = await audited(running, "token_revoked")
        assert ended == [f"token {token_id}; beside the node"]
        await asyncio.to_thread(beside.close)
    async with new_node(given=settings(node=kept)) as node:
        authenticate = node.identity.authenticate
        assert node.identity.quarantined == {"critic": row}
        assert (await authenticate(presented(texts["worker"]))).agent == "worker"
        for agent in ("planner", "critic"):
            with pytest.raises(UnauthenticatedError):
                await authenticate(presented(texts[agent]))


async def test_a_node_that_stops_tells_who_is_connected_and_lets_nobody_in() -> None:
    """First that it drains and how long, then that it ends."""
    async with running_node() as running:
        line = Line(running, await running.caller("planner"))
        caller = await running.caller("worker")
    assert line.told == [running.node.settings.bus.drain_seconds, "going_away"]
    with pytest.raises(Exception, match="the node stops"):
        Line(running, caller)


# The node itself.


async def test_health_is_for_everybody() -> None:
    """Alive and ready, once the bus runs; the details are of every part."""
    async with running_node() as running, running.client() as client:
        for path, text in (("/livez", "ok\n"), ("/readyz", "ready\n")):
            async with client.get(path) as answer:
                assert (answer.status, await answer.text()) == (200, text)
        async with client.get("/readyz?verbose") as answer:
            assert "[+] credentials read: read" in await answer.text()
        async with client.get("/metrics") as answer:
            assert running.node.bus.revision in await answer.text()


async def test_a_tokens_file_that_cannot_be_read_is_not_ready() -> None:
    """Revocations would not be seen, so nobody should send anybody here."""
    async with running_node() as running, running.client() as client:
        await running.node.tokens.close()

        async def said() -> bool:
            async with client.get("/readyz?verbose") as answer:
                return "[-] credentials read: tokens" in await answer.text()

        await eventually(said)


async def test_a_node_starts_once() -> None:
    """The second time is an error, and the first goes on."""
    async with running_node() as running:
        with pytest.raises(BusAlreadyStartedError):
            await running.node.__aenter__()
        async with running.client() as client:
            assert await status(client, "/livez") == 200


async def test_a_node_whose_port_is_taken_does_not_start() -> None:
    """And leaves nothing running."""
    async with running_node() as running:
        taken = settings(http=HttpSettings(port=running.node.port))
        other = new_node(given=taken)
        with pytest.raises(ConfigurationError, match="cannot serve"):
            await other.__aenter__()
        assert not other.bus.running


async def test_a_failure_of_the_nodes_own_is_raised_when_it_ends() -> None:
    """It is told at once to who runs the node."""

    class BrokenError(Exception):
        """A fault."""

    async def broken() -> None:
        raise BrokenError

    node = new_node()

    async def run() -> None:
        async with node:
            node.identity.refresh = broken  # type: ignore[method-assign]  # the fault
            async with asyncio.timeout(5):
                await node.failed.wait()

    with pytest.raises(BrokenError):
        await run()


@pytest.mark.parametrize(
    ("admin", "agent"), [("operator", "operator"), (None, "admin")]
)
async def test_the_first_token_is_an_admins_and_made_once(
    admin: str | None, agent: str
) -> None:
    """Of the agent that the settings name, or of `admin`."""
    node = new_node(given=settings(node=NodeSettings(folder=None, admin=admin)))
    async with node:
        text = await node.first_token()
        assert text is not None
        caller = await node.identity.authenticate(presented(text))
        assert (caller.agent, caller.scope) == (agent, Scope.ADMIN)
        assert await node.first_token() is None


async def test_without_an_admin_in_policy_there_is_no_first_token() -> None:
    """Unless one is named, and then it has to be there."""
    policy = data()
    del policy["agents"]["admin"]
    async with new_node(policy) as node:
        assert await node.first_token() is None
        assert node.tokens.held.tokens == {}
    named = settings(node=NodeSettings(folder=None, admin="nobody"))
    async with new_node(policy, named) as node:
        with pytest.raises(ConfigurationError, match=r"node\.admin"):
            await node.first_token()
