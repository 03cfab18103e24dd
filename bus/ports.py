"""What the flow needs from outside. The docstring of a port is its promise.

Ports on the hot path are synchronous: they may answer only what they can answer
without waiting. What may wait is a method of its own.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import msgspec

from bus.core.decision import Decision, Principal
from bus.core.message import Message
from bus.core.outcome import Dropped
from bus.core.stats import AuditStats, DecisionStats, MeterStats

Action = Literal["publish", "request", "reply", "dead_letter", "system_event"]
AccessAction = Literal["connect", "subscribe", "cooldown", "release", "chaos"]


class Access(msgspec.Struct, frozen=True, gc=False):
    """What an agent asks for beside a message of its own.

    To connect, to subscribe to `pattern`, to quiet the subjects under it, to release
    what is held for a subject, which `author` sent and `authors` led to, or to break a
    component: then `pattern` is `component.kind`.
    """

    action: AccessAction
    sender: str
    tenant: str
    pattern: str = ""
    queue: str = ""
    author: str = ""
    authors: tuple[str, ...] = ()


class Authorizer(Protocol):
    """Decides what a principal may do.

    A Decision is exactly what the policy of `revision` answers for the question;
    where policy answers nothing, or answers with anything but a decision, it denies.
    Its `cached` says whether the answer was had without an evaluation.
    """

    @property
    def revision(self) -> str:
        """The revision in force; it changes with every change of policy or data."""

    def principal(self, agent: str) -> Principal:
        """Return who `agent` is; raise `UnknownAgentError` if the data has none."""

    def decide_now(self, action: Action, message: Message) -> Decision | None:
        """Decide without waiting, or return None: then `decide` must be awaited."""

    async def decide(self, action: Action, message: Message) -> Decision:
        """Decide now, however old the message is.

        Raises `PolicyUnavailableError` if no decision could be had.
        """

    def admit_now(self, access: Access) -> Decision | None:
        """Decide on access without waiting, or return None: then await `admit`."""

    async def admit(self, access: Access) -> Decision:
        """Decide on access; raises like `decide`."""

    def stats(self) -> DecisionStats:
        """Return the counts of the decision cache."""


class Validator(Protocol):
    """Keeps messages under the constitution in force."""

    @property
    def constitution(self) -> str:
        """The hash in force, 16 hex digits."""

    def seal(self, message: Message) -> None:
        """Stamp a message that this bus has just made and nobody has seen."""

    def check(self, message: Message, now_ns: int) -> None:
        """Return if hash, stamp and expiry hold; else raise `ConstitutionalError`."""


class Processor(Protocol):
    """A stage: turns an admitted message into another, or ends it.

    It returns the message it was given if it changes nothing. It changes no field
    but `body`, `content_type`, `headers` and `expires_ns`; anything else it changes
    fails the message. What it raises fails the message, `OverloadedError` with its
    retry time. It may return an awaitable of the same; that costs a turn of the loop.
    """

    @property
    def name(self) -> str:
        """Names the stage in outcomes and in the configuration."""

    def process(
        self, message: Message, now_ns: int
    ) -> Message | Dropped | Awaitable[Message | Dropped]:
        """Return the message to go on with, or how it ends."""


class Candidate(Protocol):
    """A subscription as a strategy sees it."""

    @property
    def name(self) -> str:
        """Its stable name: agent, pattern and queue group."""

    @property
    def agent(self) -> str:
        """The agent that subscribes."""

    @property
    def queue(self) -> str:
        """Its queue group, or the empty string."""

    @property
    def load(self) -> int:
        """Messages waiting and in flight."""

    def holds(self, key: str) -> bool:
        """Tell whether it has a message of an ordering key that is not settled yet."""


class Strategy(Protocol):
    """Turns a message and the subscriptions that match it into the ones to deliver to.

    The result is a subset of `candidates`; an empty one ends the message as
    `Failed(no_responders)`. A strategy keeps no message.
    """

    @property
    def name(self) -> str:
        """Names the strategy in the configuration."""

    def fixed(self, candidates: Sequence[Candidate]) -> bool:
        """Tell whether every message goes to all of `candidates`, whatever it says."""

    def plan(
        self, message: Message, candidates: Sequence[Candidate]
    ) -> Sequence[Candidate]:
        """Return which of `candidates` get the message."""


AuditRecord = tuple[str, int, bytes, str, str, str, str, str, bytes]
"""(event, time_ns, message id, tenant, agent, subject, revision, detail, stamp)."""


class AuditLog(Protocol):
    """The tamper-evident record. What is appended is written, in order, or everybody waits.

    Events: accepted, denied, held, dropped, rejected, failed, released, delivered,
    dead, expired, evicted, refused, recalled, and of the bus itself: started, stopped, reloaded, recovery,
    reload_refused, cooldown, chaos, recovered, and of a node: unauthenticated,
    token_made, token_revoked, quarantined, quarantine_lifted, killed, policy_put,
    audit_check, compliance_check.
    """

    full: bool
    """True when publishing must wait for `room`. An attribute: it is read per message."""

    def append(self, record: AuditRecord) -> None:
        """Take a record. Never waits and never loses."""

    async def room(self) -> None:
        """Wait until it is no longer full; raise `AuditStalledError` when it stalls."""

    async def open(self) -> None:
        """Start writing; raise `ConfigurationError` if the record cannot be kept."""

    async def close(self) -> None:
        """Write everything that was taken, then stop."""

    def stats(self) -> AuditStats:
        """Return the counts since the start."""


class UsageCell(Protocol):
    """Counts one agent's use of one operation. Adding to it is all a publish does."""

    events: int
    body_bytes: int


class Meter(Protocol):
    """Counts usage, fire and forget: it may drop, and counts each drop."""

    def cell(self, tenant: str, agent: str, operation: str) -> UsageCell:
        """Return the cell to add to; the same one for the same arguments."""

    async def run(self) -> None:
        """Hand usage to the sinks until cancelled."""

    async def close(self) -> None:
        """Hand over what is left: afterwards sent = metered + dropped."""

    def stats(self) -> MeterStats:
        """Return the counts since the start."""


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Make sure it is not called, if it was not yet."""


class Clock(Protocol):
    """Tells the time and wakes. The only source of now."""

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch."""

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back in the running loop after `delay_s` seconds."""
