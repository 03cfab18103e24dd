"""The WebSocket of a real node, spoken to by clients that others have written."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType
from websockets.asyncio.client import ClientConnection, connect as other_client

from bus.config.keeping import StoreSettings
from bus.core.edgelimits import FRAME_BYTES_MAX
from bus.core.frames import SUBPROTOCOL
from bus.edge.http.who import COOKIE
from tests.fakes.nodes import Running, running_node

WAIT_S = 10.0
OPEN: dict[aiohttp.ClientSession, list[aiohttp.ClientWebSocketResponse]] = {}


@contextlib.asynccontextmanager
async def clients(
    node: Running, agent: str | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Give a client of the node; the sockets that `peer` opens by it are closed."""
    async with node.client(agent) as client:
        OPEN[client] = []
        try:
            yield client
        finally:
            for socket in OPEN.pop(client):
                await socket.close()


@pytest.fixture
async def node() -> AsyncIterator[Running]:
    """A node that keeps its messages in memory."""
    async with running_node(store=StoreSettings(kind="memory")) as made:
        yield made


class Peer:
    """A raw client: it writes and reads JSON."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._got: list[dict[str, Any]] = []

    async def say(self, *items: dict[str, Any]) -> None:
        """Send one frame."""
        await self.socket.send_str(msgspec.json.encode(list(items)).decode())

    async def hear(self, op: str) -> dict[str, Any]:
        """Return the next object of a kind; what comes before it is kept."""
        while True:
            for number, item in enumerate(self._got):
                if item["op"] == op:
                    return self._got.pop(number)
            got = await self.socket.receive(timeout=WAIT_S)
            assert got.type is WSMsgType.TEXT, got
            found = msgspec.json.decode(got.data)
            self._got += found if isinstance(found, list) else [found]

    async def closed(self) -> int:
        """Return the code the node closes with."""
        while True:
            got = await self.socket.receive(timeout=WAIT_S)
            if got.type is not WSMsgType.TEXT:
                assert self.socket.close_code is not None
                return self.socket.close_code


async def peer(
    client: aiohttp.ClientSession, token: str | None = None, **more: Any
) -> Peer:
    """Return a client that has asked to be connected."""
    made = Peer(await client.ws_connect("/ws", protocols=(SUBPROTOCOL,), **more))
    OPEN[client].append(made.socket)
    await made.say({"op": "connect"} | ({} if token is None else {"token": token}))
    return made


def subscribe(**more: Any) -> dict[str, Any]:
    """Return a subscribe with explicit acks."""
    return {
        "op": "subscribe",
        "id": 1,
        "sid": 1,
        "pattern": "a.>",
        "credit": 8,
        "ack": "explicit",
        **more,
    }


async def test_a_message_goes_from_one_connection_to_another(node: Running) -> None:
    """One shows its token with the request, the other in its first frame."""
    async with clients(node) as client, clients(node, "planner") as known:
        taker, giver = await peer(client, node.token("worker")), await peer(known)
        assert (await taker.hear("connected"))["agent"] == "worker"
        assert (await giver.hear("connected"))["agent"] == "planner"
        await taker.say(subscribe())
        assert (await taker.hear("subscribed"))["kept"] is True
        await giver.say(
            {"op": "publish", "id": 1, "subject": "a.b", "body": {"n": 1}},
            {"op": "publish", "id": 2, "subject": "a.c", "body": "größer"},
        )
        got = [await taker.hear("message") for _ in range(2)]
        assert [item["body"] for item in got] == [{"n": 1}, "größer"]
        told = [await giver.hear("outcome") for _ in range(2)]
        assert [item["message_id"] for item in told] == [item["id"] for item in got]
        await taker.say({"op": "ack", "sid": 1, "dids": [item["did"] for item in got]})
        await taker.say({"op": "ping", "id": 3})
        assert (await taker.hear("pong"))["id"] == 3
        assert node.node.bus.stats().in_flight == 0


async def heard(socket: ClientConnection) -> list[dict[str, Any]]:
    """Return the objects of the next frame of another's client."""
    async with asyncio.timeout(WAIT_S):
        got = await socket.recv(decode=False)
    found = msgspec.msgpack.decode(got)
    return found if isinstance(found, list) else [found]


async def test_another_s_client_speaks_messagepack(node: Running) -> None:
    """The `websockets` library, in binary frames; nothing is compressed for it."""
    url = node.url.replace("http", "ws") + "/ws"
    encode = msgspec.msgpack.encode
    async with other_client(
        url,
        subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
        additional_headers=node.bearer("worker"),
    ) as socket:
        assert socket.subprotocol == SUBPROTOCOL
        assert socket.protocol.extensions == []
        ask = subscribe(ack="auto", durable=False)
        await socket.send(encode([{"op": "connect"}, ask]))
        first = await heard(socket)
        assert [item["op"] for item in first] == ["connected", "subscribed"]
        publish = {"op": "publish", "id": 4, "subject": "a.b", "body": b"\x00"}
        await socket.send(encode({**publish, "encoding": "bin"}))
        found: list[Any] = []
        while len(found) < 2:
            found += await heard(socket)
        assert {item["op"] for item in found} == {"message", "outcome"}
        (message,) = [item for item in found if item["op"] == "message"]
        assert (message["body"], message["encoding"]) == (b"\x00", "bin")
        await socket.send(encode({"op": "nothing"}))
        assert await heard(socket) == [
            {
                "op": "error",
                "code": "malformed",
                "detail": "not a frame: Invalid value 'nothing' - at `$.op`",
            }
        ]
        await asyncio.wait_for(socket.wait_closed(), WAIT_S)
        assert socket.close_code == 4400


