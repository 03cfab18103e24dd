"""What agents ask about how they are governed, and are answered.

Rule: plain values, and the bounds of the bus in their types. Times are RFC 3339 in UTC;
an agent is told of itself and of its tenant's sums, and of nobody else.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bus.core.edgelimits import (
    CURSOR_CHARS_MAX,
    PRECEDENTS,
    PRECEDENTS_MAX,
)
from bus.core.limits import SUBJECT_BYTES_MAX
from bus.edge.messaging.pullasked import Name
from bus.edge.messaging.words import (
    Headers,
    MediaType,
    Octets,
    Priority,
    Subject,
    Type,
)
from bus.edge.operations import Asks, Page
from bus.edge.operator.answers import Counts

Ruling = Literal["accepted", "held", "denied", "rejected"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is answered."""


class Nothing(Asks, frozen=True, kw_only=True):
    """What is asked where there is nothing to ask."""


class PrincipleRow(Answer, frozen=True, kw_only=True):
    """A principle; `severity` says how grave it is to break it."""

    id: str
    text: str
    severity: Literal["low", "medium", "high", "critical"]


class ConstitutionRow(Answer, frozen=True, kw_only=True):
    """The constitution in force; every message is stamped with its `hash`."""

    hash: str
    name: str
    version: str
    principles: tuple[PrincipleRow, ...]


class Compliance(Asks, frozen=True, kw_only=True):
    """A message that the caller may publish later: would policy let it in?

    Nothing is published. `constitution` is the hash that the caller takes to be in force.
    """

    subject: Subject
    action: Literal["publish", "request"] = "publish"
    body: Any | UnsetType = UNSET
    body_base64: Octets | UnsetType = UNSET
    content_type: MediaType | None = None
    type: Type = "event"
    priority: Priority = 1
    headers: Headers | None = None
    constitution: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")] | None = None


class Verdict(Answer, frozen=True, kw_only=True):
    """What would become of a message.

    It is `compliant` if policy would let it in at once; a held one waits for a person.
    Processing stages, rates and who subscribes are not looked at: `obligations` has what
    policy makes of it.
    """

    compliant: bool
    outcome: Ruling
    reasons: tuple[str, ...]
    obligations: tuple[dict[str, Any], ...]
    constitution: str
    revision: str


class PrecedentsAsked(Asks, frozen=True, kw_only=True):
    """What was decided before, on a subject and those like it, or under a pattern.

    Like a subject are those that differ in its last token. Without a subject: on all.
    """

    subject: Annotated[str, Meta(max_length=SUBJECT_BYTES_MAX)] = ""
    limit: Annotated[int, Meta(ge=1, le=PRECEDENTS_MAX)] = PRECEDENTS
    after: Annotated[str, Meta(max_length=CURSOR_CHARS_MAX)] = ""


class Precedent(Answer, frozen=True, kw_only=True):
    """A decision on a message, and its reason where it was not simply let in."""

    time: str
    subject: str
    agent: str
    outcome: str
    reason: str
    revision: str
    message_id: str


class Precedents(Page, frozen=True, kw_only=True):
    """Decisions, newest first. A page may have few, or none, and still a `next`."""

    items: tuple[Precedent, ...]


class OwnCounts(Answer, frozen=True, kw_only=True):
    """What became of the caller's own messages, and how many it was handed."""

    accepted: int
    denied: int
    delivered: int


class GovernanceMetrics(Answer, frozen=True, kw_only=True):
    """Counts since the node's start at `since`: of the caller's tenant, and its own.

    `compliance` is the share of its tenant's messages that were let in, of those that
    were let in, held or denied; None before the first. `counted` is False where a node
    has more tenants than it counts one by one.
    """

    time: str
    since: str
    tenant: str
    agent: str
    revision: str
    constitution: str
    counts: Counts
    own: OwnCounts
    compliance: float | None
    counted: bool


class Forget(Asks, frozen=True, kw_only=True):
    """The consumer that goes, with what waits for it."""

    name: Name


class Forgotten(Answer, frozen=True, kw_only=True):
    """How many deliveries went with a consumer."""

    name: str
    left: int
