"""An authorizer whose every decision is in the decision log, under an id of its own.

Rule: no decision leaves here that the log has not taken. Where the log is full the
caller waits for room, and where it stays full nothing is decided.
"""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from bus.core.decision import Decision, Principal
from bus.core.errors import PolicyUnavailableError, UnknownAgentError
from bus.core.ids import IdSource
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.message import Message
from bus.core.policylimits import DECISION_BODY_BYTES_KEPT, DECISION_ROLES_MEMO_MAX
from bus.core.stats import DecisionStats
from bus.ports import Access, Action, Authorizer
from policy.decisionlog.event import Entry

_set: Final = msgspec.structs.force_setattr
# Copied and given its id: 130 ns. `structs.replace` works out `plain` anew: 330 ns.
_copy: Final[Callable[[Decision], Decision]] = Decision.__copy__  # type: ignore[attr-defined]  # msgspec's stub lacks it


class Log(Protocol):
    """What takes the entries: `DecisionLog`."""

    full: bool
    """True when deciding must wait for `room`. An attribute: it is read per message."""

    def append(self, entry: Entry) -> None:
        """Take an entry. Never waits and never loses."""

    async def room(self) -> None:
        """Wait until it is no longer full; raise `PolicyUnavailableError` if it stays."""


class RecordingAuthorizer:
    """Implements `bus.ports.Authorizer` by another one. Used on the loop's thread.

    `now_ns` tells the time, `timer_ns` how long a decision took; `ids` are for
    decisions alone.
    """

    __slots__ = (
        "_decide_now",
        "_ids",
        "_inner",
        "_log",
        "_now_ns",
        "_roles",
        "_roles_revision",
        "_timer_ns",
    )

    def __init__(
        self,
        inner: Authorizer,
        log: Log,
        ids: IdSource,
        *,
        now_ns: Callable[[], int],
        timer_ns: Callable[[], int],
    ) -> None:
        self._inner = inner
        self._log = log
        self._ids = ids
        self._now_ns = now_ns
        self._timer_ns = timer_ns
        self._decide_now = inner.decide_now
        self._roles: dict[str, tuple[str, ...]] = {}
        self._roles_revision = ""

    @property
    def revision(self) -> str:
        """The revision in force."""
        return self._inner.revision

    def principal(self, agent: str) -> Principal:
        """Return who `agent` is; raise `UnknownAgentError` if the data has none."""
        return self._inner.principal(agent)

    def decide_now(self, action: Action, message: Message) -> Decision | None:
        """Decide without waiting; None also where the log has no room."""
        if self._log.full:
            return None
        begin_ns = self._timer_ns()
        decision = self._decide_now(action, message)
        if decision is None:
            return None
        took_ns = self._timer_ns() - begin_ns
        now_ns = message.created_ns
        return self._record(now_ns, action, message, decision, took_ns)

    async def decide(self, action: Action, message: Message) -> Decision:
        """Decide once there is room in the log.

        Raises:
            PolicyUnavailableError: no decision could be had, or it could not be logged.
        """
        if self._log.full:
            await self._log.room()
        begin_ns = self._timer_ns()
        try:
            decision = await self._inner.decide(action, message)
        except PolicyUnavailableError as error:
            self._record_failure(action, message, begin_ns, error)
            raise
        took_ns = self._timer_ns() - begin_ns
        return self._record(self._now_ns(), action, message, decision, took_ns)

    def admit_now(self, access: Access) -> Decision | None:
        """Decide on access without waiting; None also where the log has no room."""
        if self._log.full:
            return None
        begin_ns = self._timer_ns()
        decision = self._inner.admit_now(access)
        if decision is None:
            return None
        took_ns = self._timer_ns() - begin_ns
        return self._record(self._now_ns(), access.action, access, decision, took_ns)

    async def admit(self, access: Access) -> Decision:
        """Decide on access once there is room in the log; raises like `decide`."""
        if self._log.full:
            await self._log.room()
        begin_ns = self._timer_ns()
        try:
            decision = await self._inner.admit(access)
        except PolicyUnavailableError as error:
            self._record_failure(access.action, access, begin_ns, error)
            raise
        took_ns = self._timer_ns() - begin_ns
        return self._record(self._now_ns(), access.action, access, decision, took_ns)

    def stats(self) -> DecisionStats:
        """Return the counts of the decision cache."""
        return self._inner.stats()

    def _record(
        self,
        now_ns: int,
        action: str,
        asked: Message | Access,
        decision: Decision,
        took_ns: int,
    ) -> Decision:
        if decision.revision != self._roles_revision:
            self._roles_revision = decision.revision
            self._roles.clear()
        sender = asked.sender
        roles = self._roles.get(sender)
        if roles is None:
            roles = self._roles_of(sender)
        size = 0
        if type(asked) is Message:
            size = len(asked.body)
            if size > DECISION_BODY_BYTES_KEPT:
                # The log must not keep in memory what it never writes.
                asked = msgspec.structs.replace(asked, body=b"")
        decision_id = self._ids.next(now_ns).hex()
        told = _copy(decision)
        _set(told, "id", decision_id)
        self._log.append(
            (decision_id, now_ns, action, asked, roles, told, took_ns, size, "")
        )
        return told

    def _record_failure(
        self,
        action: str,
        asked: Message | Access,
        begin_ns: int,
        error: PolicyUnavailableError,
    ) -> None:
        now_ns = self._now_ns()
        took_ns = self._timer_ns() - begin_ns
        size = 0
        if type(asked) is Message:
            size = len(asked.body)
            asked = msgspec.structs.replace(asked, body=b"")
        self._log.append(
            (
                self._ids.next(now_ns).hex(),
                now_ns,
                action,
                asked,
                self._roles_of(asked.sender),
                None,
                took_ns,
                size,
                str(error)[:ERROR_CHARS_MAX],
            )
        )

    def _roles_of(self, sender: str) -> tuple[str, ...]:
        """Return the roles of an agent, none if the data does not know it; kept.

        Not asked each time: for a stranger the answer is an error that looks for names
        like theirs.
        """
        try:
            roles = self._inner.principal(sender).roles
        except UnknownAgentError:
            roles = ()
        if len(self._roles) >= DECISION_ROLES_MEMO_MAX:
            self._roles.clear()
        self._roles[sender] = roles
        return roles
