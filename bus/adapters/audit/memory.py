"""The record in memory: the chain, and the last records.

Rule: as sealed as a file, but only about the last `kept` records stay to be seen.
"""

import os
from collections import deque
from collections.abc import Sequence
from typing import Final

from bus.core import auditrecord
from bus.core.auditchain import GENESIS_BYTES, Head, header_line, start
from bus.core.limits import AUDIT_KEPT_RECORDS


class MemoryRecord:
    """Keeps whole blocks, as few of the newest as hold `kept` records."""

    def __init__(self, kept: int = AUDIT_KEPT_RECORDS) -> None:
        self._kept: Final = kept
        self._blocks: Final[deque[tuple[bytes, int]]] = deque()
        self._lines = 0

    def open(self) -> tuple[Head, str]:
        """Return the start of a new chain; there is nothing to repair."""
        mark = start(header_line(os.urandom(GENESIS_BYTES)))
        return Head(at=mark, before=mark), ""

    def write(self, blocks: Sequence[bytes | memoryview]) -> None:
        """Keep the blocks and let go of the oldest that are not needed."""
        for block in map(bytes, blocks):  # the memory is used again
            count = block.count(b"\n")
            self._blocks.append((block, count))
            self._lines += count
        # A seal for every record is the most there can be.
        while self._lines - self._blocks[0][1] >= 2 * self._kept:
            self._lines -= self._blocks.popleft()[1]

    def sync(self, head: Head) -> None:
        """There is nothing slower to bring it to."""

    def close(self) -> None:
        """What was kept stays readable."""

    def tail(self, count: int) -> list[auditrecord.Entry]:
        """Return the last `count` records kept, at most `kept`, oldest first."""
        lines = [
            line
            for blocks, _ in list(self._blocks)
            for line in blocks.splitlines()
            if not line.startswith(b"{")
        ]
        first = max(0, len(lines) - min(count, self._kept))
        return [auditrecord.decode(line) for line in lines[first:]]
