"""100,000 recorded decisions under a candidate policy, as a pipeline replays them.

Run: .venv/bin/pytest benchmarks/test_replay.py -s

10,000 of the decisions are different: 200 agents of 50 roles on 50 subjects each. The
candidate takes a grant from one role, so that some decisions come out otherwise.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from benchmarks.targets import reach
from benchmarks.test_policy import AGENTS, NOW_NS, expect, policy_data
from bus.core.message import Message
from policy.authorizer import load_authorizer
from policy.bundle import Bundle, Origin
from policy.fields import InputPlan
from policy.replay.workers import Plan, Replayed, replay

DECISIONS: Final = 100_000
DISTINCT: Final = 10_000
SECONDS_MAX: Final = 30.0  # the promise of the project, on two cores


def messages() -> Iterator[Message]:
    """Yield messages in an order that mixes the 10,000 kinds."""
    for number in range(DECISIONS):
        kind = number * 7919 % DISTINCT
        agent, subject = kind % AGENTS, kind // AGENTS
        yield Message(
            id=number.to_bytes(16, "big"),
            subject=f"agents.{subject}.task",
            type="event",
            priority=1,
            tenant=f"tenant-{agent % 8}",
            sender=f"agent-{agent:03d}",
            content_type="application/msgpack",
            body=bytes(220),
            created_ns=NOW_NS + number,
            constitution="0123456789abcdef",
            revision="0123456789abcdef",
            headers={"trace": f"{number:032x}"},
        )


def event(number: int, document: str, decision: Any) -> bytes:
    """Return a decision as the decision log has it."""
    return msgspec.json.encode(
        {
            "labels": {"id": "bus-1", "version": "1"},
            "decision_id": f"{number:032x}",
            "timestamp": "2026-11-21T10:00:00.000000000Z",
            "path": "assent/authz/decision",
            "requested_by": "agent",
            "bundles": {"assent": {"revision": decision.revision}},
            "input": msgspec.Raw(document.encode()),
            "result": {
                "allow": decision.allow,
                "reasons": decision.reasons,
                "obligations": decision.obligations,
            },
            "metrics": {"timer_server_handler_ns": 1},
            "custom": {"message": f"{number:032x}", "cached": decision.cached},
        }
    )


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a log of real decisions."""
    place = tmp_path_factory.mktemp("replay") / "decisions.jsonl"
    made = load_authorizer(data=policy_data(), now_ns=lambda: NOW_NS)
    whole = InputPlan(None)
    with place.open("wb") as file:
        for number, message in enumerate(messages()):
            decision = made.decide_now("publish", message)
            roles = made.principal(message.sender).roles
            document = whole.document("publish", message, roles)
            file.write(event(number, document, decision) + b"\n")
    return place


def measured(log: Path, candidate: Bundle, what: str) -> Replayed:
    """Replay and print how long it took."""
    workers = len(os.sched_getaffinity(0))
    start = time.perf_counter()
    made = replay(Plan(candidate, (log,), workers))
    seconds = time.perf_counter() - start
    counts = made.counts
    print(
        f"\n{what}: {counts.decided} decisions, {counts.evaluated} evaluated, "
        f"{counts.different} different, {seconds:.1f} s with {workers} workers"
    )
    expect(counts.decided == DECISIONS, f"only {counts.decided} decided")
    expect(counts.evaluated == DISTINCT, f"{counts.evaluated} evaluated")
    reach(seconds <= SECONDS_MAX, f"{seconds:.1f} s")
    return made


def test_a_replay_without_a_difference(log: Path) -> None:
    made = measured(log, Origin(policy_data()).read(), "the same policy")
    expect(made.counts.different == 0, "there is a difference")


def test_a_replay_with_some_differences(log: Path) -> None:
    data = policy_data()
    del data["roles"]["role-7"]["publish"][1]
    made = measured(log, Origin(data).read(), "a grant less")
    expect(made.counts.different > 0, "there is no difference")


def test_a_replay_where_every_allow_differs(log: Path) -> None:
    data = policy_data()
    data["limits"]["depth"] = 4
    made = measured(log, Origin(data).read(), "another limit")
    expect(made.counts.different > 0, "there is no difference")


def test_a_replay_where_everything_differs(log: Path) -> None:
    data = policy_data()
    for agent in data["agents"].values():
        agent["enabled"] = False
    made = measured(log, Origin(data).read(), "everybody disabled")
    expect(made.counts.different == DECISIONS, "something is the same")
