"""Nodes that say what no test of the real one makes it say; and answers of HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web

from bus import Failed
from bus.core import clientframes as client, serverframes as server
from bus.core.edgeerrors import ForbiddenError, UnauthenticatedError
from bus.core.errors import (
    BusNotStartedError,
    DeniedError,
    MalformedMessageError,
    OverloadedError,
    UnavailableError,
)
from bus.core.frames import BINARY, SUBPROTOCOL, encode, from_client
from bus.edge.http.serving import serve
from bus.remote.client import RemoteBus, connect
from bus.remote.line import UnreachableError
from bus.remote.reading import content
from bus.remote.web import Api
from tests.fakes.buses import Background
from tests.fakes.faces import until

LIMITS = server.Limits(
    frame_bytes=1 << 20,
    frame_items=512,
    in_flight=100,
    subscriptions=100,
    publishes_in_flight=2,
    messages_per_second=1000,
)
Socket = web.WebSocketResponse


def connected(agent: str = "planner", *, durable: bool = True) -> server.Connected:
    """Return the first word of a node."""
    return server.Connected("s1", agent, "acme", (), "odd", "r1", "c1", durable, LIMITS)


class Odd:
    """A node made by hand: `talk` has each connection after its greeting."""

    def __init__(self) -> None:
        self.lines = 0
        self.greeting: Any = connected()
        self.got: list[Any] = []
        self.talk: Callable[[Socket], Awaitable[None]] = self.listen

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Greet, and talk."""
        self.lines += 1
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,))
        await socket.prepare(request)
        await socket.receive()
        await self.say(socket, self.greeting)
        with contextlib.suppress(ConnectionError):
            await self.talk(socket)
        return socket

    async def say(self, socket: Socket, *frames: Any) -> None:
        """Send frames."""
        await socket.send_bytes(encode(BINARY, frames))

    async def listen(self, socket: Socket) -> None:
        """Keep what comes; a subscription ends when it is to."""
        async for read in socket:
            found = from_client(BINARY, read.data)
            self.got += found
            for one in found:
                if isinstance(one, client.Unsubscribe):
                    await self.say(socket, server.Unsubscribed(one.id, one.sid, 0))

    async def heard(self, socket: Socket) -> list[Any]:
        """Return the next objects."""
        read = await socket.receive()
        found = from_client(BINARY, read.data) if read.data else []
        self.got += found
        return found


