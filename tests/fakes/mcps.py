"""Clients of MCP for tests: the SDK's own, in process, over a real node.

async with tools(running, "intern") as call:
    outcome = await call("publish", subject="notes.a", body=1)     # what it returns
    code = await call.fault("publish", subject="tasks.a")          # the code of its error
"""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from mcp import Client
from mcp.types import CallToolResult, TextContent

from bus.config.keeping import StoreSettings
from bus.crew import Crew
from bus.edge.mcp import server, serving
from bus.edge.mcp.door import Door
from bus.edge.mcp.words import Node
from bus.remote.web import Api
from tests.fakes.nodes import Running, data, running_node

for name in ("jsonschema", "httpcore2"):  # the client would do so within the loop
    importlib.import_module(name)

TOKEN = "the-token-that-callers-show"  # noqa: S105 - of a test
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "a test", "version": "1"},
    },
}
ACCEPT = {"Accept": "application/json, text/event-stream"}
END_S = 10

MODES = ("2026-07-28", "legacy")
"""The protocol of now, and the one that begins with a handshake."""


class Calls:
    """Calls tools of one client."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Return what a tool returns; an error fails the test."""
        result = await self.result(name, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return dict(result.structured_content)

    async def result(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        """Return the result of a call."""
        result = await self.client.call_tool(name, arguments)
        assert isinstance(result, CallToolResult)
        return result

    async def fault(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Return what is told of an error; a call that goes well fails the test."""
        result = await self.result(name, arguments)
        assert result.is_error, result.structured_content
        assert result.structured_content is not None, result.content
        [text] = result.content
        assert isinstance(text, TextContent)
        assert text.text.startswith(f"{result.structured_content['code']}: ")
        return dict(result.structured_content)

    async def refused(self, name: str, /, **arguments: Any) -> str:
        """Return why arguments were refused by the schema."""
        result = await self.result(name, arguments)
        assert result.is_error
        assert result.structured_content is None
        [text] = result.content
        assert isinstance(text, TextContent)
        return text.text


@asynccontextmanager
async def calls(node: Node, mode: str = MODES[0]) -> AsyncIterator[Calls]:
    """Give a client of the tools of a node's HTTP interface."""
    async with (
        server.serving(node, "0.0.0") as made,
        Client(made, mode=mode) as client,
    ):
        yield Calls(client)


@asynccontextmanager
async def tools(
    running: Running, agent: str, mode: str = MODES[0]
) -> AsyncIterator[Calls]:
    """Give a client of a node's tools that acts as an agent."""
    async with (
        Api(running.url, running.token(agent)) as api,
        calls(api, mode) as made,
    ):
        yield made


@asynccontextmanager
async def kept_node(**sections: Any) -> AsyncIterator[Running]:
    """Run a node with a store; `intern` may ask those who govern."""
    policy = data()
    narrow = policy["roles"]["narrow"]
    narrow["publish"].append(
        {"subject": "governance.requests", "types": ["governance_request"]}
    )
    store = StoreSettings(kind="memory")
    async with running_node(policy, **{"store": store, **sections}) as running:
        yield running


@asynccontextmanager
async def in_a_task(
    made: AbstractAsyncContextManager[Calls],
) -> AsyncIterator[Calls]:
    """Enter and leave a client in one task, as it needs, for a fixture that has two."""
    ready: asyncio.Future[Calls] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def hold() -> None:
        async with made as call:
            ready.set_result(call)
            await over.wait()

    crew = Crew(ready.set_exception)
    task = crew.employ(hold(), "a client of MCP")
    try:
        yield await ready
    finally:
        over.set()
        await asyncio.wait({task}, timeout=END_S)
        assert not await crew.end(END_S)


@asynccontextmanager
async def over_http(
    running: Running, agent: str, **door: Any
) -> AsyncIterator[tuple[str, int]]:
    """Serve a node's tools over HTTP in this loop; give the URL and the port."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    given = Door(port=0, **door)
    async with (
        Api(running.url, running.token(agent)) as api,
        server.serving(api, "0.0.0") as made,
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(serving.over_http(made, given, ready.set_result))
        try:
            url = await ready
            yield url, int(url.split(":")[2].split("/")[0])
        finally:
            task.cancel()
