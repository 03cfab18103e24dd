"""`python -m benchmarks.edge_relay LOOP`: bare aiohttp that carries the same frames.

Rule: nothing is checked, stamped, decided or recorded. At `/ws` a publish becomes a
message for every subscriber and an outcome for its publisher, in the frames of
`assent.v1`; at `/raw` what comes goes to all others as it is. `/v1/messages` parses the
same body as the node's, and answers as much.
"""

import asyncio
import itertools
import json
import sys
import time
from typing import Final

import msgspec
from aiohttp import WSMsgType, web

from benchmarks.edge_files import soft_limit_raised
from bus.cli.loops import runner
from bus.core import clientframes as client, frames, serverframes as server
from bus.core.frame import Frame
from bus.core.frames import BINARY, SUBPROTOCOL
from bus.edge.messaging import asked

WINDOW_BYTES: Final = 4 << 20
REVISION: Final = "0123456789abcdef"
DIGEST: Final = "0" * 64
ID: Final = "0" * 32
PUBLISH: Final = msgspec.json.Decoder(asked.Publish)
ENCODE: Final = msgspec.json.Encoder().encode


class Relay:
    """Who is connected, and who of them has subscribed under which number."""

    def __init__(self) -> None:
        self.sockets: list[web.WebSocketResponse] = []
        self.subscribers: dict[web.WebSocketResponse, int] = {}
        self._dids = itertools.count(1)

    async def frames(self, request: web.Request) -> web.WebSocketResponse:
        """Speak the protocol's frames."""
        socket = await opened(request)
        try:
            async for got in socket:
                if got.type is WSMsgType.BINARY:
                    items = frames.from_client(BINARY, got.data)
                    await self._carry(socket, items)
        finally:
            self.subscribers.pop(socket, None)
        return socket

    async def raw(self, request: web.Request) -> web.WebSocketResponse:
        """Send what comes to everybody, back to its sender as well."""
        socket = await opened(request)
        self.sockets.append(socket)
        try:
            async for got in socket:
                for other in self.sockets:
                    await other.send_bytes(got.data)
        finally:
            self.sockets.remove(socket)
        return socket

    async def _carry(
        self, socket: web.WebSocketResponse, items: list[client.FromClient]
    ) -> None:
        answers: list[Frame] = []
        published = []
        for item in items:
            if isinstance(item, client.Publish):
                published.append(item)
                answers.append(_outcome(item.id))
            elif isinstance(item, client.Subscribe):
                self.subscribers[socket] = item.sid
                answers.append(server.Subscribed(item.id, item.sid, kept=False))
            elif isinstance(item, client.Ping):
                answers.append(server.Pong(item.id))
        for other, sid in self.subscribers.items() if published else ():
            made = [self._message(sid, item) for item in published]
            await other.send_bytes(frames.encode(BINARY, made))
        if answers:
            await socket.send_bytes(frames.encode(BINARY, answers))

    def _message(self, sid: int, item: client.Publish) -> server.Message:
        return server.Message(
            sid,
            next(self._dids),
            ID,
            item.subject,
            item.body,
            BINARY.content_type,
            item.type,
            item.priority,
            "somebody",
            "bench",
            time.time_ns(),
            1,
            0,
            REVISION,
        )


def _outcome(call: int) -> server.Outcome:
    told = (False, "", "", (), "", REVISION, "", DIGEST, True)
    return server.Outcome(call, "accepted", ID, 1, *told)


async def opened(request: web.Request) -> web.WebSocketResponse:
    """Upgrade, as the node does."""
    socket = web.WebSocketResponse(
        protocols=(SUBPROTOCOL,), compress=False, max_msg_size=WINDOW_BYTES
    )
    await socket.prepare(request)
    return socket


async def message(request: web.Request) -> web.Response:
    """Parse a message as the node does, and answer something of the same size."""
    given = PUBLISH.decode(await request.read())
    told = asked.Outcome(
        status="accepted",
        message_id=ID,
        revision=REVISION,
        decision_id=ID,
        digest=DIGEST,
        cached=given.idempotency_key is None,
        deliveries=1,
    )
    return web.Response(body=ENCODE(told), status=202, content_type="application/json")


async def serve() -> None:
    """Serve until standard input ends."""
    relay, app = Relay(), web.Application()
    app.router.add_get("/ws", relay.frames)
    app.router.add_get("/raw", relay.raw)
    app.router.add_post("/v1/messages", message)
    serving = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await serving.setup()
    await web.TCPSite(serving, "127.0.0.1", 0, backlog=1_024).start()
    try:
        port = serving.addresses[0][1]
        print(json.dumps({"port": port, "tokens": {}}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
    finally:
        await serving.cleanup()


if __name__ == "__main__":
    soft_limit_raised()
    with runner(sys.argv[1]) as runs:
        runs.run(serve())
