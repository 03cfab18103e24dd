"""Who connects and says nothing, says it slowly, or comes too often."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from bus.edge.http.guard import Guard
from bus.edge.http.serving import serve
from tests.fakes.durable import eventually

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@contextlib.asynccontextmanager
async def guarded(guard: Guard) -> AsyncIterator[int]:
    """Serve one slow path behind a guard."""

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(float(request.query.get("seconds", "0")))
        return web.Response(text="done")

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application()
    app.router.add_get("/", slow)
    app.router.add_post("/", echo)
    async with serve(app, "127.0.0.1", 0, guard=guard) as port:
        yield port


async def ended(reader: asyncio.StreamReader) -> bool:
    """Tell whether the connection ends without a word, within five seconds."""
    async with asyncio.timeout(5):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True


async def test_who_sends_no_whole_head_is_closed_however_it_dribbles() -> None:
    """Slow-loris: a byte now and then does not keep the place."""
    guard = Guard(head_s=0.2)
    async with guarded(guard) as port:
        silent, quiet = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def dribble() -> None:
            for byte in b"GET / HTTP/1.1\r\nA: " + b"a" * 200:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(dribble())
            assert await ended(silent)
            assert await ended(reader)
            task.cancel()
        writer.close()
        quiet.close()
        assert len(guard) == 0


async def test_a_head_may_come_in_parts_and_then_time_is_the_servers() -> None:
    """The answer may take longer than the head, and more requests may follow."""
    guard = Guard(head_s=0.2)
    async with guarded(guard) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = HEAD.replace(b"/ ", b"/?seconds=0.4 ")
        for part in (head[:-3], head[-3:-1], head[-1:]):
            writer.write(part)
            await asyncio.sleep(0.02)
        assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
        writer.write(HEAD)
        assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
        writer.close()


@pytest.mark.parametrize("bounds", [{"most": 2}, {"most_of_address": 2}])
async def test_past_the_bounds_a_connection_is_closed_at_once(
    bounds: dict[str, int],
) -> None:
    """Of an address and of all; those that are there go on, and make room."""
    guard = Guard(**bounds)
    async with guarded(guard) as port:
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in kept:
            writer.write(HEAD)
            await reader.readuntil(b"done")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await ended(reader)
        writer.close()
        assert len(guard) == 2
        kept[0][1].close()
        await eventually(lambda: len(guard) < 2)
        again, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD)
        assert await again.readuntil(b"done")
        writer.close()
        kept[1][1].close()


@pytest.mark.parametrize("size", [0, 70_000, 900_000])
async def test_bodies_go_through_unchanged(size: int) -> None:
    """Both ways, whatever the transport pauses."""
    async with guarded(Guard()) as port, aiohttp.ClientSession() as client:
        body = bytes(range(256)) * (size // 256)
        for _ in range(2):
            url = f"http://127.0.0.1:{port}/"
            async with client.post(url, data=body) as answer:
                assert await answer.read() == body
