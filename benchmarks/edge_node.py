"""`python -m benchmarks.edge_node FOLDER LOOP KIND`: a node with everything on.

Rule: it says where it is and the tokens of its agents in one line, serves until its
standard input ends, and then says in another line what it carried and what it lost. A
`sqlite` one keeps its messages; in a `heard` one an agent of the same process hears all.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.edge_files import soft_limit_raised
from bus.cli.loops import runner
from bus.cli.measures.load import COLLECTOR, policy_data, settings
from bus.cli.measures.memory import unrecorded
from bus.config import Settings
from bus.config.edge import HttpSettings, NodeSettings
from bus.config.hooking import HooksSettings
from bus.config.keeping import StoreSettings
from bus.config.settings import BusSettings
from bus.edge.caller import Scope
from bus.edge.granting import Wish, grant
from bus.edge.node import Node

SENDER: Final = "sender"
DESK: Final = "desk"
CONNECTIONS: Final = 20_000
DRAIN_S: Final = 5.0
SQLITE: Final = "sqlite"
HEARD: Final = "heard"


def fleet() -> dict[str, Any]:
    """Return the policy data of the load, and agents that may do everything."""
    data = policy_data()
    data["agents"] |= dict.fromkeys((SENDER, DESK), data["agents"][COLLECTOR])
    return data


def settled(folder: Path, kind: str) -> Settings:
    """Return settings with everything on, as `assent bench` has them."""
    kept = StoreSettings()
    if kind == SQLITE:
        kept = StoreSettings(kind="sqlite", file=folder / "messages.sqlite")
    return msgspec.structs.replace(
        settings(folder),
        bus=BusSettings(drain_seconds=DRAIN_S),
        http=HttpSettings(port=0),
        node=NodeSettings(
            folder=None, connections=CONNECTIONS, agent_connections=CONNECTIONS
        ),
        hooks=HooksSettings(agents=(DESK,)),
        store=kept,
    )


async def hear(_: object) -> None:
    """Take a message."""


async def serve(node: Node, kind: str) -> None:
    """Serve until standard input ends."""
    async with node:
        if kind == HEARD:
            node.bus.agent(DESK).subscribe(">", hear)
        tokens = {}
        for name in (COLLECTOR, SENDER):
            principal = node.bus.authorizer.principal(name)
            row, tokens[name] = grant(
                principal,
                Wish(scope=Scope.AGENT, label="benchmark"),
                made_by="benchmark",
                now_ns=node.now_ns(),
            )
            await node.tokens.add(row)
        say({"port": node.port, "tokens": tokens})
        await asyncio.to_thread(sys.stdin.read)
    stats = node.bus.stats()
    rows = stats.subjects
    say(
        {
            "accepted": sum(row.accepted for row in rows),
            "delivered": sum(row.delivered for row in rows),
            "failures": unrecorded(stats)
            + sum(row.failed + row.rejected + row.dead + row.evicted for row in rows),
        }
    )


def say(told: dict[str, Any]) -> None:
    """Say something in a line."""
    print(json.dumps(told), flush=True)


def main(folder: Path, loop: str, kind: str) -> None:
    """Make the node before the loop runs, because it reads files; then serve."""
    soft_limit_raised()
    node = Node(settled(folder, kind), policy_data=fleet())
    with runner(loop) as runs:
        runs.run(serve(node, kind))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
