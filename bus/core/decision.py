"""What policy answered. One Decision may serve many messages; it names none of them."""

from typing import Any

import msgspec

from bus.core.limits import LINEAGE_DEPTH_MAX, PAYLOAD_BYTES_MAX


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Policy's answer under one revision.

    `digest` identifies the input fields that the deciding rule read, `obligations`
    are what the bus must carry out, as policy wrote them. The fields from
    `body_bytes_max` on are those that bound or change a message, made ready for use;
    `plain` (derived) tells that it is let in unchanged. An obligation the bus does not know
    denies (`policy.obligations`).
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
    plain: bool = True

    def __post_init__(self) -> None:
        """Note whether the message goes through, and unchanged."""
        plain = self.allow and self.ttl_ns is None and not self.redact_headers
        msgspec.structs.force_setattr(self, "plain", plain)


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Who acts: the identity the connection proved, as the policy data knows it."""

    id: str
    tenant: str
    roles: tuple[str, ...] = ()
