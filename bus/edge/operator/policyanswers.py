"""What operators ask of policy and are answered.

Rule: as in `bus.edge.operator.answers`. Policy data name the agents of every tenant, so
they are an admin's; rules are everybody's who lives under them.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from bus.edge.operations import Asks, Page
from bus.edge.operator.answers import Filter, Paged, Row

Action = Literal[
    "publish", "request", "reply", "connect", "subscribe", "cooldown", "release"
]
RuleState = Literal["held", "not held", "not reached", "called", "failed"]


class ModuleRow(Row, frozen=True, kw_only=True):
    """A file of rules, as it is in force."""

    name: str
    text: str


class RuleRow(Row, frozen=True, kw_only=True):
    """One definition of a rule, and where it is."""

    rule: str
    file: str
    line: int
    kind: str


class PolicyRow(Row, frozen=True, kw_only=True):
    """The policy in force.

    `etag` is what a PUT of another one gives back in If-Match. `writable` tells
    whether it can be put; `why_not` says what stands in the way, for a person. Where the
    rules are kept by another server, `modules` and `rules` are empty.
    """

    revision: str
    declared: str
    engine: Literal["embedded", "isolated", "opa"]
    built_in: bool
    loaded: str
    data_agents: int | None
    rules: tuple[RuleRow, ...]
    modules: tuple[ModuleRow, ...]
    etag: str
    writable: bool
    why_not: str = ""


class PolicyDataRow(Row, frozen=True, kw_only=True):
    """Policy data in force, as an object of JSON."""

    revision: str
    name: str
    data: dict[str, Any]


class Question(Asks, frozen=True, kw_only=True):
    """What policy is asked, as if `agent` did it now; nothing is done.

    `subject` is the pattern of a subscribe or a cooldown. `author` and `authors` are those
    of the message that a release is about. `revision` is one of those kept; by default
    the one in force.
    """

    agent: str
    action: Action = "publish"
    subject: str = ""
    type: str = "event"
    priority: int = 1
    size: int = 2
    content_type: str = "application/json"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    reply_to: str | None = None
    correlation: str | None = None
    depth: int = 0
    authors: tuple[str, ...] = ()
    author: str = ""
    queue: str = ""
    revision: str = ""


class FindingRow(Row, frozen=True, kw_only=True):
    """What one definition came to; `decided` tells that the decision rests on it.

    `value` is for an admin: it may hold data of any tenant.
    """

    rule: str
    file: str
    line: int
    kind: str
    state: RuleState
    decided: bool
    value: Any = None
    reasons: tuple[str, ...] = ()
    error: str = ""


class InputRow(Row, frozen=True, kw_only=True):
    """An input field that the deciding rules read; `value` is absent if it was not there."""

    name: str
    there: bool
    value: Any | UnsetType = UNSET


class Explained(Row, frozen=True, kw_only=True):
    """A decision, the rules it rests on, the input they read, and all of the input.

    `decided_under` is the revision of the decision that is explained, where it is known;
    `same` is False where the policy of now comes to another ending.
    """

    allow: bool
    reasons: tuple[str, ...]
    obligations: tuple[dict[str, Any], ...]
    revision: str
    rules: tuple[FindingRow, ...]
    input: tuple[InputRow, ...]
    document: dict[str, Any]
    decided_under: str | None = None
    outcome: str | None = None
    same: bool | None = None
    note: str = ""


class WhyAsked(Asks, frozen=True, kw_only=True):
    """The message whose decision is explained."""

    id: str


class DecisionsAsked(Paged, frozen=True, kw_only=True):
    """Which decisions: with that ending, by that agent, with `reason` in their reasons."""

    allow: bool | None = None
    agent: Filter = ""
    reason: Filter = ""
    tenant: Filter = ""


class DecisionRow(Row, frozen=True, kw_only=True):
    """A decision of late. `action` and `type` are None where they are not known any more.

    `message_id` can be asked about at /v1/messages/{id}/why.
    """

    time: str
    agent: str
    tenant: str
    subject: str
    outcome: str
    allow: bool
    reasons: tuple[str, ...]
    revision: str
    message_id: str
    action: str | None = None
    type: str | None = None


class ReasonRow(Row, frozen=True, kw_only=True):
    """A reason, and how many of the decisions kept were denied or held for it."""

    reason: str
    count: int


class Decisions(Page, frozen=True, kw_only=True):
    """Decisions of late, newest first. `reasons` are the most frequent of those kept."""

    items: tuple[DecisionRow, ...]
    reasons: tuple[ReasonRow, ...]


class RevisionRow(Row, frozen=True, kw_only=True):
    """A revision that is or was in force while this node ran."""

    revision: str
    declared: str
    since: str
    current: bool
    modules: int
    by: str


class Revisions(Page, frozen=True, kw_only=True):
    """Revisions, newest first; the oldest give way."""

    items: tuple[RevisionRow, ...]


class DiffAsked(Asks, frozen=True, kw_only=True):
    """The two revisions to compare."""

    before: str = msgspec.field(name="from")
    after: str = msgspec.field(name="to")


class FileDiff(Row, frozen=True, kw_only=True):
    """A file that differs: the lines of a unified diff."""

    name: str
    change: Literal["added", "removed", "changed"]
    lines: tuple[str, ...]
    cut: bool = False


class Diff(Row, frozen=True, kw_only=True):
    """What differs between two revisions; data are compared for an admin only."""

    before: str = msgspec.field(name="from")
    after: str = msgspec.field(name="to")
    files: tuple[FileDiff, ...]
    data_compared: bool


class PutModule(Asks, frozen=True, kw_only=True):
    """A file of rules to be put in force."""

    name: str
    text: str


class PutPolicy(Asks, frozen=True, kw_only=True):
    """Another policy: data, rules, or both. What is not given stays as it is.

    `modules` are all files of rules, not only those that change. `if_match` is the etag
    of the policy that it was made from; over HTTP it is the If-Match header.
    """

    if_match: str | None = None
    data: dict[str, Any] | UnsetType = UNSET
    modules: tuple[PutModule, ...] | UnsetType = UNSET
    reason: str = ""


class PutAnswer(Row, frozen=True, kw_only=True):
    """The revision in force since, the one before, and the etag of the new one."""

    revision: str
    before: str
    etag: str
