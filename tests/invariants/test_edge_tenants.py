"""Tenants are walls: every route of a node and every frame, from the other side.

Rule: what is another tenant's is answered like what never was. Routes are read from the
application that a node serves, so a new one has its case here or the first test fails.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest

from bus.edge.http.who import COOKIE
from bus.subscription import Delivery
from tests.fakes.attackers import Target, attacked, connected, heard, inside, said
from tests.fakes.durable import eventually

THEIRS = ("globex", "spy", "secret")
"""Words of the other tenant: its name, an agent of it, a subject."""

NEVER = "0193f0c2a4b87000a1b2c3d4e5f60718"

LISTS = {
    "/v1/overview",
    "/v1/agents",
    "/v1/series",
    "/v1/approvals",
    "/v1/dead-letters",
    "/v1/streams",
    "/v1/consumers",
    "/v1/policy",
    "/v1/policy/decisions",
    "/v1/policy/revisions",
    "/v1/audit",
    "/v1/audit/verify",
    "/v1/recovery",
    "/v1/recovery/history",
    "/v1/constitution",
    "/v1/precedents",
    "/v1/governance/metrics",
    "/v1/streams/{name}/messages?name=default",
}
"""Reads that may not have a word of theirs; `globex-operator` is of another test."""


class Case(NamedTuple):
    """Who asks, and for what: `X` in the path and the body is what is theirs."""

    agent: str
    theirs: str
    never: str
    body: Any = None


def _message(body: Any = None, agent: str = "planner") -> Case:
    return Case(agent, "MESSAGE", NEVER, body)


WHY = {"reason": "x"}
SURE = {"reason": "x", "confirm": "X"}
PULL = {"pattern": "calm.>", "wait": 0.0}
NAMED = {
    "GET /v1/agents/{name}": Case("operator", "spy", "nobody"),
    "POST /v1/agents/{name}/quarantine": Case("operator", "spy", "nobody", SURE),
    "POST /v1/agents/{name}/release": Case("operator", "spy", "nobody", WHY),
    "POST /v1/agents/{name}/kill": Case("operator", "spy", "nobody", SURE),
    "GET /v1/approvals/{id}": _message(agent="operator"),
    "POST /v1/approvals/{id}/release": _message(WHY, "operator"),
    "POST /v1/approvals/{id}/refuse": _message(WHY, "operator"),
    "GET /v1/dead-letters/{id}": Case("operator", "LETTER", "999"),
    "POST /v1/dead-letters/{id}/resend": Case("operator", "LETTER", "999", {}),
    "GET /v1/messages/{id}": _message(),
    "GET /v1/messages/{id}/body": _message(),
    "GET /v1/messages/{id}/timeline": _message(),
    "GET /v1/messages/{id}/tree": _message(),
    "GET /v1/messages/{id}/why": _message(agent="operator"),
    "POST /v1/consumers/{name}/rewind": Case("operator", "theirs", "none", {"to": 1}),
    "POST /v1/consumers/{name}/pull": Case("planner", "theirs", "none", PULL),
    "POST /v1/consumers/{name}/settle": Case(
        "planner", "theirs", "none", {"items": [{"receipt": "100000001"}]}
    ),
    "DELETE /v1/consumers/{name}": Case("planner", "theirs", "none"),
    "POST /v1/policy/evaluate": Case(
        "operator", "spy", "nobody", {"agent": "X", "subject": "secret.a"}
    ),
}
"""What is asked for by its name."""

ADMINS = {
    "GET /v1/policy/data",
    "PUT /v1/policy",
    "POST /v1/recovery/{component}/approve",
    "POST /v1/recovery/{component}/cancel",
    "GET /v1/tokens",
    "POST /v1/tokens",
    "DELETE /v1/tokens/{id}",
}
"""What is the node's: an operator's credential is not good for it."""

APART = {
    "GET /livez": "says one word",
    "GET /readyz": "says one word, and more to who may see inside",
    "GET /metrics": "of the node, for who may see inside; no agent and no body in it",
    "GET /": "the console's page, the same for everybody",
    "GET /assets/{name}": "likewise",
    "GET /ws": "see the frames below",
    "GET /v1/live": "see the tail below",
    "GET /v1/events": "see the tail below",
    "POST /v1/session": "makes a session of the credential's own agent",
    "GET /v1/session": "tells of the session's own agent",
    "DELETE /v1/session": "ends one's own",
    "POST /v1/messages": "see what is published below",
    "POST /v1/messages/batch": "likewise",
    "POST /v1/requests": "likewise",
    "POST /v1/events": "likewise",
    "POST /v1/hooks/claude-code": "likewise",
    "POST /v1/compliance": "decides on what the caller itself might do",
    "POST /v1/policy/diff": "rules without data; test_operator_walls",
    "POST /v1/audit/verify": "counts only; test_operator_walls",
    "GET /v1/openapi.json": "the same for everybody",
}
"""Routes with nothing of a tenant to be named, and why."""


class Ids(NamedTuple):
    """What the other tenant has."""

    message: str
    letter: str


@asynccontextmanager
async def filled() -> AsyncIterator[tuple[Target, Ids]]:
    """Run a node where the other tenant has something of each kind."""
    async with attacked() as target:
        bus = target.node.bus

        async def handler(body: object) -> None:
            raise ValueError(body)

        spy = bus.agent("spy")
        spy.subscribe("secret.>", handler, durable="theirs", max_deliver=1)
        done = await spy.publish("secret.a", {"secret": 1})
        await eventually(lambda: letters(target) == 1)
        await bus.audit.flush()
        async with (
            target.running.client("globex-operator") as client,
            client.get("/v1/dead-letters") as answer,
        ):
            found = await answer.json()
        yield target, Ids(done.id.hex(), found["items"][0]["id"])


def letters(target: Target) -> int:
    """Return how many dead letters there are, of anybody."""
    store = target.node.bus.stats().store
    assert store is not None
    return store.letters


def routes(target: Target) -> set[str]:
    """Return every route of the node."""
    found = inside(target.node, "_app").router.routes()
    return {
        f"{one.method} {one.resource.canonical}"
        for one in found
        if one.method != "HEAD" and one.resource is not None
    }


async def ask(
    target: Target, agent: str, route: str, value: str, body: Any
) -> tuple[int, str]:
    """Ask for what `value` names; return the status, and the text without it."""
    method, _, path = route.partition(" ")
    before, brace, rest = path.partition("{")
    path = before + value + rest.partition("}")[2] if brace else path
    sent = msgspec.json.encode(body).replace(b'"X"', f'"{value}"'.encode())
    data = None if body is None else sent
    head = {"Content-Type": "application/json"} if body is not None else {}
    async with (
        target.running.client(agent) as client,
        client.request(method, path, headers=head, data=data) as answer,
    ):
        text = (await answer.read()).decode(errors="replace")
        return answer.status, text.replace(value, "X")


async def test_every_route_is_looked_at_from_the_other_side() -> None:
    """A new one has its case in one of the tables above."""
    async with attacked() as target:
        lists = {f"GET {path.partition('?')[0]}" for path in LISTS}
        known = {*lists, *NAMED, *ADMINS, *APART}
        assert routes(target) - known == set()
        assert known - routes(target) - {"GET /v1/openapi.json"} == set()


async def test_what_is_another_tenant_s_is_answered_like_what_never_was() -> None:
    """By every route that takes a name; and nothing of theirs has changed."""
    async with filled() as (target, ids):
        told = {"MESSAGE": ids.message, "LETTER": ids.letter}
        for route, (agent, theirs, never, body) in NAMED.items():
            name = told.get(theirs, theirs)
            found = await ask(target, agent, route, name, body)
            none = await ask(target, agent, route, never, body)
            assert (route, found) == (route, none)
            assert (route, "globex" in found[1]) == (route, False)
            if "consumers" not in route:
                assert (route, found[0]) == (route, 404)
        assert not target.node.identity.quarantined
        assert letters(target) == 1
        async with (
            target.running.client("globex-operator") as client,
            client.get("/v1/consumers") as answer,
        ):
            names = [one["name"] for one in (await answer.json())["items"]]
        assert names == ["theirs"]


async def test_no_list_has_a_word_of_another_tenant() -> None:
    """For an agent and for an operator; for the other side it is full of them."""
    async with filled() as (target, _):
        for path in sorted(LISTS):
            route, _, name = path.partition("?name=")
            for agent in ("planner", "operator"):
                status, text = await ask(target, agent, f"GET {route}", name, None)
                allowed = {200} if agent == "operator" else {200, 403}
                assert (path, status in allowed) == (path, True)
                assert (path, [word for word in THEIRS if word in text]) == (path, [])


async def test_a_filter_or_cursor_of_another_tenant_finds_nothing() -> None:
    """What is told in the query opens no wall."""
    tries = (
        "/v1/agents?tenant=globex",
        "/v1/dead-letters?tenant=globex",
        "/v1/consumers?tenant=globex",
        "/v1/streams?tenant=globex",
        "/v1/audit?tenant=globex",
        "/v1/approvals?tenant=globex",
        "/v1/policy/decisions?agent=spy",
        "/v1/dead-letters?after=0",
        "/v1/agents?after=s",
        "/v1/streams/default/messages?pattern=secret.>",
        "/v1/streams/globex/messages",
        "/v1/streams/..%2fglobex/messages",
        "/v1/precedents?agent=spy",
    )
    async with filled() as (target, _):
        for path in tries:
            status, text = await ask(target, "operator", f"GET {path}", "-", None)
            assert (path, status in {200, 400, 404}) == (path, True)
            assert (path, "secret.a" in text) == (path, False)


async def test_a_cursor_that_is_none_of_ours_is_refused_or_the_end() -> None:
    """Never a fault of the node's own."""
    async with attacked() as target:
        for path in sorted(LISTS):
            if path in {"/v1/overview", "/v1/policy", "/v1/constitution"}:
                continue
            for cursor in ("-1", "9" * 400, "%00", "%ED%A0%80", "%D9%A1", "1e9", "'--"):
                route, _, name = path.partition("?name=")
                route = f"GET {route}?after={cursor}"
                status, text = await ask(target, "operator", route, name, None)
                assert (route, status in {200, 400, 404}) == (route, True), text


