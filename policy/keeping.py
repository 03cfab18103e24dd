"""For how long decisions are kept, and how many."""

import msgspec

from bus.core.limits import (
    DECISION_ALLOW_TTL_S,
    DECISION_DENY_TTL_S,
    DECISIONS_CACHED_MAX,
)


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """How many decisions are kept, and for how long."""

    allow_ttl_s: float = DECISION_ALLOW_TTL_S
    deny_ttl_s: float = DECISION_DENY_TTL_S
    entries: int = DECISIONS_CACHED_MAX
