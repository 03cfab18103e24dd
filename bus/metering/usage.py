"""What is metered: cells that count, and the records and batches made from them."""

import dataclasses
from typing import Final, Protocol

import msgspec

OPERATIONS: Final = frozenset(
    {
        "constitutional_validation",
        "agent_message",
        "policy_evaluation",
        "compliance_check",
        "audit_write",
        "deliberation_request",
        "hitl_approval",
        "audit_anchor",
    }
)


@dataclasses.dataclass(slots=True)
class Cell:
    """Counts one agent's use of one operation since `since_ns`.

    Two additions are all a publish does; who makes records of it swaps the counts out.
    """

    events: int = 0
    body_bytes: int = 0
    since_ns: int = 0


class UsageRecord(msgspec.Struct, frozen=True, gc=False):
    """What one agent used of one operation from `start_ns` until `end_ns`."""

    tenant: str
    agent: str
    operation: str
    events: int
    body_bytes: int
    start_ns: int
    end_ns: int


class UsageBatch(msgspec.Struct, frozen=True):
    """Records that a sink takes together. `number` counts up from 1 for a meter."""

    number: int
    records: tuple[UsageRecord, ...]

    @property
    def events(self) -> int:
        """Events in all records."""
        return sum(record.events for record in self.records)


class UsageSink(Protocol):
    """Takes usage.

    A batch is taken whole or, if `write` raises, not at all. A batch may come again,
    after an error or a cancellation, always before any with a higher number: a sink
    that has taken it returns and adds nothing.
    """

    @property
    def name(self) -> str:
        """Names the sink in health texts."""

    async def write(self, batch: UsageBatch) -> None:
        """Take a batch; may wait, and may raise whatever went wrong."""
