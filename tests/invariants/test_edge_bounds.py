"""What one client may take of a node: everything is bounded, and the rest is refused.

Rule: told by counters and codes, never by time; others are served meanwhile.
"""

import asyncio
import contextlib
from typing import Any

import pytest

from bus.config.edge import NodeSettings
from bus.core.edgelimits import SESSIONS_OF_CREDENTIAL_MAX
from bus.edge.attempts import Attempts
from bus.edge.http import ws
from bus.edge.http.api import KEYS
from bus.edge.http.guard import Guard
from bus.edge.session.allowance import Allowance
from bus.testing import FakeClock
from tests.fakes.attackers import (
    answered,
    attacked,
    closing,
    connected,
    heard,
    inside,
    said,
)
from tests.fakes.durable import eventually

FEW = NodeSettings(folder=None, agent_connections=2)


def subscribe(sid: int, **more: Any) -> dict[str, Any]:
    """Return a subscribe frame."""
    made = {"op": "subscribe", "id": sid, "sid": sid, "pattern": f"mine.a{sid}"}
    return {**made, "credit": 1, **more}


async def gathered(socket: Any, count: int) -> list[dict[str, Any]]:
    """Return so many objects that come."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        found += await heard(socket)
    return found


async def test_an_agent_has_so_many_connections_of_all_kinds() -> None:
    """WebSockets, readers of events and consumers are counted together."""
    async with (
        attacked(node=FEW) as target,
        target.running.client("planner") as client,
        contextlib.AsyncExitStack() as stack,
    ):
        first = await connected(client)
        path = "/v1/streams/default/messages"
        head = {"Accept": "text/event-stream"}
        reader = await stack.enter_async_context(client.get(path, headers=head))
        assert reader.status == 200
        async with client.get(path, headers=head) as answer:
            assert (answer.status, "Retry-After" in answer.headers) == (429, True)
        pull = {"pattern": "mine.>", "wait": 0.0}
        async with client.post("/v1/consumers/c/pull", json=pull) as answer:
            assert answer.status == 429
        socket = await client.ws_connect("/ws", protocols=("assent.v1",))
        await socket.send_json({"op": "connect"})
        assert await closing(socket) == 4429
        assert len(target.node.connections) == 2
        await target.serves_others()
        await first.close()


async def test_an_address_has_so_many_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is closed without a word, before anything is read of it."""
    guard = Guard(most_of_address=8)
    monkeypatch.setattr("bus.edge.http.serving.Guard", lambda: guard)
    async with attacked() as target:
        lines = [await target.open() for _ in range(30)]
        await asyncio.sleep(0)
        ended = [await answered(reader) for reader, _ in lines[8:]]
        assert all(one.closed and not one.raw for one in ended)
        assert len(guard) == 8
        for _, writer in lines:
            writer.close()
        await eventually(lambda: not len(guard))


async def test_a_connection_has_so_many_subscriptions_and_publishes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Past a bound a call is refused, and the connection lives."""
    few = Allowance(subscriptions=3, messages_per_second=5, in_flight=2)
    monkeypatch.setattr(ws, "Allowance", lambda: few)
    async with attacked() as target, target.running.client("planner") as client:
        socket = await connected(client)
        await said(socket, *(subscribe(sid) for sid in range(1, 5)))
        refused = await said(socket, subscribe(9))
        assert (refused["op"], refused["code"]) == ("error", "limit_exceeded")
        publish = {"op": "publish", "subject": "calm.b", "body": 1}
        rows = [{**publish, "id": number} for number in range(100, 120)]
        first = await said(socket, *rows)
        found = [first, *await gathered(socket, 1)]
        codes = {one.get("code") for one in found}
        statuses = {one.get("status") for one in found}
        while "overloaded" not in codes:
            more = await heard(socket)
            codes |= {one.get("code") for one in more}
            statuses |= {one.get("status") for one in more}
        assert "accepted" in statuses
        await socket.close()


async def test_deliveries_go_out_as_far_as_credit_and_the_bound_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A million of credit is no more than the connection's bound."""
    monkeypatch.setattr(ws, "Allowance", lambda: Allowance(in_flight=2))
    async with attacked() as target, target.running.client("planner") as client:
        socket = await connected(client)
        wide = subscribe(1, pattern="mine.>", credit=1_000_000, ack="explicit")
        await said(socket, wide)
        for number in range(10):
            await target.node.bus.agent("critic").publish("mine.a", number)
        await gathered(socket, 2)
        assert (await said(socket, {"op": "ping", "id": 7}))["op"] == "pong"
        await socket.close()