@contextlib.asynccontextmanager
async def serving(handle: Any) -> AsyncIterator[str]:
    """Serve a handler for every path."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with serve(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


def planner(url: str, **options: Any) -> RemoteBus:
    """Return a connection, to enter."""
    return connect(url, **{"token": "t", **options})


async def refused(url: str) -> None:
    """Connect, where that must fail."""
    async with planner(url):
        pass


def accepted(number: int) -> server.Outcome:
    """Return an outcome."""
    return server.Outcome(number, "accepted", "00" * 16, 1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnauthenticatedError),
        (403, ForbiddenError),
        (429, OverloadedError),
        (503, UnreachableError),
    ],
)
async def test_an_upgrade_that_is_refused_says_why(status: int, kind: type) -> None:
    """By its status."""

    async def refuse(request: web.Request) -> web.Response:
        del request
        return web.Response(status=status)

    async with serving(refuse) as url:
        with pytest.raises(kind):
            await refused(url)


async def test_what_is_no_node_is_not_spoken_to() -> None:
    """Another protocol, another first word, none at all."""

    async def other(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        return socket

    async with serving(other) as url:
        with pytest.raises(UnreachableError, match=SUBPROTOCOL):
            await refused(url)
    for greeting, kind in (
        (server.Pong(1), MalformedMessageError),
        (server.Error("denied", "no", reasons=("no",)), DeniedError),
    ):
        odd = Odd()
        odd.greeting = greeting

        async def leave(socket: Socket) -> None:
            await socket.close(code=4403)

        odd.talk = leave
        async with serving(odd.handle) as url:
            with pytest.raises(kind):
                await refused(url)


async def test_another_agent_behind_the_same_credential_ends_it() -> None:
    """Nobody becomes somebody else by a lost line."""
    odd = Odd()

    async def once(socket: Socket) -> None:
        odd.greeting = connected("critic")
        await socket.close()

    odd.talk = once
    async with serving(odd.handle) as url:
        remote = await planner(url)
        await until(lambda: not remote.running)
        with pytest.raises(BusNotStartedError, match="critic"):
            await remote.agent().publish("a", 1)
        await remote.close()


async def test_a_frame_that_is_none_ends_the_connection() -> None:
    """It is said whose fault it is."""
    odd = Odd()

    async def babble(socket: Socket) -> None:
        await socket.send_bytes(b"\xc1")
        await odd.listen(socket)

    odd.talk = babble
    async with serving(odd.handle) as url:
        remote = await planner(url)
        await until(lambda: not remote.running)
        with pytest.raises(BusNotStartedError, match="the node's frame"):
            remote.agent().subscribe("a", print_nothing)
        await remote.close()


async def print_nothing(body: Any) -> None:
    """Handle nothing."""
    del body


async def test_a_text_frame_loses_the_line() -> None:
    """And another one is looked for."""
    odd = Odd()

    async def text(socket: Socket) -> None:
        odd.talk = odd.listen
        await socket.send_str("{}")
        await odd.listen(socket)

    odd.talk = text
    async with serving(odd.handle) as url:
        remote = await planner(url)
        await until(lambda: remote.lines == 2)
        await remote.close(drain=0)


async def test_a_frame_of_ours_that_is_blamed_is_not_sent_again() -> None:
    """What a node cannot read would end every line."""
    odd = Odd()

    async def blame(socket: Socket) -> None:
        await odd.heard(socket)
        odd.talk = odd.listen
        await odd.say(socket, server.Error("malformed", "what is that"))
        await socket.close(code=4400)

    odd.talk = blame
    async with serving(odd.handle) as url:
        remote = await planner(url)
        outcome = await remote.agent().publish("a", 1)
        assert isinstance(outcome, Failed)
        assert "not known" in outcome.reason
        await until(lambda: remote.lines == 2)
        await remote.close(drain=0)
    assert len(odd.got) == 1


async def test_a_node_that_drains_is_asked_again_elsewhere() -> None:
    """What it does not take waits for the next line."""
    odd = Odd()

    async def drain(socket: Socket) -> None:
        await odd.say(socket, server.Draining(1.0))
        (asked,) = await odd.heard(socket)
        odd.talk = answer
        await odd.say(socket, server.Error("not_started", "draining", asked.id))
        await socket.close(code=1001)

    async def answer(socket: Socket) -> None:
        (asked,) = await odd.heard(socket)
        await odd.say(socket, accepted(asked.id))
        await odd.listen(socket)

    odd.talk = drain
    async with serving(odd.handle) as url:
        remote = await planner(url)
        outcome = await remote.agent().publish("a", 1)
        assert outcome.unwrap().deliveries == 1
        await remote.close(drain=0)
    first, second = (one for one in odd.got if isinstance(one, client.Publish))
    assert first.dedup == second.dedup


async def test_publishers_wait_for_room() -> None:
    """As many calls are under way as the node allows, in the order of who waits."""
    odd = Odd()
    async with serving(odd.handle) as url, Background() as background:
        remote = await planner(url)
        agent = remote.agent()
        tasks = [background.run(agent.publish("a", number)) for number in range(5)]
        await until(lambda: len(odd.got) == 2)
        await asyncio.sleep(0.02)
        assert len(odd.got) == 2
        tasks[4].cancel()
        tasks[0].cancel()
        await until(lambda: len(odd.got) == 3)
        await remote.close(drain=0)
        outcomes = [await tasks[number] for number in (1, 2, 3)]
    assert all(isinstance(one, BusNotStartedError) for one in outcomes)


async def test_a_subscription_that_the_node_ends_says_why() -> None:
    """What comes for it afterwards is given back, and late settlings are counted."""
    odd = Odd()

    async def end(socket: Socket) -> None:
        (asked,) = await odd.heard(socket)
        sid = asked.sid
        raw = msgspec.Raw(msgspec.msgpack.encode(1))
        message = server.Message(
            sid, 7, "00" * 16, "a", raw, "application/msgpack", "event", 1,
            "critic", "acme", 1, 1, 0, "r1",
        )  # fmt: skip
        await odd.say(
            socket,
            server.Subscribed(asked.id, sid, kept=False),
            server.Error("already_settled", "too late", sid=sid, did=3),
            server.Error("already_settled", "too late", sid=99, did=3),
            server.Missed(sid, 2),
            server.Missed(99, 2),
            server.Ended(sid, "denied", "not any more"),
            server.Pong(12345),
            message,
        )
        await odd.listen(socket)

    odd.talk = end
    async with serving(odd.handle) as url:
        remote = await planner(url)
        subscription = remote.agent().subscribe("a", print_nothing)
        await subscription.finished()
        assert isinstance(subscription.failure, DeniedError)
        assert subscription.stale == 1
        assert [gap.count for gap in remote.gaps] == [2]
        assert await remote.agent().unsubscribe(subscription) == 0
        await until(lambda: any(isinstance(one, client.Nak) for one in odd.got))
        await remote.close(drain=0)


def test_json_under_another_name_is_a_body_like_any() -> None:
    """It arrives as a value, and is no fault of the node's that ends the connection."""
    raw = msgspec.Raw(msgspec.msgpack.encode({"a": 1}))
    for name in ("application/cloudevents+json", "application/json; charset=utf-8"):
        assert content(raw, name, None) == (b'{"a":1}', name)
    with pytest.raises(MalformedMessageError, match="without an encoding"):
        content(raw, "image/png", None)


