r"""An attacker: raw bytes to a node's port, and whether others are served meanwhile.

async with attacked() as target:
    answer = await target.send(b"GET / HTTP/1.1\r\n...")      # what came back, if anything
    assert answer.status == 400
# leaving asserts that another client is still served
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from bus.config.keeping import StoreSettings
from bus.core.frames import SUBPROTOCOL
from tests.fakes.nodes import Running, running_node

WAIT_S = 10.0
QUIET_S = 0.3
"""How long an answer may take to begin, and to end where the line stays open."""

JSON = "application/json"
MARKUP = "<img src=x onerror=alert(1)>"


class Answer(msgspec.Struct, frozen=True):
    """What came back. `closed` tells that the node hung up."""

    raw: bytes
    closed: bool

    @property
    def status(self) -> int:
        """The status of the first answer; 0 where there is none."""
        return int(self.raw.split(b" ", 2)[1]) if self.raw else 0

    @property
    def head(self) -> dict[str, str]:
        """The headers of the first answer, by their names in lower case."""
        lines = self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(": ") for line in lines)
        return {name.lower(): value for name, _, value in pairs}

    @property
    def answers(self) -> int:
        """How many answers there are."""
        return self.raw.count(b"HTTP/1.")

    @property
    def body(self) -> bytes:
        """All after the first head."""
        return self.raw.partition(b"\r\n\r\n")[2]


class Target:
    """A node that is attacked."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.node = running.node

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a raw connection."""
        return await asyncio.open_connection("127.0.0.1", self.node.port)

    async def send(self, *parts: bytes, quiet_s: float = QUIET_S) -> Answer:
        """Send bytes in so many pieces, and return what comes back; as `answered`."""
        reader, writer = await self.open()
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            return await answered(reader, quiet_s)
        finally:
            writer.close()

    def head(self, line: str, agent: str | None = None, **headers: str) -> bytes:
        """Return a request's head; `_` in a header's name is `-`.

        It asks the node to hang up afterwards, if it says nothing else of that.
        """
        headers = {"Connection": "close", **headers}
        lines = [f"{line} HTTP/1.1", f"Host: 127.0.0.1:{self.node.port}"]
        if agent is not None:
            lines.append(
                f"Authorization: {self.running.bearer(agent)['Authorization']}"
            )
        lines += [
            f"{name.replace('_', '-')}: {value}" for name, value in headers.items()
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def serves_others(self) -> None:
        """Publish as somebody else; fail unless it is accepted."""
        async with (
            asyncio.timeout(WAIT_S),
            self.running.client("critic") as client,
            client.post(
                "/v1/messages", json={"subject": "calm.a", "body": 1}
            ) as answer,
        ):
            assert (answer.status, (await answer.json())["status"]) == (202, "accepted")


async def answered(reader: asyncio.StreamReader, quiet_s: float = QUIET_S) -> Answer:
    """Return what comes until the line ends, or is quiet for so many seconds."""
    raw, wait_s = b"", WAIT_S
    try:
        while True:
            async with asyncio.timeout(wait_s):
                part = await reader.read(1 << 16)
            if not part:
                return Answer(raw, True)
            raw, wait_s = raw + part, quiet_s
    except TimeoutError:
        return Answer(raw, False)
    except ConnectionError:
        return Answer(raw, True)


@contextlib.asynccontextmanager
async def attacked(**sections: Any) -> AsyncIterator[Target]:
    """Run a node that keeps messages; others are served when the block is left."""
    given = {"store": StoreSettings(kind="memory"), **sections}
    async with running_node(**given) as running:
        target = Target(running)
        await target.serves_others()
        yield target
        await target.serves_others()


async def connected(
    client: ClientSession, token: str | None = None, **more: Any
) -> ClientWebSocketResponse:
    """Return a WebSocket of `assent.v1` whose first frame was sent and answered."""
    socket: ClientWebSocketResponse = await client.ws_connect(
        "/ws", protocols=(SUBPROTOCOL,), **more
    )
    first = {"op": "connect"} | ({} if token is None else {"token": token})
    assert (await said(socket, first))["op"] == "connected"
    return socket


async def said(
    socket: ClientWebSocketResponse, *items: dict[str, Any]
) -> dict[str, Any]:
    """Send a frame of JSON; return the first object that comes back."""
    sent: Any = items[0] if len(items) == 1 else list(items)
    await socket.send_str(msgspec.json.encode(sent).decode())
    return (await heard(socket))[0]


async def heard(socket: ClientWebSocketResponse) -> list[dict[str, Any]]:
    """Return the objects of the next frame."""
    got = await socket.receive(timeout=WAIT_S)
    assert got.type is WSMsgType.TEXT, got
    found = msgspec.json.decode(got.data)
    return found if isinstance(found, list) else [found]


def inside(thing: Any, *names: str) -> Any:
    """Return what a part keeps to itself, so that it can be counted."""
    return functools.reduce(getattr, names, thing)


async def closing(socket: ClientWebSocketResponse) -> int:
    """Return the code a WebSocket is closed with."""
    while (await socket.receive(timeout=WAIT_S)).type in {
        WSMsgType.TEXT,
        WSMsgType.BINARY,
    }:
        pass
    return socket.close_code or 0
