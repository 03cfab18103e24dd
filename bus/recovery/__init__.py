"""Recovery: what fails is found, brought back, and told; health is what it adds up to."""

from bus.recovery.adapters import (
    Part,
    reconnect,
    reopen,
    restart,
    resubscribe,
    rewind,
    telling,
)
from bus.recovery.component import (
    Component,
    NotAwaitedError,
    Status,
    Transition,
    UnknownComponentError,
    UnwellError,
)
from bus.recovery.health import Health, HealthBoard, Input, Weight
from bus.recovery.orchestrator import Orchestrator
from bus.recovery.processes import AgentProcess, Program

__all__ = [
    "Orchestrator",
    "Component",
    "Part",
    "reopen",
    "reconnect",
    "restart",
    "resubscribe",
    "rewind",
    "telling",
    "AgentProcess",
    "Program",
    "Transition",
    "Status",
    "HealthBoard",
    "Health",
    "Input",
    "Weight",
    "UnwellError",
    "UnknownComponentError",
    "NotAwaitedError",
]