async def test_what_is_the_nodes_is_an_admins() -> None:
    """An operator, of whatever tenant, is told that its credential is not enough."""
    async with attacked() as target:
        for route in sorted(ADMINS):
            for agent in ("planner", "operator", "globex-operator"):
                status, _ = await ask(target, agent, route, "store", {})
                assert (route, status) == (route, 403)


async def test_what_is_published_stays_in_its_tenant() -> None:
    """By every door that publishes, on a subject that the other tenant takes."""
    taken: list[str] = []

    async def handler(delivery: Delivery) -> None:
        taken.append(delivery.message.tenant)

    event = {"specversion": "1.0", "id": "1", "source": "/x", "type": "secret.a"}
    hook = {
        "hook_event_name": "PreToolUse",
        "session_id": "s",
        "tool_name": "secret",
        "tool_input": {},
    }
    one = {"subject": "secret.a", "body": 1}
    async with attacked() as target, target.running.client("planner") as client:
        target.node.bus.agent("spy").subscribe(">", handler)
        kind = {"Content-Type": "application/cloudevents+json"}
        for path, body, head in (
            ("/v1/messages", one, {}),
            ("/v1/messages/batch", {"items": [one]}, {}),
            ("/v1/requests", {**one, "timeout": 0.05}, {}),
            ("/v1/events", event, kind),
            ("/v1/hooks/claude-code", hook, {}),
        ):
            async with client.post(path, json=body, headers=head) as answer:
                assert (path, answer.status < 505) == (path, True)
        await target.node.bus.agent("spy").publish("secret.own", 1)
        await target.serves_others()
        await eventually(lambda: bool(taken))
        assert taken == ["globex"]


