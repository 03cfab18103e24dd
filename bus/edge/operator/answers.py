"""What operators ask and are answered: the fleet, how it stands, and what goes on now.

Rule: plain values. Times are RFC 3339 in UTC with nanoseconds; a text that came from a
message is data, and no part of the edge interprets it.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bus.core.edgelimits import (
    CURSOR_CHARS_MAX,
    FILTER_CHARS_MAX,
    PAGE_ITEMS,
    PAGE_ITEMS_MAX,
)
from bus.edge.operations import Asks, Page

Standing = Literal["healthy", "degraded", "critical"]
AgentHealth = Literal["ok", "idle", "slow", "quarantined", "disabled"]
Changed = Literal[
    "approvals", "letters", "agents", "recovery", "policy", "audit", "consumers"
]

Cursor = Annotated[str, Meta(max_length=CURSOR_CHARS_MAX)]
Filter = Annotated[str, Meta(max_length=FILTER_CHARS_MAX)]
"""A word that rows are chosen by; empty chooses all."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is answered."""


class Nothing(Asks, frozen=True, kw_only=True):
    """What is asked where there is nothing to ask."""


class Paged(Asks, frozen=True, kw_only=True):
    """A page of a list: what follows the cursor `after`, at most `limit` rows."""

    after: Cursor = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_ITEMS_MAX)] = PAGE_ITEMS


class CheckRow(Row, frozen=True, kw_only=True):
    """A check; `text` is for an admin, and empty for others where it may name others."""

    name: str
    ok: bool
    text: str = ""


class Counts(Row, frozen=True, kw_only=True):
    """Endings since the start: of the caller's tenant, or of all for an admin."""

    accepted: int = 0
    delivered: int = 0
    denied: int = 0
    rejected: int = 0
    failed: int = 0
    dropped: int = 0
    held: int = 0
    dead: int = 0


class CacheRow(Row, frozen=True, kw_only=True):
    """The decision cache of the node since its start."""

    hits: int = 0
    misses: int = 0
    size: int = 0


class Overview(Row, frozen=True, kw_only=True):
    """How the node stands. `queued` and what follows it are of `tenant`, or of all."""

    time: str
    tenant: str | None
    version: str
    revision: str
    constitution: str
    standing: Standing
    score: float
    phase: str
    checks: tuple[CheckRow, ...]
    counts: Counts
    queued: int
    in_flight: int
    held: int
    dead_letters: int
    agents: int
    quarantined: int
    connections: int
    durable: bool
    uptime_seconds: float
    cache: CacheRow


class AgentsAsked(Paged, frozen=True, kw_only=True):
    """Which agents: those whose name has `q` in it, of that tenant, of that health."""

    q: Filter = ""
    tenant: Filter = ""
    health: AgentHealth | None = None


class Spend(Row, frozen=True, kw_only=True):
    """What was metered of an agent since the start."""

    events: int = 0
    body_bytes: int = 0


class QuarantineRow(Row, frozen=True, kw_only=True):
    """Who put an agent in quarantine, why, and since when."""

    by: str
    reason: str
    since: str


class AgentRow(Row, frozen=True, kw_only=True):
    """One agent. `published` counts what it got accepted, `denied` what was refused it.

    `queued` and `in_flight` are of its subscriptions: what waits for it. It is `slow`
    where a queue of its own is nearly full, `idle` where it has neither connection nor
    subscription.
    """

    name: str
    tenant: str
    roles: tuple[str, ...]
    health: AgentHealth
    connections: int = 0
    subscriptions: int = 0
    published: int = 0
    denied: int = 0
    delivered: int = 0
    queued: int = 0
    in_flight: int = 0
    spend: Spend = Spend()
    quarantine: QuarantineRow | None = None


class Agents(Page, frozen=True, kw_only=True):
    """Agents by name. `total` counts all that the caller sees, whatever was asked."""

    items: tuple[AgentRow, ...]
    total: int


class Confirmed(Asks, frozen=True, kw_only=True):
    """An order about an agent: `confirm` is its name, typed once more."""

    name: str
    reason: str
    confirm: str


class Reasoned(Asks, frozen=True, kw_only=True):
    """An order about an agent, and why."""

    name: str
    reason: str


class OfAgent(Asks, frozen=True, kw_only=True):
    """The agent that is asked for."""

    name: str


class Warded(Row, frozen=True, kw_only=True):
    """What an order about an agent did: the agent now, and what was closed or revoked."""

    name: str
    tenant: str
    quarantine: QuarantineRow | None
    credentials_revoked: int = 0
    connections_closed: int = 0


class LiveAsked(Asks, frozen=True, kw_only=True):
    """What is tailed: subjects under `pattern`, from `sender`, of `outcome`, in `tenant`.

    `outcome` is an event of the audit record: accepted, denied, held, dropped,
    rejected, failed, released, delivered, dead, expired, evicted, refused, recalled.
    """

    pattern: Filter = ">"
    sender: Filter = ""
    outcome: Filter = ""
    tenant: Filter = ""


class LiveRow(Row, frozen=True, kw_only=True):
    """The data of an SSE event "message": one thing that happened to a message.

    `agent` is who did it: the sender, or who a delivery was for. `type`, `size`, `priority`
    and `sender` are None of a message that came before anybody looked.
    """

    id: str
    time: str
    subject: str
    tenant: str
    outcome: str
    agent: str
    reason: str
    sender: str | None = None
    type: str | None = None
    size: int | None = None
    priority: int | None = None


class Missed(Row, frozen=True, kw_only=True):
    """The data of an SSE event "missed": so many rows were not told; nothing else was."""

    count: int


class Point(Row, frozen=True, kw_only=True):
    """One second. Latencies are from publish to the end of the handler, None if nothing.

    They and what `accepted` to `failed` count are of that second alone.
    """

    time: str
    accepted: int = 0
    delivered: int = 0
    denied: int = 0
    failed: int = 0
    queued: int = 0
    in_flight: int = 0
    p50_us: float | None = None
    p99_us: float | None = None


class Series(Row, frozen=True, kw_only=True):
    """The last points, oldest first: of all for an admin, of `tenant` for others.

    A tenant's are kept from when somebody first asks for them, and have no latencies.
    """

    step_seconds: int
    tenant: str | None
    points: tuple[Point, ...]


class News(Row, frozen=True, kw_only=True):
    """The data of an SSE event "changed": what should be asked for anew."""

    what: Changed