async def test_a_lost_line_loses_no_message(node: Running) -> None:
    """What was out when the socket broke comes again on the next one."""
    async with clients(node) as client:
        taker = await peer(client, node.token("worker"))
        await taker.say(subscribe(durable="w"))
        await taker.hear("subscribed")
        for number in range(3):
            await node.node.bus.agent("planner").publish("a.b", number)
        got = [await taker.hear("message") for _ in range(3)]
        await taker.say({"op": "ack", "sid": 1, "dids": [got[0]["did"]]})
        await taker.say({"op": "ping", "id": 1})
        await taker.hear("pong")
        connection = taker.socket._response.connection  # noqa: SLF001 - to break it
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()
        async with asyncio.timeout(WAIT_S):
            while len(node.node.connections):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
        again = await peer(client, node.token("worker"))
        await again.say(subscribe(durable="w"))
        left = [await again.hear("message") for _ in range(2)]
        assert [item["body"] for item in left] == [1, 2]
        assert {item["attempt"] for item in left} == {2}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({}, 403),
    ],
)
async def test_a_page_of_another_site_gets_no_socket(
    node: Running, headers: dict[str, str], status: int
) -> None:
    """A browser sends the session's cookie wherever the page is from; we look."""
    async with clients(node) as client:
        async with client.post(
            "/v1/session", json={"token": node.token("operator")}
        ) as answer:
            assert answer.status < 300
            cookie = f"{COOKIE}={answer.cookies[COOKIE].value}"
        sent = {"Cookie": cookie, **headers}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await peer(client, headers=sent)
        assert refused.value.status == status
        own = await peer(client, headers={"Cookie": cookie, "Origin": node.url})
        assert (await own.hear("connected"))["agent"] == "operator"


async def test_a_wrong_credential_gets_no_socket_or_is_closed(node: Running) -> None:
    """With the request it is HTTP's 401, in the first frame 4401."""
    async with clients(node) as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await peer(client, headers={"Authorization": "Bearer wrong"})
        assert refused.value.status == 401
        for token in ("wrong", None):
            nobody = await peer(client, token)
            assert await nobody.closed() == 4401


async def test_what_does_not_ask_for_the_protocol_is_told_so(node: Running) -> None:
    """Without the upgrade, or without the subprotocol."""
    async with clients(node) as client:
        async with client.get("/ws") as answer:
            assert answer.status == 400
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/ws")
        assert refused.value.status == 400


async def test_a_quarantined_agent_is_sent_away(node: Running) -> None:
    """At once, on every connection it has; others stay."""
    async with clients(node) as client:
        out, stays = (
            await peer(client, node.token("worker")),
            await peer(client, node.token("critic")),
        )
        await out.hear("connected")
        await stays.hear("connected")
        await node.node.identity.quarantine("worker", "admin", "it misbehaves")
        assert await out.closed() == 4403
        await stays.say({"op": "ping", "id": 1})
        await stays.hear("pong")


async def test_a_message_larger_than_a_frame_may_be_ends_the_connection(
    node: Running,
) -> None:
    """By the protocol's own bound, and by the line's."""
    async with clients(node) as client:
        large, huge = (
            await peer(client, node.token("worker")),
            await peer(client, node.token("worker")),
        )
        await large.socket.send_str(" " * (FRAME_BYTES_MAX + 1))
        assert await large.closed() == 4413
        with contextlib.suppress(ConnectionError):  # hung up while it was sent
            await huge.socket.send_str(" " * (FRAME_BYTES_MAX * 2 + 1))
        assert await huge.closed() in {1009, 1006}


async def test_a_node_that_stops_tells_its_connections() -> None:
    """First that it drains, then that it goes."""
    async with running_node() as node, clients(node) as client:
        one = await peer(client, node.token("worker"))
        await one.hear("connected")
        await node.node._drained()  # noqa: SLF001 - what leaving the block does first
        assert (await one.hear("draining"))["seconds"] > 0
        assert await one.closed() == 1001


async def test_a_client_that_pauses_reading_gets_all_of_it_afterwards(
    node: Running,
) -> None:
    """More than sockets hold; others are served meanwhile, and nothing is lost."""
    async with clients(node) as client:
        slow, quick = (
            await peer(client, node.token("worker")),
            await peer(client, node.token("critic")),
        )
        for one in (slow, quick):
            await one.say(subscribe(credit=1000, ack="auto"))
            await one.hear("subscribed")
        connection = slow.socket._response.connection  # noqa: SLF001 - to stop reading
        assert connection is not None
        assert connection.transport is not None
        connection.transport.pause_reading()
        for number in range(300):
            sent = await node.node.bus.agent("planner").publish(
                "a.b", {"n": number, "fill": "x" * 20_000}
            )
            sent.unwrap()
        for number in range(300):
            assert (await quick.hear("message"))["body"]["n"] == number
        connection.transport.resume_reading()
        for number in range(300):
            assert (await slow.hear("message"))["body"]["n"] == number
        await slow.say({"op": "ping", "id": 1})
        await slow.hear("pong")
