"""What tools return: the node's answers, in the words of their schemas.

Rule: what a node of a later version says beside this is left out; what it must say and
does not, fails the call.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Told(BaseModel):
    """Base of what is returned."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Outcome(Told):
    """What became of a message; `held` waits for a person until `until`."""

    status: Literal["accepted", "held", "denied", "dropped", "rejected", "failed"]
    message_id: str
    revision: str = ""
    decision_id: str = ""
    deliveries: int = 0
    duplicate: bool = False
    reasons: list[str] = []
    until: str = ""


class Reply(Told):
    """The first reply: `body` where it is JSON, else `body_base64`."""

    content_type: str
    body: Any = None
    body_base64: str = ""


class Delivery(Reply):
    """A message in an inbox; settle it by its `receipt` once it is dealt with."""

    receipt: str
    attempt: int
    id: str
    subject: str
    type: str
    priority: int
    sender: str
    tenant: str
    created: str
    headers: dict[str, str] = {}
    correlation: str = ""
    reply_to: str = ""


class SettledItem(Told):
    """How a verdict was carried out; `code` and `detail` say why one was not."""

    receipt: str
    ok: bool
    code: str = ""
    detail: str = ""


class Settled(Told):
    """How each verdict was carried out, in their order."""

    items: list[SettledItem]


class Received(Told):
    """Messages of an inbox; `waiting` counts those that are ready and not here.

    `settled` tells how the receipts went that came with the call.
    """

    inbox: str
    pattern: str
    messages: list[Delivery] = []
    waiting: int = 0
    settled: list[SettledItem] = []


class Closed(Told):
    """An inbox that is closed. `left` messages went with it unless it was kept."""

    inbox: str
    kept: bool
    left: int = 0


class Event(Told):
    """Something that happened to a message."""

    event: str
    time: str
    agent: str
    detail: str
    revision: str


class Pending(Told):
    """A delivery that is in a handler's hands, or waits to be tried again."""

    consumer: str
    agent: str
    state: str
    attempt: int


class Status(Told):
    """Where a message stands and what happened to it; `truncated`: there may be more."""

    id: str
    status: str
    items: list[Event]
    pending: list[Pending] = []
    truncated: bool


class Rule(Told):
    """A rule of policy that a decision rests on, and where it stands."""

    rule: str
    file: str
    line: int
    reasons: list[str] = []


class Explained(Told):
    """Why a message ended as it did, or what would become of one.

    `rules` are shown to operators; `note` says what is not known.
    """

    outcome: str
    reasons: list[str]
    revision: str
    rules: list[Rule] = []
    note: str = ""


class Verdict(Told):
    """What policy would say; `compliant` if the message would be let in at once."""

    compliant: bool
    outcome: str
    reasons: list[str]
    obligations: list[dict[str, Any]]
    constitution: str
    revision: str


class Principle(Told):
    """A principle; `severity` says how grave it is to break it."""

    id: str
    text: str
    severity: str


class Principles(Told):
    """The constitution in force; every message is stamped with its `hash`."""

    hash: str
    name: str
    version: str
    principles: list[Principle]


class Precedent(Told):
    """A decision on a message, and its reason where it was not simply let in."""

    time: str
    subject: str
    agent: str
    outcome: str
    reason: str
    revision: str
    message_id: str


class Precedents(Told):
    """Decisions, newest first; `next` goes into `after` for those before them."""

    items: list[Precedent]
    next: str | None = None


class Counts(Told):
    """Endings of messages of one tenant."""

    accepted: int
    delivered: int
    denied: int
    rejected: int
    failed: int
    dropped: int
    held: int
    dead: int


class OwnCounts(Told):
    """What became of one's own messages, and how many one was handed."""

    accepted: int
    denied: int
    delivered: int


class Metrics(Told):
    """Counts since the node's start; `compliance` is the share that was let in."""

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
