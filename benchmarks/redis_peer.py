"""Redis Streams with `appendfsync always`: answered once it is on disk, as Assent is.

Rule: a real redis-server on the loopback, redis-py with its fast parser. Many at once
are pipelines, which is how its documentation says it; the server syncs for what it has
read, so a pipeline shares its fsyncs. It checks no policy.
"""

import asyncio
import importlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from benchmarks.contest import IN_FLIGHT, Took, one_by_one
from benchmarks.figures import BODY
from benchmarks.nats_peer import answer

STREAM: Final = "s"
FIELDS: Final = {"body": BODY}


class RedisStream:
    """One stream of a server of its own."""

    name = "redis, appendfsync always"

    def __init__(self, client: Any) -> None:
        self._client = client

    async def together(self, messages: int) -> Took:
        """Add in pipelines of `IN_FLIGHT`."""
        failures = 0
        start = time.perf_counter()
        for first in range(0, messages, IN_FLIGHT):
            pipeline = self._client.pipeline(transaction=False)
            for _ in range(min(IN_FLIGHT, messages - first)):
                pipeline.xadd(STREAM, FIELDS)
            ids = await pipeline.execute(raise_on_error=False)
            failures += sum(not isinstance(id_, bytes) for id_ in ids)
        return Took(messages, time.perf_counter() - start, failures)

    async def alone(self, messages: int) -> Took:
        """Add, and await the id of each."""

        async def send() -> bool:
            return isinstance(await self._client.xadd(STREAM, FIELDS), bytes)

        return await one_by_one(messages, send)

    async def kept(self) -> int:
        """Ask the server how long the stream is."""
        return int(await self._client.xlen(STREAM))

    async def empty(self) -> None:
        """Delete the stream: it is held in memory."""
        await self._client.delete(STREAM)


@asynccontextmanager
async def redis_stream() -> AsyncIterator[RedisStream]:
    """Run a server that syncs before it answers.

    Raises:
        ImportError: redis-py or redis-server is not there.
    """
    library = importlib.import_module("redis.asyncio")
    program = shutil.which("redis-server")
    if program is None:
        raise ImportError(
            "redis-server is not in PATH: install the package redis-server"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        options = {"bind": "127.0.0.1", "port": str(port), "dir": folder}
        options |= {"appendonly": "yes", "appendfsync": "always", "save": ""}
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        server = await asyncio.create_subprocess_exec(
            program, *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            await answer(port, "redis-server")
            async with library.Redis(host="127.0.0.1", port=port) as client:
                yield RedisStream(client)
        finally:
            server.terminate()
            await server.wait()
