"""A node with a fleet at work, in a process of its own, for a browser to look at.

Usage: python -m tests.console.nodechild FOLDER AGENTS RATE [PROGRAM]. Prints where the node is and
its tokens as a line of JSON, then `done` for each line it is told: `rate N`, `policy`
(puts another revision in force), `hold` (publishes what is held), `stop`. It ends when its standard
input does. PROGRAM is an agent process, brought back by hand only.
"""

import asyncio
import copy
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from bus.agent import Agent
from bus.config.governing import PolicySettings
from bus.config.keeping import StoreSettings
from bus.config.operating import ProcessSettings, RecoverySettings
from bus.config.settings import AuditSettings, BusSettings
from bus.edge.node import Node
from bus.subscription import Delivery
from tests.fakes import nodes

SCRIPT = "<img src=x onerror=\"document.title='owned'\"><script>alert(1)</script>"
"""What must never run, in every field that takes any text."""

BATCH_S = 0.05
TURN = 50  # ordinary messages for each one of every other kind


def policy_data(agents: int) -> dict[str, Any]:
    """Return policy data of the usual agents, of a fleet, and of what is held."""
    made = nodes.data()
    made["agents"] |= {
        f"agent-{number:05d}": {"tenant": "acme", "roles": ["narrow"]}
        for number in range(agents)
    }
    reason = f"it leaves the house {SCRIPT}"
    made["compliance"] = {"review": [{"subject": "exports.>", "reason": reason}]}
    return made


class Fleet:
    """Agents of the node that publish and handle, as fast as they are told."""

    def __init__(self, running: nodes.Running, rate: int) -> None:
        self.rate = rate
        bus = running.node.bus
        self.planner, self.worker = bus.agent("planner"), bus.agent("worker")
        self.critic, self.intern = bus.agent("critic"), bus.agent("intern")
        self.spy: Agent = bus.agent("spy")

    def subscribe(self) -> None:
        """Handle what the planner publishes."""

        async def bill(body: dict[str, Any]) -> None:
            if body["number"] % TURN == 0:
                await self.worker.publish("orders.paid", {"paid": body["number"]})

        async def review(_: dict[str, Any], delivery: Delivery) -> None:
            raise ValueError(f"attempt {delivery.attempt} {SCRIPT}")

        self.worker.subscribe("orders.created", bill, durable="billing")
        self.critic.subscribe("tasks.review", review, durable="review", max_deliver=1)
        self.spy.subscribe(">", _nothing)

    async def leave_a_consumer(self) -> None:
        """Leave a durable consumer with nobody to take from it."""
        kept = self.critic.subscribe("orders.paid", _nothing, durable="mailer")
        await self.critic.unsubscribe(kept)

    async def work(self) -> None:
        """Publish until cancelled, in batches of the rate."""
        numbers = itertools.count()
        while True:
            await asyncio.sleep(BATCH_S)
            for number in itertools.islice(numbers, int(self.rate * BATCH_S)):
                await self.one(number)

    async def one(self, number: int) -> None:
        """Publish one order, and now and then what goes wrong."""
        body = {"number": number, "note": SCRIPT}
        headers = {"x-note": SCRIPT}
        await self.planner.publish("orders.created", body, headers=headers)
        if number % TURN == 1:
            await self.intern.publish("payments.refund", body)
            await self.spy.publish("secrets.of.globex", body)

    async def prepare(self) -> str:
        """Have one of everything; return the id of a message with a tree below it."""
        await self.leave_a_consumer()
        self.subscribe()
        first = await self.planner.publish("orders.created", {"number": 0, "x": SCRIPT})
        for _ in range(2):
            await self.planner.publish("exports.list", {"what": SCRIPT})
            await self.planner.publish("tasks.review", {"what": SCRIPT})
        await self.intern.publish("payments.refund", {"what": SCRIPT})
        await self.spy.publish("secrets.of.globex", {"what": SCRIPT})
        return first.unwrap().message_id


async def _nothing(_: object) -> None:
    """Take a message."""


def changed(data: dict[str, Any]) -> dict[str, Any]:
    """Return policy data in which interns may do more."""
    made = copy.deepcopy(data)
    made["roles"]["narrow"]["publish"].append({"subject": "drafts.*"})
    return made


async def serve(folder: Path, node: Node, rate: int) -> None:
    """Run the node and its fleet, and do what standard input says."""
    async with node:
        running = nodes.Running(node)
        await running.add_tokens()
        fleet = Fleet(running, rate)
        told = {
            "url": running.url,
            "tokens": {agent: running.token(agent) for agent in nodes.SCOPES},
            "message": await fleet.prepare(),
        }
        say(json.dumps(told))
        async with asyncio.TaskGroup() as group:
            work = group.create_task(fleet.work())
            while (line := await asyncio.to_thread(sys.stdin.readline)) != "":
                if line.startswith("rate "):
                    fleet.rate = int(line.split()[1])
                elif line == "policy\n":
                    file = folder / "policy.json"
                    before = json.loads(file.read_text())
                    file.write_text(json.dumps(changed(before)))
                    await node.bus.reload_policy()
                elif line == "hold\n":
                    await fleet.planner.publish("exports.list", {"what": SCRIPT})
                elif line == "stop\n":
                    break
                say("done")
            work.cancel()


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(folder: Path, agents: int, rate: int, *programs: str) -> None:
    """Make the node before the loop runs, and serve."""
    file = folder / "policy.json"
    file.write_text(json.dumps(policy_data(agents)))
    node = nodes.new_node(
        file,
        nodes.settings(
            bus=BusSettings(drain_seconds=1.0),
            policy=PolicySettings(areas=("compliance",), data=file),
            store=StoreSettings(kind="sqlite", file=folder / "messages.sqlite"),
            audit=AuditSettings(
                file=folder / "audit.log", head_file=folder / "audit.head"
            ),
            processes=tuple(
                ProcessSettings(name="scout", command=(program,))
                for program in programs
            ),
            recovery=tuple(
                RecoverySettings(component="scout", strategy="manual") for _ in programs
            ),
        ),
    )
    asyncio.run(serve(folder, node, rate))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
