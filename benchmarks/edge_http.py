"""Publishing over HTTP, many connections at once, each with one request under way.

Rule: requests are written before the clock starts, and of an answer only its status and
length are looked at, so that a client costs little and the same whoever answers.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Final

from benchmarks.contest import BrokenContestError, Took
from benchmarks.edge_node import SENDER
from benchmarks.edge_servers import Server
from bus.cli.measures.load import drawn, subject_name, task

CONNECTIONS: Final = 32
ANSWER_S: Final = 30.0
ACCEPTED: Final = 202
REQUESTS: Final = 64  # written ahead; then from the first one again
_LENGTH: Final = b"content-length:"
_HEAD: Final = (
    "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    "{more}Content-Length: {length}\r\n\r\n"
)


def written(path: str, body: bytes, token: str | None) -> bytes:
    """Return a request as it goes over the line."""
    more = "" if token is None else f"Authorization: Bearer {token}\r\n"
    return _HEAD.format(path=path, more=more, length=len(body)).encode() + body


def publishes(token: str | None) -> list[bytes]:
    """Return requests that publish, of the load's subjects and body."""
    one = task()
    body = {"name": one.name, "probe": one.probe, "text": one.text}
    return [
        written(
            "/v1/messages",
            json.dumps({"subject": subject_name(subject), "body": body}).encode(),
            token,
        )
        for subject in drawn(REQUESTS).subjects
    ]


class Connection:
    """One connection that is kept open."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return the status and body of the answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        _, found, rest = head.lower().partition(_LENGTH)
        if not found:
            raise BrokenContestError(f"an answer of unknown length: {head!r}")
        body = await self._reader.readexactly(int(rest.partition(b"\r\n")[0]))
        return int(head[9:12]), body

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()


async def connected(port: int) -> Connection:
    """Return a connection to a server of this machine."""
    return Connection(*await asyncio.open_connection("127.0.0.1", port))


class Requests:
    """Publishes over HTTP to one server. `name` is what it is called."""

    def __init__(self, server: Server, lines: list[Connection]) -> None:
        self.name = server.name
        self.processor_us: list[float] = []
        self._server = server
        self._lines = lines
        self._requests = publishes(server.tokens.get(SENDER))
        self._answered = 0

    async def together(self, messages: int) -> Took:
        """Publish on all connections at once."""
        left, failures = messages, 0

        async def work(line: Connection) -> None:
            nonlocal left, failures
            while left > 0:
                left -= 1
                request = self._requests[left % REQUESTS]
                status, _ = await line.ask(request)
                failures += status != ACCEPTED

        start, before_s = time.perf_counter(), self._server.cpu_s()
        async with asyncio.timeout(ANSWER_S + messages), asyncio.TaskGroup() as group:
            for line in self._lines:
                group.create_task(work(line))
        seconds = time.perf_counter() - start
        self.processor_us.append((self._server.cpu_s() - before_s) / messages * 1e6)
        self._answered += messages - failures
        return Took(messages, seconds, failures)

    async def alone(self, messages: int) -> Took:
        """Publish on one connection, one after the other."""
        lines, self._lines = self._lines, self._lines[:1]
        try:
            return await self.together(messages)
        finally:
            self._lines = lines

    async def kept(self) -> int:
        """Return how many were answered for: who has them is counted by the node."""
        return self._answered

    async def empty(self) -> None:
        """Leave it: nothing is kept."""


async def requests(stack: AsyncExitStack, server: Server) -> Requests:
    """Connect to a server until the stack is left."""
    lines = [await connected(server.port) for _ in range(CONNECTIONS)]
    for line in lines:
        stack.push_async_callback(line.close)
    return Requests(server, lines)