async def test_what_waits_here_keeps_its_lease() -> None:
    """Where more was asked for than there are handlers."""
    odd = Odd()
    gate = asyncio.Event()

    async def send(socket: Socket) -> None:
        (asked,) = await odd.heard(socket)
        assert asked.credit == 3
        raw = msgspec.Raw(msgspec.msgpack.encode(1))
        messages = [
            server.Message(
                asked.sid, did, "00" * 16, "a", raw, "application/msgpack", "event", 1,
                "critic", "acme", 1, 1, 0, "r1",
            )
            for did in (1, 2)
        ]  # fmt: skip
        await odd.say(socket, server.Subscribed(asked.id, asked.sid, kept=True))
        await odd.say(socket, *messages)
        await odd.listen(socket)

    async def work(body: Any) -> None:
        del body
        await gate.wait()

    odd.talk = send
    async with serving(odd.handle) as url:
        remote = await planner(url, prefetch=2)
        await remote.agent().subscribe("a", work).ready()
        await until(lambda: client.InProgress in {type(one) for one in odd.got})
        kept = {one.did for one in odd.got if isinstance(one, client.InProgress)}
        assert kept == {2}
        gate.set()
        await until(lambda: len([1 for o in odd.got if isinstance(o, client.Ack)]) >= 1)
        await remote.close(drain=0)


@pytest.mark.parametrize(
    ("status", "media", "body", "kind"),
    [
        (200, "text/html", b"<p>", MalformedMessageError),
        (200, "application/json", b"{", MalformedMessageError),
        (503, "text/html", b"<p>", Exception),
        (503, "application/problem+json", b'{"code": "unavailable"}', UnavailableError),
        (403, "application/problem+json", b'{"code": "denied"}', DeniedError),
    ],
)
async def test_answers_of_http_that_are_not_what_was_asked_for(
    status: int, media: str, body: bytes, kind: type[Exception]
) -> None:
    """Each is an error of who must act."""

    async def answer(request: web.Request) -> web.Response:
        del request
        return web.Response(status=status, body=body, content_type=media)

    async with serving(answer) as url, Api(url, None) as api:
        with pytest.raises(kind):
            await api.get("/v1/overview")


async def test_nothing_is_an_answer_too() -> None:
    """204 has no body."""

    async def answer(request: web.Request) -> web.Response:
        del request
        return web.Response(status=204)

    async with serving(answer) as url, Api(url, "t") as api:
        assert await api.post("/v1/x") is None
    with pytest.raises(UnreachableError):
        async with Api(url, "t") as api:
            await api.get("/v1/x")
