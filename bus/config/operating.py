"""What can be set of operating a bus: the control channel, and what may be broken.

Rule: nothing is open and nothing may be broken unless the settings say so.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bus.config.sections import Name, Section
from bus.core.operatinglimits import (
    CHAOS_BLAST_RADIUS,
    CHAOS_COMPONENTS_MAX,
    CHAOS_S,
    CHAOS_S_MAX,
)
from bus.core.recoverylimits import (
    PROCESS_ARGUMENTS_MAX,
    PROCESS_GRACE_S,
    PROCESS_GRACE_S_MAX,
    RECOVERY_ATTEMPTS_DEFAULT,
    RECOVERY_ATTEMPTS_MAX,
    RECOVERY_DELAY_MS_DEFAULT,
    RECOVERY_DELAY_MS_MAX,
    RECOVERY_DELAY_MS_MAX_DEFAULT,
    RECOVERY_MULTIPLIER_MAX,
)


class ControlSettings(Section, frozen=True):
    """Where the operator's commands come in, and the agent that policy knows them as."""

    socket: Path | None = None
    agent: Name | None = None


class ProcessSettings(Section, frozen=True):
    """An agent that is a process of its own, started with the bus and kept running."""

    name: Name
    command: Annotated[
        tuple[str, ...], msgspec.Meta(min_length=1, max_length=PROCESS_ARGUMENTS_MAX)
    ]
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    folder: Path | None = None
    grace_seconds: Annotated[float, msgspec.Meta(ge=0, le=PROCESS_GRACE_S_MAX)] = (
        PROCESS_GRACE_S
    )


class RecoverySettings(Section, frozen=True):
    """How one supervised component is brought back, in place of its kind's way."""

    component: Name
    strategy: Literal["exponential", "linear", "immediate", "manual"] = "exponential"
    attempts: Annotated[int, msgspec.Meta(ge=1, le=RECOVERY_ATTEMPTS_MAX)] = (
        RECOVERY_ATTEMPTS_DEFAULT
    )
    multiplier: Annotated[float, msgspec.Meta(ge=1, le=RECOVERY_MULTIPLIER_MAX)] = 2.0
    initial_ms: Annotated[int, msgspec.Meta(ge=1, le=RECOVERY_DELAY_MS_MAX)] = (
        RECOVERY_DELAY_MS_DEFAULT
    )
    max_ms: Annotated[int, msgspec.Meta(ge=1, le=RECOVERY_DELAY_MS_MAX)] = (
        RECOVERY_DELAY_MS_MAX_DEFAULT
    )


class ChaosSettings(Section, frozen=True):
    """Whether faults may be injected, into which components, how far and how long."""

    enabled: bool = False
    max_seconds: Annotated[float, msgspec.Meta(gt=0, le=CHAOS_S_MAX)] = CHAOS_S
    blast_radius: Annotated[float, msgspec.Meta(ge=0, le=1)] = CHAOS_BLAST_RADIUS
    components: Annotated[
        tuple[Name, ...], msgspec.Meta(max_length=CHAOS_COMPONENTS_MAX)
    ] = ()