@pytest.mark.parametrize(
    ("bound", "path"),
    [
        ("bus.edge.operator.live.LIVE_TAILS_MAX", "/v1/live"),
        ("bus.edge.operator.news.NEWS_LISTENERS_MAX", "/v1/events"),
    ],
)
async def test_so_many_watch(
    bound: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a place is free again once its reader has gone."""
    monkeypatch.setattr(bound, 1)
    async with attacked() as target, target.running.client("operator") as client:
        async with client.get(path) as answer:
            assert answer.status == 200
            async with client.get(path) as other:
                assert other.status == 429
        async with asyncio.timeout(20):
            while True:
                async with client.get(path) as answer:
                    if answer.status == 200:
                        break
                await asyncio.sleep(0.05)


async def test_an_agent_has_so_many_consumers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held by the node for clients without a connection."""
    monkeypatch.setattr("bus.edge.messaging.pulls.PULLS_OF_AGENT_MAX", 2)
    async with attacked() as target, target.running.client("planner") as client:
        statuses = []
        for name in "abc":
            pull = {"pattern": "mine.>", "wait": 0.0}
            async with client.post(f"/v1/consumers/{name}/pull", json=pull) as answer:
                statuses.append(answer.status)
        assert statuses == [200, 200, 429]


async def test_a_credential_has_so_many_sessions() -> None:
    """The oldest ends, so a client that signs in for ever takes no more room."""
    async with attacked() as target, target.running.client() as client:
        token = {"token": target.running.token("planner")}
        for _ in range(SESSIONS_OF_CREDENTIAL_MAX + 5):
            client.cookie_jar.clear()
            async with client.post("/v1/session", json=token) as answer:
                assert answer.status == 200
        assert (
            len(inside(target.node.identity.sessions, "_all"))
            == SESSIONS_OF_CREDENTIAL_MAX
        )


def test_the_table_of_failed_attempts_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many addresses are tried from."""
    monkeypatch.setattr("bus.edge.attempts.ATTEMPTS_ADDRESSES_MAX", 10)
    attempts = Attempts(FakeClock().now_ns)
    for number in range(100):
        attempts.failed(f"192.0.2.{number}")
        attempts.failed(f"2001:db8:{number:x}::1")
    assert len(inside(attempts, "_failed")) == 10


async def test_keys_without_end_take_no_more_than_a_tenants_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest of one's own goes; others keep theirs."""
    monkeypatch.setattr("bus.edge.http.idempotency.IDEMPOTENCY_KEYS_MAX", 16)
    one = {"subject": "calm.a", "body": 1}
    told = []
    async with (
        attacked() as target,
        target.running.client("globex-operator") as theirs,
        target.running.client("planner") as client,
    ):
        for again in range(2):
            head = {"Idempotency-Key": "theirs"}
            async with theirs.post("/v1/messages", json=one, headers=head) as answer:
                told.append(await answer.json())
                assert ("Idempotent-Replayed" in answer.headers) is bool(again)
            for number in range(20):
                head = {"Idempotency-Key": f"k{number}"}
                async with client.post(
                    "/v1/messages", json=one, headers=head
                ) as answer:
                    assert answer.status == 202
        assert told[0] == told[1]
        assert len(inside(target.node, "_app")[KEYS]) == 1 + 4
