"""What can be set of the hooks of coding agents."""

from typing import Annotated

import msgspec

from bus.config.sections import Name, Section
from bus.core.edgelimits import (
    HOOK_DEPTH,
    HOOK_DEPTH_MAX,
    HOOK_DESKS_MAX,
    HOOK_FAN_OUT,
    HOOK_FAN_OUT_MAX,
)


class HooksSettings(Section, frozen=True):
    """Who receives calls of tools, one agent of each tenant, and how sub-agents are bounded."""

    agents: Annotated[tuple[Name, ...], msgspec.Meta(max_length=HOOK_DESKS_MAX)] = ()
    depth: Annotated[int, msgspec.Meta(ge=0, le=HOOK_DEPTH_MAX)] = HOOK_DEPTH
    fan_out: Annotated[int, msgspec.Meta(ge=0, le=HOOK_FAN_OUT_MAX)] = HOOK_FAN_OUT
