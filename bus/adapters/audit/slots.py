"""Where encoded records wait for the writer: a few pieces of memory, used in turn.

Rule: the loop fills a slot and hands it over, the writer seals and returns it; one
slot is one block. Fresh memory for each block was measured to cost more than its
hash: its pages are faulted in, once by the loop and once by the writer.
"""

from collections import deque
from typing import Final

from bus.core.limits import AUDIT_SEAL_RECORDS_MAX, AUDIT_SLOT_BYTES, AUDIT_SLOTS_KEPT


class Slot:
    """Holds the lines of one block."""

    __slots__ = ("_data", "_used", "records")

    def __init__(self, size: int) -> None:
        self._data: Final = bytearray(size)
        self._used = 0
        self.records = 0

    @property
    def size(self) -> int:
        """Bytes it can hold."""
        return len(self._data)

    @property
    def lines(self) -> memoryview:
        """What it holds."""
        return memoryview(self._data)[: self._used]

    def add(self, lines: bytes, records: int) -> bool:
        """Copy lines in; False if they are more than it can hold."""
        end = self._used + len(lines)
        if end > len(self._data) or self.records + records > AUDIT_SEAL_RECORDS_MAX:
            return False
        self._data[self._used : end] = lines
        self._used = end
        self.records += records
        return True

    def empty(self) -> None:
        """Make it ready to be filled again."""
        self._used = 0
        self.records = 0


class Pool:
    """Lends slots. Both threads may use it: deque operations are atomic."""

    def __init__(self) -> None:
        self._free: Final[deque[Slot]] = deque(maxlen=AUDIT_SLOTS_KEPT)

    def lend(self, size: int) -> Slot:
        """Return an empty slot for at least `size` bytes."""
        if size > AUDIT_SLOT_BYTES:
            return Slot(size)
        try:
            return self._free.pop()
        except IndexError:
            return Slot(AUDIT_SLOT_BYTES)

    def give_back(self, slot: Slot) -> None:
        """Keep a slot for the next; one of odd size is let go."""
        if slot.size == AUDIT_SLOT_BYTES:
            slot.empty()
            self._free.append(slot)
