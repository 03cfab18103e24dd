"""What a user would pick instead, and a hand-written floor, each in its plainest fast use.

    python -m benchmarks.peers floor [--messages N]

Rule: each peer runs in a process of its own and prints one JSON line. A peer counts only
what its handler received; what it does not do (policy, stamps, audit) is said in `does`.
A figure counts only beside others of the same run on the same machine.
"""

import argparse
import asyncio
import dataclasses
import importlib
import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import SUBJECT, TEXT, TURN, Figure
from benchmarks.floor import floor
from benchmarks.nats_peer import nats

AUTOGEN_MAX: Final = 20_000
BUBUS_MAX: Final = 2_000
BUBUS_TURN: Final = 32
FASTSTREAM_MAX: Final = 10_000
GOVERN_MAX: Final = 5_000


async def autogen(messages: int) -> list[Figure]:
    """Publish to one routed agent of autogen-core's in-process runtime."""
    core = importlib.import_module("autogen_core")
    messages, done = min(messages, AUTOGEN_MAX), 0

    @dataclasses.dataclass
    class Text:
        text: str

    class Worker(core.RoutedAgent):  # type: ignore[misc, name-defined]  # imported late
        async def on_text(self, message: Text, ctx: Any) -> None:
            nonlocal done
            del message, ctx
            done += 1

    # Decorated by hand: the library reads the types of the handler's signature.
    Worker.on_text.__annotations__ |= {"message": Text, "ctx": core.MessageContext}
    Worker.on_text.__annotations__["return"] = None
    Worker.on_text = core.message_handler(Worker.on_text)  # type: ignore[method-assign]  # see above
    worker = core.default_subscription(Worker)
    runtime = core.SingleThreadedAgentRuntime()
    await worker.register(runtime, "worker", lambda: worker("worker"))
    runtime.start()
    started = time.perf_counter()
    for number in range(messages):
        await runtime.publish_message(Text(TEXT), core.DefaultTopicId())
        if number % TURN == 0:
            await asyncio.sleep(0)
    await runtime.stop_when_idle()
    seconds = time.perf_counter() - started
    return [Figure("autogen", "autogen-core", done, seconds, "to one agent, no policy")]


async def bubus(messages: int) -> list[Figure]:
    """Dispatch to one handler of a bubus event bus."""
    library = importlib.import_module("bubus")
    messages, done = min(messages, BUBUS_MAX), 0

    class Text(library.BaseEvent):  # type: ignore[misc, name-defined]  # imported late
        text: str

    async def handle(_: Any) -> None:
        nonlocal done
        done += 1

    bus = library.EventBus(max_history_size=100)
    bus.on(Text, handle)
    started = time.perf_counter()
    for number in range(messages):
        bus.dispatch(Text(text=TEXT))
        if number % BUBUS_TURN == BUBUS_TURN - 1:
            await bus.wait_until_idle()
    await bus.wait_until_idle()
    seconds = time.perf_counter() - started
    return [Figure("bubus", "bubus", done, seconds, "to one handler, no policy")]


async def faststream(messages: int) -> list[Figure]:
    """Publish to one handler of FastStream's in-memory broker."""
    library = importlib.import_module("faststream.nats")
    messages, done = min(messages, FASTSTREAM_MAX), 0
    broker = library.NatsBroker(logger=None)

    @broker.subscriber(SUBJECT)  # type: ignore[untyped-decorator]  # imported late
    async def handle(body: str) -> None:
        nonlocal done
        del body
        done += 1

    async with library.TestNatsBroker(broker) as test:
        started = time.perf_counter()
        for _ in range(messages):
            await test.publish(TEXT, SUBJECT)
        seconds = time.perf_counter() - started
    does = "in-memory test broker to one handler, no policy"
    return [Figure("faststream", "faststream", done, seconds, does)]


async def agt(messages: int) -> list[Figure]:
    """Call a governed function: ten rules and an audit, but no messaging."""
    library = importlib.import_module("agentmesh.governance")
    messages, done = min(messages, GOVERN_MAX), 0

    def tool(**arguments: object) -> None:
        nonlocal done
        del arguments
        done += 1

    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder, "policy.yaml")
        rules = "".join(
            f"  - name: rule-{number}\n"
            f"    condition: \"action.type in ['drop{number}', 'delete{number}']\"\n"
            "    action: deny\n"
            for number in range(10)
        )
        policy.write_text(  # noqa: ASYNC240 - before anything is timed
            "apiVersion: governance.toolkit/v1\nname: p\n"
            f"default_action: allow\nrules:\n{rules}"
        )
        governed = library.govern(tool, policy=str(policy))
        started = time.perf_counter()
        for _ in range(messages):
            governed(action="read", table=TEXT)
        seconds = time.perf_counter() - started
    does = "governed call: ten rules and an audit, no messaging"
    return [Figure("agt", "agent-governance-toolkit-core", done, seconds, does)]


PEERS: Final[dict[str, Callable[[int], Coroutine[Any, Any, list[Figure]]]]] = {
    "floor": floor,
    "autogen": autogen,
    "bubus": bubus,
    "faststream": faststream,
    "nats": nats,
    "agt": agt,
}


def main() -> None:
    """Run one peer and print its lines."""
    parser = argparse.ArgumentParser(description="One peer, in this process.")
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--messages", type=int, default=100_000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    try:
        with asyncio.Runner() as runner:
            figures = runner.run(PEERS[options.peer](options.messages))
            for figure in figures:
                print(figure.line(), flush=True)
            if options.peer == "bubus":
                os._exit(0)  # the loop of this peer does not end by itself
    except ImportError as error:
        print(json.dumps({"peer": options.peer, "absent": str(error)}))


if __name__ == "__main__":
    main()
