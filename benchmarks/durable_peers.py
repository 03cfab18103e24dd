"""JetStream on file storage, with the fsync it has by default and with one a message.

Rule: a real nats-server on the loopback and nats-py as its documentation shows it for
many at once. What it is compared with has more to do: it checks no policy.
"""

import asyncio
import importlib
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.contest import IN_FLIGHT, Took, one_by_one
from benchmarks.figures import BODY
from benchmarks.nats_peer import nats_server

STREAM: Final = "T"
SUBJECT: Final = "t.a"
# How the server syncs: every two minutes, which is its default, or before each answer.
SYNCS: Final = {"lazy": "2m", "always": "always"}


class JetStream:
    """One stream of a server of its own."""

    def __init__(self, name: str, stream: Any) -> None:
        self.name = name
        self._stream = stream

    async def together(self, messages: int) -> Took:
        """Publish; the client holds back while `IN_FLIGHT` are not answered."""
        publish = self._stream.publish_async
        start = time.perf_counter()
        asked = [await publish(SUBJECT, BODY) for _ in range(messages)]
        await asyncio.wait(asked)
        seconds = time.perf_counter() - start
        failures = sum(answer.exception() is not None for answer in asked)
        return Took(messages, seconds, failures)

    async def alone(self, messages: int) -> Took:
        """Publish and await the answer of each."""

        async def send() -> bool:
            answer = await self._stream.publish(SUBJECT, BODY)
            return bool(answer.stream == STREAM)

        return await one_by_one(messages, send)

    async def kept(self) -> int:
        """Ask the server how long the stream is."""
        found = await self._stream.stream_info(STREAM)
        return int(found.state.messages)

    async def empty(self) -> None:
        """Purge the stream."""
        await self._stream.purge_stream(STREAM)


@asynccontextmanager
async def jetstream(sync: str) -> AsyncIterator[JetStream]:
    """Run a server that syncs as `SYNCS` has it.

    Raises:
        ImportError: nats-py or nats-server is not there.
    """
    library = importlib.import_module("nats")
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        settings = Path(folder, "server.conf")
        text = f"jetstream {{ sync_interval: {SYNCS[sync]} }}\n"
        settings.write_text(text)  # noqa: ASYNC240 - before anything is timed
        async with nats_server("-c", str(settings)) as url:
            client = await library.connect(url)
            try:
                stream = client.jetstream(publish_async_max_pending=IN_FLIGHT)
                await stream.add_stream(name=STREAM, subjects=["t.>"])
                yield JetStream(f"jetstream, fsync {sync}", stream)
            finally:
                await client.close()
