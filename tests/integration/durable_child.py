"""A bus on a file, in a process of its own, that ends in the middle of what it is told.

Usage: durable_child.py FILE WHAT. Prints each body it was handed, with its attempt.
"""

import asyncio
import os
import sys
from pathlib import Path

from bus import Bus
from bus.config import Settings
from bus.config.keeping import StoreSettings
from bus.subscription import Delivery
from tests.fakes.durable import eventually

POLICY = {
    "tenants": {"acme": {}},
    "agents": {"worker": {"tenant": "acme", "roles": ["all"]}},
    "roles": {"all": {"publish": [{"subject": ">"}], "subscribe": [">", "$DEAD.>"]}},
}


def say(*words: object) -> None:
    """Print a line at once: the process may end with the next one."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def subscribe(bus: Bus, what: str) -> None:
    """Handle tasks, and what has effects once."""
    worker = bus.agent("worker")

    async def handles(body: str, delivery: Delivery) -> None:
        say("handed", body, delivery.attempt)
        if body == "poison":
            os._exit(9)

    async def once(body: str) -> None:
        await worker.publish("effects", f"of {body}")
        if what == "die before the commit":
            os._exit(9)

    async def effect(body: str) -> None:
        say("effect", body)

    worker.subscribe("tasks", handles, max_deliver=2)
    worker.subscribe("once", once, once=True)
    worker.subscribe("effects", effect)


async def publish(bus: Bus, what: str) -> None:
    """Publish what is told."""
    worker = bus.agent("worker")
    if what == "publish":
        async with asyncio.TaskGroup() as group:  # in one commit
            for body in ("poison", "good"):
                group.create_task(worker.publish("tasks", body))
    elif what == "publish and die":
        say(type(await worker.publish("later", "x")).__name__)
        os._exit(9)
    elif what == "die before the commit":
        await worker.publish("once", "x")


async def main(file: Path, what: str) -> None:
    """Publish if told to, handle until all is done, and end as told."""
    store = StoreSettings(kind="sqlite", file=file)
    bus = Bus(POLICY, settings=Settings(store=store))
    subscribe(bus, what)
    async with bus:
        await publish(bus, what)
        ledger = bus._host.require_ledger()  # noqa: SLF001 - nobody else tells
        consumers = ledger.consumers.by_id.values()
        await eventually(lambda: not any(one.pending for one in consumers), 30)
        worker = bus.agent("worker")
        for letter in await worker.dead_letters():
            say("letter", letter.attempts, letter.reason)
        async for entry in worker.replay("later"):
            say("kept", entry.sequence)


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
