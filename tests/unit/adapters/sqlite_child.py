"""A process that keeps messages until it is killed: it says what it was told is kept."""

import asyncio
import os
import sys
from pathlib import Path

from bus.adapters.clock import SystemClock
from bus.adapters.stores.sqlite import SqliteStore
from bus.core.changes import Settle
from tests.fakes.storekit import SEALER, append, consumer, keep, stream

IN_FLIGHT = 20


async def publish(store: SqliteStore, numbers: asyncio.Queue[int]) -> None:
    """Keep one message after another; settle each third; write down each that is kept."""
    while True:
        number = numbers.get_nowait()
        numbers.put_nowait(number + 1)
        kept = keep(store, append(1, number, (1, number, 0)))
        if number % 3 == 0:
            store.submit((Settle(1, number),), lambda _: None)
        await kept
        os.write(1, b"%d\n" % number)


async def main(path: Path) -> None:
    """Run until killed."""
    store = SqliteStore(path, SEALER, SystemClock())
    contents = await store.open()
    first = 1
    if contents.streams:
        first = contents.streams[0].last + 1
    else:
        await keep(store, stream(1), consumer(1))
    numbers: asyncio.Queue[int] = asyncio.Queue()
    numbers.put_nowait(max(first, contents.next_number))
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(publish(store, numbers))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
