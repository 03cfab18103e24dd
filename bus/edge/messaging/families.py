"""What came of a message: the tree of those that its handlers published.

Rule: it is made of lineage, which the bus derives and stamps. What a caller may not see
keeps its place in the tree, without its subject and sender.
"""

from typing import Any, Final

from bus.core.edgelimits import TREE_NODES_MAX
from bus.core.message import Message
from bus.edge.caller import Caller
from bus.edge.messaging import asked
from bus.edge.messaging.kept import Kept
from bus.edge.messaging.stories import unknown
from bus.edge.operator.told import rfc3339

_NS_PER_MS: Final = 1_000_000
_MS_BYTES: Final = 6


class Families:
    """Finds the families of one bus's messages."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def tree(self, caller: Caller, given: asked.OfMessage) -> asked.Tree:
        """Return the root of a message, and all that handlers published because of it.

        What the caller may not see is told without its subject and sender.
        """
        await self._kept.connected(caller)
        entry = await self._kept.find(caller, bytes.fromhex(given.id))
        if entry is None or not await self._may_see(caller, entry.message):
            raise unknown(given.id)
        message = entry.message
        root = message.root or message.id
        entries, truncated = await self._kept.family(message.tenant, root)
        nodes: dict[bytes, dict[str, Any]] = {}
        for one in entries:
            visible = await self._may_see(caller, one.message)
            nodes[one.message.id] = _node(one.message, visible=visible)
        if root not in nodes:
            nodes = {root: _gone(root), **nodes}
        for one in entries:
            if one.message.id != root:
                parent = nodes.get(one.message.parent or root, nodes[root])
                parent["children"].append(nodes[one.message.id])
        return asked.Tree(
            root=_built(nodes[root]),
            messages=min(len(entries), TREE_NODES_MAX),
            truncated=truncated,
        )

    async def _may_see(self, caller: Caller, message: Message) -> bool:
        return await self._kept.may_see(
            caller, message.tenant, message.sender, message.subject
        )


def _node(message: Message, *, visible: bool) -> dict[str, Any]:
    return {
        "id": message.id.hex(),
        "subject": message.subject if visible else "",
        "type": message.type,
        "sender": message.sender if visible else "",
        "time": rfc3339(message.created_ns),
        "outcome": "accepted",
        "children": [],
    }


def _gone(root: bytes) -> dict[str, Any]:
    """Return what stands for a root that is not kept any more."""
    return {
        "id": root.hex(),
        "subject": "",
        "type": "",
        "sender": "",
        "time": rfc3339(int.from_bytes(root[:_MS_BYTES], "big") * _NS_PER_MS),
        "outcome": "gone",
        "children": [],
    }


def _built(node: dict[str, Any]) -> asked.Node:
    """Return a node as it is answered; as deep as lineage may be, no deeper."""
    children = tuple(_built(child) for child in node["children"])
    return asked.Node(**{**node, "children": children})
