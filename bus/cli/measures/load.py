"""The load: who publishes what, drawn once from a seed, the same in every run.

Rule: 100 agents in 10 teams and 1,000 subjects, each of one team. A message's subject
is drawn by Zipf's law (the n-th is n times rarer than the first), its sender from the
team that may publish it: 10,000 questions to policy in all. With `any_agent` every
agent publishes every subject, and the questions are 100,000.
"""

import itertools
import random
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.config.settings import (
    AuditSettings,
    ChoiceSettings,
    MeteringSettings,
    Settings,
)
from bus.core.codec import encode_body
from bus.core.limits import RATE_BURST_MAX, RATE_PER_S_MAX

AGENTS: Final = 100
SUBJECTS: Final = 1_000
TEAMS: Final = 10
BODY_BYTES: Final = 220
SEED: Final = 20_250_101
COLLECTOR: Final = "collector"
TENANT: Final = "bench"
_DRAWN_AT_ONCE: Final = 1 << 16


class Task(msgspec.Struct, frozen=True):
    """The body of every message; `probe` numbers the ones whose way is timed."""

    name: str
    probe: int
    text: str


def task(probe: int = 0) -> Task:
    """Return a body of exactly `BODY_BYTES` when encoded."""
    empty = len(encode_body(Task("measure", probe, "")))
    text = "x" * (BODY_BYTES - empty - 1)  # a longer text takes one byte of header more
    return Task("measure", probe, text)


def policy_data(*, any_agent: bool = False) -> dict[str, Any]:
    """Return the data: a role for each team, and the collector that hears all."""
    roles: dict[str, Any] = {
        f"team-{team}": {"publish": [{"subject": ">" if any_agent else f"{team}.>"}]}
        for team in range(TEAMS)
    }
    roles["collector"] = {
        "subscribe": [">"],
        "publish": [{"subject": ">"}],
        "request": [{"subject": ">"}],
    }
    agents: dict[str, Any] = {
        agent_name(agent): {"tenant": TENANT, "roles": [f"team-{agent % TEAMS}"]}
        for agent in range(AGENTS)
    }
    agents[COLLECTOR] = {"tenant": TENANT, "roles": ["collector"]}
    return {"tenants": {TENANT: {}}, "roles": roles, "agents": agents}


def settings(folder: Path) -> Settings:
    """Return settings with everything on; what is written goes to `folder`."""
    limit = {"per": "agent", "rate_per_s": RATE_PER_S_MAX, "burst": RATE_BURST_MAX}
    return Settings(
        audit=AuditSettings(file=folder / "audit.jsonl"),
        metering=MeteringSettings(file=folder / "usage.jsonl"),
        stages=(ChoiceSettings(name="rate_limit", options=limit),),
    )


def agent_name(agent: int) -> str:
    """Return the name of an agent by its number."""
    return f"agent-{agent:03}"


def subject_name(subject: int) -> str:
    """Return a subject by its rank, 0 the most frequent; its team is `rank % TEAMS`."""
    return f"{subject % TEAMS}.tasks.{subject:03}"


class Schedule:
    """The sender and subject of each message, as numbers: 4 bytes a message."""

    def __init__(self) -> None:
        self.agents = array("H")
        self.subjects = array("H")

    def __len__(self) -> int:
        return len(self.agents)

    def add(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Add messages as (agent, subject)."""
        for agent, subject in pairs:
            self.agents.append(agent)
            self.subjects.append(subject)


def drawn(messages: int, *, any_agent: bool = False) -> Schedule:
    """Return a schedule of `messages`, the same in every run."""
    # Not for secrets: that it can be foretold is what the seed is for.
    source = random.Random(SEED)  # noqa: S311 - drawn to be repeated
    ranks = range(SUBJECTS)
    weights = list(itertools.accumulate(1 / (rank + 1) for rank in ranks))
    schedule = Schedule()
    while len(schedule) < messages:
        count = min(messages - len(schedule), _DRAWN_AT_ONCE)
        subjects = source.choices(ranks, cum_weights=weights, k=count)
        agents = source.choices(range(AGENTS), k=count)
        if not any_agent:
            agents = [
                agent - agent % TEAMS + subject % TEAMS
                for agent, subject in zip(agents, subjects, strict=True)
            ]
        schedule.add(zip(agents, subjects, strict=True))
    return schedule


def every_question(*, any_agent: bool = False) -> Schedule:
    """Return each (agent, subject) that a schedule can hold, once."""
    schedule = Schedule()
    schedule.add(
        (agent, subject)
        for subject in range(SUBJECTS)
        for agent in range(AGENTS)
        if any_agent or agent % TEAMS == subject % TEAMS
    )
    return schedule
