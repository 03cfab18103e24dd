"""The form of the data of each area of the policy library.

Rule: as for the built-in policy's data, nothing unknown. A misspelt field is refused,
because the rule that looks for it would find nothing and be silent.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bus.core.limits import (
    ERROR_CHARS_MAX,
    HEADERS_MAX,
    HOLD_S_MAX,
    LINEAGE_DEPTH_MAX,
    PAYLOAD_BYTES_MAX,
    POLICY_AREA_RULES_MAX,
    RATE_BURST_MAX,
    RATE_PER_S_MAX,
    TTL_S_MAX,
)

Names = Annotated[list[str], Meta(min_length=1, max_length=POLICY_AREA_RULES_MAX)]
Bytes = Annotated[int, Meta(ge=0, le=PAYLOAD_BYTES_MAX)]
Depth = Annotated[int, Meta(ge=0, le=LINEAGE_DEPTH_MAX)]
Ttl = Annotated[float, Meta(gt=0, le=TTL_S_MAX)]
Clock = Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
Wanting = Literal["subscribe", "cooldown", "release", "chaos"]


class _Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all forms: nothing unknown."""


class Use(_Form, frozen=True):
    """What takes a permission: messages of types, or other questions by action."""

    types: list[str] = []
    subject: str | UnsetType = UNSET
    actions: list[Wanting] = []
    judges: bool = False


class Power(_Form, frozen=True):
    """What a role may do, and whose output it judges."""

    permissions: list[str]
    validates: list[str] = []


class Powers(_Form, frozen=True):
    """The separation of powers."""

    permissions: dict[str, Use]
    roles: dict[str, Power]


class Restriction(_Form, frozen=True):
    """Subjects for some roles only."""

    subject: str
    roles: Names
    actions: list[Literal["publish", "request"] | Wanting] | UnsetType = UNSET


class Rbac(_Form, frozen=True):
    """Roles that inherit, roles that exclude one another, subjects for some roles only."""

    inherits: dict[str, list[str]] = {}
    exclusive: list[Annotated[list[str], Meta(min_length=2)]] = []
    restricted: list[Restriction] = []


class TenantLimits(_Form, frozen=True):
    """Bounds on a tenant's messages."""

    body_bytes: Bytes | UnsetType = UNSET
    depth: Depth | UnsetType = UNSET


class TenantPart(_Form, frozen=True):
    """The subjects of a tenant."""

    subjects: Names
    limits: TenantLimits = TenantLimits()


class Multitenant(_Form, frozen=True):
    """Every tenant's part."""

    tenants: dict[str, TenantPart]


class Rate(_Form, frozen=True):
    """Messages a second in the long run, and at once; none where `per_second` is 0."""

    per_second: Annotated[float, Meta(ge=0, le=RATE_PER_S_MAX)]
    burst: Annotated[int, Meta(ge=1, le=RATE_BURST_MAX)]


class SubjectRate(Rate, frozen=True):
    """A rate of each subject under a pattern."""

    subject: str
    types: Names | UnsetType = UNSET


class Ratelimit(_Form, frozen=True):
    """Rates by agent, role, tenant and subject, and for those of whom nothing is said."""

    agents: dict[str, Rate] = {}
    roles: dict[str, Rate] = {}
    agent: Rate | UnsetType = UNSET
    tenants: dict[str, Rate] = {}
    tenant: Rate | UnsetType = UNSET
    subjects: list[SubjectRate] = []


class Place(_Form, frozen=True):
    """Subjects that take a class at most."""

    subject: str
    up_to: str
    types: Names | UnsetType = UNSET


class Class(_Form, frozen=True):
    """What is done to messages of a class."""

    redact_headers: Annotated[list[str], Meta(max_length=HEADERS_MAX)] = []
    ttl_seconds: Ttl | UnsetType = UNSET


class Review(_Form, frozen=True):
    """Messages that wait to be released."""

    subject: str
    reason: Annotated[str, Meta(min_length=1, max_length=ERROR_CHARS_MAX)]
    types: Names | UnsetType = UNSET
    seconds: Annotated[float, Meta(gt=0, le=HOLD_S_MAX)] | UnsetType = UNSET


class Compliance(_Form, frozen=True):
    """Classes and where they may go, types of content, what is reviewed."""

    levels: list[str] = []
    subjects: list[Place] = []
    classes: dict[str, Class] = {}
    content_types: list[str] | UnsetType = UNSET
    review: list[Review] = []


class Full(_Form, frozen=True):
    """Messages that are recorded in full."""

    subject: str
    types: Names | UnsetType = UNSET
    roles: Names | UnsetType = UNSET


class Records(_Form, frozen=True):
    """Where agents keep records, and who reads them."""

    subject: str
    readers: list[str]


class Audit(_Form, frozen=True):
    """What is recorded in full, and where agents' own records go."""

    full: list[Full] = []
    records: Records | UnsetType = UNSET


class Resource(_Form, frozen=True):
    """Bounds on messages."""

    subject: str
    types: Names | UnsetType = UNSET
    body_bytes: Bytes | UnsetType = UNSET
    depth: Depth | UnsetType = UNSET
    ttl_seconds: Ttl | UnsetType = UNSET


class Resources(_Form, frozen=True):
    """Bounds, and the roles that may ask for a priority."""

    subjects: list[Resource] = []
    priorities: dict[Literal["low", "normal", "high", "critical"], list[str]] = {}


class Closed(_Form, frozen=True):
    """Subjects that take nothing."""

    subject: str
    reason: Annotated[str, Meta(min_length=1, max_length=ERROR_CHARS_MAX)]


class Typed(_Form, frozen=True):
    """Subjects that take some types only."""

    subject: str
    types: Names


class Queue(_Form, frozen=True):
    """Subjects that are listened to in one queue group."""

    subject: str
    queue: Annotated[str, Meta(min_length=1)]


class Routing(_Form, frozen=True):
    """Which ways are open."""

    closed: list[Closed] = []
    types: list[Typed] = []
    wide_roles: list[str] | UnsetType = UNSET
    queues: list[Queue] = []


Day = Literal[
    "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"
]


class Window(_Form, frozen=True):
    """From one minute up to another, on some days."""

    since: Clock
    until: Clock
    days: Annotated[list[Day], Meta(min_length=1)] | UnsetType = UNSET


class Timed(_Form, frozen=True):
    """Subjects that are open at some times."""

    subject: str
    open: list[Window]
    types: Names | UnsetType = UNSET
    zone: str = "UTC"
    exempt_roles: list[str] = []


class Timebased(_Form, frozen=True):
    """When subjects are open."""

    rules: list[Timed] = []
