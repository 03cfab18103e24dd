"""What an isolated policy may take: time, memory, and workers in reserve.

Rule: every bound has a default and a range, and is checked before a process starts.
"""

import math
from collections.abc import Sequence

import msgspec

from bus.core.errors import UsageError
from bus.core.policylimits import (
    ISOLATED_ANSWER_BYTES_MAX,
    ISOLATED_DEADLINE_S,
    ISOLATED_DEADLINE_S_MAX,
    ISOLATED_LOAD_S,
    ISOLATED_LOAD_S_MAX,
    ISOLATED_MEMORY_BYTES,
    ISOLATED_MEMORY_BYTES_MIN,
    ISOLATED_SPARES,
    ISOLATED_SPARES_MAX,
    ISOLATED_WAIT_S,
    ISOLATED_WAIT_S_MAX,
)
from policy.isolation import wire


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on one isolated policy.

    `deadline_s` is for the evaluation of a question, `wait_s` for its turn, `load_s`
    for a worker to start and load. `memory_bytes` is of address space, for each worker.
    `spares` wait beside the one that answers; `command` is for a worker of your own.

    Raises:
        UsageError: one is outside its range.
    """

    deadline_s: float = ISOLATED_DEADLINE_S
    wait_s: float = ISOLATED_WAIT_S
    load_s: float = ISOLATED_LOAD_S
    memory_bytes: int = ISOLATED_MEMORY_BYTES
    spares: int = ISOLATED_SPARES
    command: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, value, most in (
            ("deadline_s", self.deadline_s, ISOLATED_DEADLINE_S_MAX),
            ("wait_s", self.wait_s, ISOLATED_WAIT_S_MAX),
            ("load_s", self.load_s, ISOLATED_LOAD_S_MAX),
        ):
            if not 0 < value <= most:
                raise UsageError(f"{name} is above 0 and at most {most:g}, not {value}")
        if self.memory_bytes < ISOLATED_MEMORY_BYTES_MIN:
            raise UsageError(
                f"memory_bytes is {ISOLATED_MEMORY_BYTES_MIN} or more,"
                f" not {self.memory_bytes}"
            )
        if not 1 <= self.spares <= ISOLATED_SPARES_MAX:
            raise UsageError(f"spares is 1 to {ISOLATED_SPARES_MAX}, not {self.spares}")

    def begin(self, *, trial: bool) -> wire.Begin:
        """Return what a worker is told of them."""
        return wire.Begin(
            trial=trial,
            memory_bytes=self.memory_bytes,
            load_cpu_s=math.ceil(self.load_s),
            question_cpu_s=math.ceil(self.deadline_s),
            answer_bytes=ISOLATED_ANSWER_BYTES_MAX,
        )
