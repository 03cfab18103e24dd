"""The MCP server of one node: which tools there are, and what stands before each call.

Rule: arguments that a tool does not know, or past a bound, are refused before it is
called. What is logged of a call is its tool and how it ended, and nothing it carries.
"""

import asyncio
import functools
import inspect
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

from bus.core import suggest
from bus.core.edgelimits import MCP_ARGUMENTS_BYTES_MAX, MCP_CALLS_MAX
from bus.core.errors import (
    BusError,
    LimitExceededError,
    MalformedMessageError,
    OverloadedError,
)
from bus.edge.mcp import faults
from bus.edge.mcp.governance import Governance
from bus.edge.mcp.inboxes import Inboxes
from bus.edge.mcp.messaging import Messaging
from bus.edge.mcp.words import Node

NAME: Final = "assent"
_CALL: Final = "tools/call"
_KEY_CHARS_SHOWN: Final = 64
_RETRY_S: Final = 1.0
_INSTRUCTIONS: Final = (
    "A message bus on which nothing moves without permission. Every call is decided by "
    "policy as one agent. A call that is denied says why: do not repeat it, ask `explain`, "
    "or ask for another rule with submit_governance_request. Messages of an inbox are "
    "handed out again until they are settled."
)
_READS: Final = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_WRITES: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, open_world_hint=True
)
_ENDS: Final = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, open_world_hint=False
)
_log: Final = logging.getLogger("assent.mcp")

Tool = Callable[..., Awaitable[Any]]


@asynccontextmanager
async def serving(node: Node, version: str = "") -> AsyncIterator[MCPServer[Any]]:
    """Give the server of a node's tools; in the end its inboxes without a name go."""
    inboxes = Inboxes(node)
    tools = _tools(Messaging(node), inboxes, Governance(node))
    # In a thread: making schemas takes a while, and the library looks for files.
    server = await asyncio.to_thread(_made, tools, version)
    try:
        yield server
    finally:
        await inboxes.close()


def _made(tools: Mapping[Tool, ToolAnnotations], version: str) -> MCPServer[Any]:
    """Return a server with tools. Blocks."""
    server: MCPServer[Any] = MCPServer(
        NAME,
        version=version,
        instructions=_INSTRUCTIONS,
        log_level="WARNING",
        middleware=[Before(tools)],
    )
    for tool, hints in tools.items():
        server.add_tool(
            _guarded(tool),
            description=inspect.getdoc(tool),
            annotations=hints,
            structured_output=True,
        )
    return server


def _tools(
    messaging: Messaging, inboxes: Inboxes, governance: Governance
) -> dict[Tool, ToolAnnotations]:
    """Return each tool and what a client may think of it."""
    return {
        messaging.publish: _WRITES,
        messaging.request: _WRITES,
        messaging.explain: _READS,
        messaging.status: _READS,
        inboxes.subscribe: _WRITES,
        inboxes.receive: _WRITES,
        inboxes.settle: _WRITES,
        inboxes.unsubscribe: _ENDS,
        governance.validate_constitutional_compliance: _READS,
        governance.get_active_principles: _READS,
        governance.query_governance_precedents: _READS,
        governance.submit_governance_request: _WRITES,
        governance.get_governance_metrics: _READS,
    }


def _guarded(tool: Tool) -> Tool:
    """Return a tool whose errors of the bus are results that say what to do."""

    @functools.wraps(tool)
    async def call(**arguments: Any) -> Any:
        try:
            return await tool(**arguments)
        except BusError as error:
            _log.info("%s: %s", tool.__name__, error.code)
            return faults.result(error)

    return call


class Before:
    """What stands before each call, as middleware of the server."""

    def __init__(self, tools: Mapping[Tool, object]) -> None:
        self._known = {
            tool.__name__: tuple(inspect.signature(tool).parameters) for tool in tools
        }
        self._calls = 0

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Let a call through, or answer why not."""
        if ctx.method != _CALL:
            return await call_next(ctx)
        try:
            self._check(ctx.params or {})
        except BusError as error:
            return faults.result(error)
        self._calls += 1
        try:
            return await call_next(ctx)
        finally:
            self._calls -= 1

    def _check(self, params: Mapping[str, Any]) -> None:
        """Raise the `BusError` that a call is refused with."""
        if self._calls >= MCP_CALLS_MAX:
            raise OverloadedError("what is called at once", retry_after_s=_RETRY_S)
        arguments = params.get("arguments") or {}
        known = self._known.get(str(params.get("name")))
        if known is None or not isinstance(arguments, dict):
            return  # the library's to refuse
        for name in arguments:
            if name not in known:
                shown = name[:_KEY_CHARS_SHOWN]
                raise MalformedMessageError(
                    f"there is no argument {shown!r}{suggest.hint(shown, known)}"
                )
        try:
            size = len(json.dumps(arguments, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise MalformedMessageError(f"arguments: {error}") from error
        if size > MCP_ARGUMENTS_BYTES_MAX:
            raise LimitExceededError(
                "bytes of arguments", actual=size, allowed=MCP_ARGUMENTS_BYTES_MAX
            )