@pytest.mark.parametrize("path", ["/v1/live", "/v1/events"])
async def test_a_tail_has_nothing_of_another_tenant(path: str) -> None:
    """What is told next is one's own, though theirs came first."""
    async with attacked() as target, target.running.client("operator") as client:
        async with client.get(path) as answer:
            assert answer.status == 200
            await target.node.bus.agent("spy").publish("secret.a", 1)
            await target.node.bus.agent("planner").publish("calm.mark", 1)
            text = b""
            async with asyncio.timeout(10):
                while (b"calm.mark" if path == "/v1/live" else b"point") not in text:
                    text += await answer.content.readany()
        assert [word for word in THEIRS if word.encode() in text] == []


async def test_frames_that_name_what_is_another_tenant_s_do_nothing() -> None:
    """Sessions to go on with, durable names, deliveries, replies, tenants of one's own."""
    async with (
        attacked() as target,
        target.running.client("spy") as theirs,
        target.running.client("planner") as client,
    ):
        spy = await connected(theirs)
        subscribe = {"op": "subscribe", "id": 1, "sid": 1, "pattern": "secret.>"}
        held = {**subscribe, "credit": 5, "ack": "explicit", "durable": "theirs"}
        await said(spy, held)
        await target.node.bus.agent("spy").publish("secret.a", {"secret": 1})
        delivered = (await heard(spy))[0]
        mine = await connected(client)
        for frame in (
            {"op": "ack", "sid": 1, "dids": [delivered["did"]]},
            {"op": "nak", "sid": 1, "did": delivered["did"]},
            {"op": "term", "sid": 1, "did": delivered["did"]},
            {"op": "in_progress", "sid": 1, "did": delivered["did"]},
            {"op": "credit", "sid": 1, "n": 5},
            {"op": "unsubscribe", "id": 2, "sid": 1, "forget": True},
            {"op": "reply", "id": 3, "sid": 1, "did": delivered["did"], "body": 1},
        ):
            told = await said(mine, frame)
            refused = told["op"] == "error" or told.get("status") == "rejected"
            assert (frame["op"], refused, "secret" in str(told)) == (
                frame["op"],
                True,
                False,
            )
        comes_of = {"op": "publish", "id": 4, "subject": "calm.b", "body": 1}
        told = await said(mine, {**comes_of, "did": delivered["did"]})
        assert told.get("status", "rejected") == "rejected"
        # A durable name of theirs is another one here, and a subject has no tenant in it.
        told = await said(mine, {**held, "start": "all"})
        assert told["op"] == "subscribed"
        assert (await said(mine, {"op": "ping", "id": 9}))["op"] == "pong"
        # It is still theirs to settle.
        await said(spy, {"op": "ack", "sid": 1, "dids": [delivered["did"]]}, PING)
        await spy.close()
        await mine.close()


