"""Recorded actions through a bus: each as a message of the agent that made it.

Rule: every action is accounted for. It is published and ends as one outcome, or its
agent is not let in; what is accepted is delivered once. The checks say so after the
bus has closed, from its record.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.agent import Agent
from bus.app import Bus
from bus.cli import ledger
from bus.cli.checks import Check
from bus.cli.recordings.defaults import receiver
from bus.cli.recordings.formats import TIME_HEADER, Action
from bus.cli.running import run_to_end
from bus.config import Settings
from bus.config.governing import PolicySettings
from bus.config.settings import AuditSettings
from bus.core.errors import (
    ConfigurationError,
    DeniedError,
    UnknownAgentError,
)
from bus.core.limits import REPLAY_REASONS_MAX
from bus.core.outcome import Accepted, Denied, Dropped, Failed, Held, Outcome, Rejected
from bus.core.stats import Snapshot
from bus.subscription import Delivery

ENDINGS: Final = (
    "allowed",
    "held",
    "denied",
    "dropped",
    "rejected",
    "failed",
    "not_let_in",
)
_MORE: Final = "other reasons"


class Plan(msgspec.Struct, frozen=True):
    """What to replay under which policy; `policy` is a folder of Rego, or None."""

    actions: Sequence[Action]
    data: Mapping[str, Any] | Path
    policy: Path | None
    audit_file: Path


class Row(msgspec.Struct):
    """Endings of one agent's or tool's actions, by name."""

    name: str
    actions: int = 0
    endings: dict[str, int] = {}

    def add(self, ending: str) -> None:
        """Count one action."""
        self.actions += 1
        self.endings[ending] = self.endings.get(ending, 0) + 1


class Account(msgspec.Struct, frozen=True):
    """What became of a recording."""

    endings: dict[str, int]
    delivered: int
    tools: list[Row]
    agents: list[Row]
    reasons: dict[str, int]
    took_s: float
    snapshot: Snapshot
    checks: list[Check]

    @property
    def ok(self) -> bool:
        """Whether every action is accounted for."""
        return all(check.state == "ok" for check in self.checks)


def replay(plan: Plan) -> Account:
    """Replay a recording.

    Raises:
        PolicyLoadError: the policy or its data is refused.
        ConfigurationError: the data has no agent to receive a tenant's requests.
        AuditBrokenError, OSError: the audit file cannot be continued.
    """
    before = ledger.records_in(plan.audit_file)
    bus = Bus(plan.data, settings=_settings(plan))
    player = _Player(bus, plan.actions)
    left, took_s = run_to_end(_play(bus, player, plan.actions))
    snapshot = bus.stats()
    checks = [player.account(left)]
    found = ledger.verified(plan.audit_file, before=before)
    if isinstance(found, Check):
        checks.append(found)
    else:
        denied = player.access_denied
        checks += ledger.reconcile(found, snapshot, access_denied=denied)
    return Account(
        {name: player.endings[name] for name in ENDINGS},
        player.delivered,
        sorted(player.tools.values(), key=_most),
        sorted(player.agents.values(), key=_most),
        dict(player.reasons.most_common()),
        took_s,
        snapshot,
        checks,
    )


async def _play(
    bus: Bus, player: "_Player", actions: Sequence[Action]
) -> tuple[int, float]:
    """Return how many deliveries were cut off, and the seconds from first to last."""
    loop = asyncio.get_running_loop()
    async with bus:
        player.receive()
        started_s = loop.time()
        for action in actions:
            await player.play(action)
        left = await bus.close()
    return left, loop.time() - started_s


class _Player:
    """Publishes as the recorded agents, and receives what gets through."""

    def __init__(self, bus: Bus, actions: Sequence[Action]) -> None:
        self._bus = bus
        self._tenants = {action.tenant for action in actions}
        self._count = len(actions)
        self._known: dict[tuple[str, str], Agent | str] = {}
        self._mismatched = 0
        self.endings: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.tools: dict[str, Row] = {}
        self.agents: dict[str, Row] = {}
        self.delivered = 0
        self.access_denied = 0

    def receive(self) -> None:
        """Have one agent of each tenant receive everything."""
        for tenant in sorted(self._tenants):
            name = receiver(tenant)
            try:
                agent = self._bus.agent(name)
                agent.subscribe(">", self._received)
            except (UnknownAgentError, DeniedError) as error:
                raise ConfigurationError(
                    f"{error}; the policy data needs an agent {name!r} of tenant "
                    f"{tenant!r} that may subscribe to '>': it receives what is let in"
                ) from error
            if agent.tenant != tenant:
                raise ConfigurationError(
                    f"agent {name!r} belongs to tenant {agent.tenant!r}; it has to "
                    f"receive what is let in of tenant {tenant!r}"
                )

    async def play(self, action: Action) -> None:
        """Publish one action and count how it ends."""
        agent = self._agent(action)
        if isinstance(agent, str):
            self._count_as(action, "not_let_in", agent)
            return
        outcome = await agent.publish(
            action.subject,
            action.body,
            type=action.type,
            correlation=action.task,
            headers=None if action.time is None else {TIME_HEADER: action.time},
        )
        self._count_as(action, *_told(outcome))

    def account(self, left: int) -> Check:
        """Return the check that every action is accounted for."""
        ended, allowed = sum(self.endings.values()), self.endings["allowed"]
        good = ended == self._count and self.delivered == allowed
        good = good and left == 0 and not self._mismatched
        shown = " + ".join(
            f"{self.endings[name]} {name.replace('_', ' ')}"
            for name in ENDINGS
            if self.endings[name]
        )
        text = f"{self._count} actions = {shown or 0}; {self.delivered} delivered"
        if left or self._mismatched:
            text += f", {left} cut off, {self._mismatched} under a wrong identity"
        return Check("every action accounted for", "ok" if good else "failed", text)

    def _agent(self, action: Action) -> Agent | str:
        """Return the agent that acts, or why it is not let in."""
        key = (action.agent, action.tenant)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._named(action)
        return known

    def _named(self, action: Action) -> Agent | str:
        try:
            agent = self._bus.agent(action.agent)
        except DeniedError as error:
            self.access_denied += 1
            return str(error)
        except UnknownAgentError as error:
            return str(error)
        if agent.tenant != action.tenant:
            return (
                f"agent {agent.name} belongs to tenant {agent.tenant}, "
                f"not to {action.tenant}"
            )
        return agent

    async def _received(self, delivery: Delivery) -> None:
        """Take what was let in; the tool itself is not run."""
        message = delivery.message
        self.delivered += 1
        self._mismatched += (message.sender, message.tenant) not in self._known

    def _count_as(self, action: Action, ending: str, reason: str) -> None:
        self.endings[ending] += 1
        self.tools.setdefault(action.tool, Row(action.tool)).add(ending)
        self.agents.setdefault(action.agent, Row(action.agent)).add(ending)
        if reason:
            if reason not in self.reasons and len(self.reasons) >= REPLAY_REASONS_MAX:
                reason = _MORE
            self.reasons[reason] += 1


def _told(  # noqa: PLR0911 - one return for each ending
    outcome: Outcome,
) -> tuple[str, str]:
    match outcome:
        case Accepted():
            return "allowed", ""
        case Denied():
            return "denied", "; ".join(outcome.reasons)
        case Held():
            return "held", outcome.reason
        case Dropped():
            return "dropped", f"{outcome.by}: {outcome.reason}"
        case Rejected():
            return "rejected", f"{outcome.code}: {outcome.reason}"
        case Failed():
            return "failed", f"{outcome.code}: {outcome.reason}"


def _settings(plan: Plan) -> Settings:
    return Settings(
        audit=AuditSettings(file=plan.audit_file),
        policy=PolicySettings(folder=plan.policy, watch=False),
    )


def _most(row: Row) -> tuple[int, str]:
    return -row.actions, row.name
