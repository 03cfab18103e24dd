"""What policy answered. One Decision may serve many messages; it names none of them."""

from typing import Any, Final, Literal

import msgspec

from bus.core.limits import LINEAGE_DEPTH_MAX, PAYLOAD_BYTES_MAX

PASSING: Final = frozenset({"deadline", "unavailable", "malformed", "oversize"})
"""Faults of an engine that say nothing of the question; asked again, it may answer."""


class Rate(msgspec.Struct, frozen=True):
    """At most `per_second` messages a second in the long run and `burst` at once."""

    key: Literal["agent", "tenant", "subject"]
    per_second: float
    burst: int


class Hold(msgspec.Struct, frozen=True):
    """The message waits for somebody to release it, for `wait_ns` at most."""

    reason: str
    wait_ns: int


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Policy's answer under one revision.

    `digest` identifies the input fields that the deciding rule read, `obligations`
    are what the bus must carry out, as policy wrote them. The fields from
    `body_bytes_max` on are those that bound or change a message, made ready for use;
    `plain` (derived) tells that it is let in unchanged, at once, and recorded as usual.
    An obligation the bus does not know denies (`policy.obligations`). `action` is what
    was asked, `fault` what kept the engine from answering where it denies for that; `id` is empty unless the decision is logged under one of its own.
    """

    allow: bool
    reasons: tuple[str, ...]
    revision: str
    digest: str
    obligations: tuple[dict[str, Any], ...] = ()
    cached: bool = False
    body_bytes_max: int = PAYLOAD_BYTES_MAX
    depth_max: int = LINEAGE_DEPTH_MAX
    ttl_ns: int | None = None
    redact_headers: frozenset[str] = frozenset()
    rates: tuple[Rate, ...] = ()
    hold: Hold | None = None
    audit_full: bool = False
    action: str = "publish"
    fault: str = ""
    id: str = ""
    plain: bool = True

    def __post_init__(self) -> None:
        """Note whether the message goes through, and unchanged."""
        plain = (
            self.allow
            and self.ttl_ns is None
            and not self.redact_headers
            and not self.rates
            and self.hold is None
            and not self.audit_full
        )
        msgspec.structs.force_setattr(self, "plain", plain)


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Who acts: the identity the connection proved, as the policy data knows it."""

    id: str
    tenant: str
    roles: tuple[str, ...] = ()