PING = {"op": "ping", "id": 99}


async def test_a_session_of_another_tenant_is_not_gone_on_with() -> None:
    """Its name is as good as none, and its line stays open."""
    async with (
        attacked() as target,
        target.running.client("spy") as theirs,
        target.running.client("planner") as client,
    ):
        spy = await theirs.ws_connect("/ws", protocols=("assent.v1",))
        name = (await said(spy, {"op": "connect"}))["session"]
        mine = await client.ws_connect("/ws", protocols=("assent.v1",))
        assert (await said(mine, {"op": "connect", "resume": name}))[
            "agent"
        ] == "planner"
        assert (await said(spy, PING))["op"] == "pong"
        await spy.close()
        await mine.close()


async def test_a_key_of_another_tenant_or_agent_is_another_key() -> None:
    """Nobody is answered with what another one was told."""
    body = {"subject": "calm.a", "body": 1}
    head = {"Idempotency-Key": "one"}
    ids = set()
    async with attacked() as target:
        for agent in ("planner", "worker", "spy", "globex-operator"):
            async with target.running.client(agent) as client:
                told: dict[str, Any] = {}
                for _ in range(2):
                    async with client.post(
                        "/v1/messages", json=body, headers=head
                    ) as answer:
                        told = await answer.json()
                ids.add(told.get("message_id", agent))
    assert len(ids) == 4


async def test_a_session_cookie_shows_its_own_agent_and_no_other() -> None:
    """Whatever else the request says of itself."""
    async with attacked() as target, target.running.client() as client:
        token = {"token": target.running.token("spy")}
        async with client.post("/v1/session", json=token) as answer:
            cookie = answer.cookies[COOKIE].value
        head = {
            "Cookie": f"{COOKIE}={cookie}",
            "X-Tenant": "acme",
            "X-Forwarded-User": "admin",
        }
        async with client.get("/v1/session", headers=head) as answer:
            told = await answer.json()
            assert (told["agent"], told["tenant"]) == ("spy", "globex")
