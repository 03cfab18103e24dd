"""Tools about inboxes: an inbox is a consumer that the node keeps, read by long poll.

Rule: nothing is settled by itself. A message that was handed out is its receiver's for
the inbox's lease; it is gone once the receiver says so, and handed out again if it does
not: an answer that got lost on its way loses no message.
"""

import asyncio
import logging
import secrets
from typing import Any, Final, Literal

import msgspec

from bus.core.edgeerrors import NotFoundError
from bus.core.edgelimits import (
    MCP_INBOXES_MAX,
    MCP_LEASE_S,
    MCP_MESSAGES,
    MCP_MESSAGES_BYTES,
    MCP_STOP_S,
    MCP_WAIT_S,
)
from bus.core.errors import BusError, OverloadedError
from bus.edge.mcp import words
from bus.edge.mcp.told import Closed, Received, Settled, SettledItem
from bus.edge.mcp.words import Node, given
from bus.remote.web import part

_RETRY_S: Final = 1.0
_log: Final = logging.getLogger("assent.mcp")

Verdict = Literal["ack", "nak", "term", "in_progress"]


class Inbox(msgspec.Struct, frozen=True):
    """What a pull has to say each time. One without a name of its own goes with us."""

    pattern: str
    start: str
    lease_s: float
    named: bool


class Inboxes:
    """Tools of one node, and the inboxes that were opened here."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: dict[str, Inbox] = {}

    async def subscribe(
        self,
        pattern: words.Pattern,
        *,
        inbox: words.NewInbox = "",
        start: Literal["new", "all"] = "new",
        lease_seconds: words.LeaseS = MCP_LEASE_S,
    ) -> Received:
        """Open an inbox for what is published under a pattern; read it with `receive`.

        Messages wait there until they are settled. Without a name the inbox ends with
        this server. What is there already is returned at once.
        """
        name = inbox or f"mcp-{secrets.token_hex(8)}"
        if name not in self._open and len(self._open) >= MCP_INBOXES_MAX:
            raise OverloadedError("the table of inboxes", retry_after_s=_RETRY_S)
        made = Inbox(pattern, start, lease_seconds, named=bool(inbox))
        found = await self._pull(name, made, MCP_MESSAGES, 0.0)
        self._open[name] = made
        return found

    async def receive(
        self,
        inbox: words.InboxName,
        *,
        limit: words.Count = MCP_MESSAGES,
        wait_seconds: words.WaitS = MCP_WAIT_S,
        done: words.Done = [],  # noqa: B006 - never changed; a schema shows it
    ) -> Received:
        """Return messages of an inbox, or wait until one comes.

        Settle each with `settle`, or name its receipt in `done` of the next call, once it
        is dealt with: what is not settled is handed out again after the lease.
        """
        known = self._open.get(inbox)
        if known is None:
            raise NotFoundError(
                f"inbox {inbox!r} is not open here; subscribe with inbox={inbox!r} to go "
                "on where it left off"
            )
        settled = await self._settled(inbox, done, "ack") if done else []
        found = await self._pull(inbox, known, limit, wait_seconds)
        return found.model_copy(update={"settled": settled})

    async def settle(
        self,
        inbox: words.InboxName,
        receipts: words.Receipts,
        *,
        verdict: Verdict = "ack",
        delay_seconds: words.NakDelay = None,
        reason: words.Reason = "",
    ) -> Settled:
        """Say what became of messages: ack (dealt with), nak (again, after a delay).

        term gives one up for good, with a reason; in_progress keeps it for another lease.
        """
        items = await self._settled(
            inbox, receipts, verdict, **given(delay=delay_seconds, reason=reason)
        )
        return Settled(items=items)

    async def unsubscribe(
        self, inbox: words.InboxName, *, keep: bool = False
    ) -> Closed:
        """Close an inbox and forget what waits in it, or keep that for a later subscribe."""
        left = 0
        if not keep:
            answer = await self._node.delete(f"/v1/consumers/{part(inbox)}")
            left = answer["left"]
        self._open.pop(inbox, None)
        return Closed(inbox=inbox, kept=keep, left=left)

    async def close(self) -> None:
        """Remove the inboxes that have no name of their own; waits `MCP_STOP_S` at most."""
        names = [name for name, one in self._open.items() if not one.named]
        self._open.clear()
        try:
            async with asyncio.timeout(MCP_STOP_S):
                for name in names:
                    await self._node.delete(f"/v1/consumers/{part(name)}")
        except (BusError, TimeoutError) as error:
            _log.warning("inboxes stay on the node: %s", error)

    async def _pull(
        self, name: str, inbox: Inbox, limit: int, wait_s: float
    ) -> Received:
        """Take one after the other, so that what is handed out is bounded in bytes."""
        path = f"/v1/consumers/{part(name)}/pull"
        asked: dict[str, Any] = {
            "pattern": inbox.pattern,
            "start": inbox.start,
            "ack_wait": inbox.lease_s,
            "limit": 1,
            "wait": wait_s,
        }
        found: list[Any] = []
        size = waiting = 0
        while len(found) < limit and size < MCP_MESSAGES_BYTES:
            try:
                answer = await self._node.post(path, asked, asked["wait"])
            except BusError:
                if not found:
                    raise
                break  # what is here was handed out, and is not to be lost
            waiting = answer["waiting"]
            if not answer["items"]:
                break
            found += answer["items"]
            size += sum(one["size"] for one in answer["items"])
            asked["wait"] = 0.0
        return Received.model_validate(
            {
                "inbox": name,
                "pattern": inbox.pattern,
                "messages": found,
                "waiting": waiting,
            }
        )

    async def _settled(
        self, inbox: str, receipts: list[str], verdict: Verdict, **more: Any
    ) -> list[SettledItem]:
        items = [{"receipt": one, "verdict": verdict, **more} for one in receipts]
        path = f"/v1/consumers/{part(inbox)}/settle"
        answer = await self._node.post(path, {"items": items})
        return Settled.model_validate(answer).items
