"""Moves frames over one line until it is over: one task reads, one writes.

Rule: what is ready goes together, in as few frames as it fits. Nothing is understood here
but where one object of a frame ends and the next begins.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from bus.core.errors import ProtocolError
from bus.core.frames import BINARY, from_server
from bus.remote.line import Line, Over, UnreachableError
from bus.remote.writing import frame_of

_BROKEN: Final = 1002


class Pump:
    """One line at work. `take` has each object that arrives, `batch` what is to be sent."""

    def __init__(
        self, line: Line, take: Callable[[Any], None], batch: Callable[[], list[bytes]]
    ) -> None:
        self._line = line
        self._take = take
        self._batch = batch
        self._idle: asyncio.Future[None] | None = None
        self.fault: ProtocolError | None = None  # of the node's frames

    async def run(self) -> Over:
        """Read and write until the line is over; return how it ended.

        Cancelled it closes the line.
        """
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write())
                over = await self._read()
                writer.cancel()
        finally:
            await self._line.close(1000, "")
        return over

    def touch(self) -> None:
        """Be told that there is something to send."""
        idle, self._idle = self._idle, None
        if idle is not None and not idle.done():
            idle.set_result(None)

    async def _read(self) -> Over:
        while True:
            read = await self._line.receive()
            if isinstance(read, Over):
                return read
            try:
                for frame in from_server(BINARY, read):
                    self._take(frame)
            except ProtocolError as error:
                self.fault = error
                return Over(_BROKEN, str(error))
            await asyncio.sleep(0)  # a line that is never empty: others have their turn

    async def _write(self) -> None:
        while True:
            items = self._batch()
            if not items:
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle
                continue
            try:
                await self._line.send(frame_of(items))
            except UnreachableError:
                return  # whoever reads learns it as well
