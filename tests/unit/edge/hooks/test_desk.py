"""Hooks over a real bus: a call of a tool is a message, and the outcome is the verdict."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bus.agent import Agent
from bus.config.governing import PolicySettings
from bus.core.edgelimits import HOOK_INPUT_BYTES_MAX, HOOK_RESPONSE_BYTES_MAX
from bus.edge.caller import Caller
from bus.edge.gate import Gate
from bus.edge.hooks.desk import Desk
from bus.edge.hooks.family import Bounds
from bus.subscription import Delivery
from bus.testing import TestBus
from tests.fakes.buses import data, settings

CALLER = Caller(agent="coder", tenant="acme", credential="token abc")


HOLDING = """package assent.authz

decision := {"allow": true, "reasons": [], "obligations": obligations}

default obligations := []

obligations := [{"type": "hold", "reason": "a person looks", "seconds": 60}] if {
	input.message.subject == "tool.Bash.request"
}
"""


def make(*desks: str, **sections: Any) -> tuple[TestBus, Desk]:
    """Return a bus with a coding agent, and a desk whose agents are `desks`."""
    may = [{"subject": "tool.Bash.*"}, {"subject": "tool.Task.*"}]
    made = data(coding={"publish": may}, desk={"subscribe": ["tool.>"]})
    made["agents"]["coder"] = {"tenant": "acme", "roles": ["coding"]}
    made["agents"]["desk"] = {"tenant": "acme", "roles": ["desk"]}
    bus = TestBus(made, settings=settings(**sections))
    return bus, Desk(Gate(bus), desks, Bounds(depth=1, fan_out=2))


@pytest.fixture
def parts() -> tuple[TestBus, Desk]:
    """Return a bus and a desk that takes calls of tools."""
    return make("desk")


@pytest.fixture
def alone() -> tuple[TestBus, Desk]:
    """Return a bus on which nobody takes calls of tools."""
    return make()


@pytest.fixture
def holding(tmp_path: Path) -> tuple[TestBus, Desk]:
    """Return a bus whose policy holds calls of one tool."""
    (tmp_path / "authz.rego").write_text(HOLDING)
    return make("desk", policy=PolicySettings(folder=tmp_path, watch=False))


@pytest.fixture
async def desk(parts: tuple[TestBus, Desk]) -> AsyncIterator[Desk]:
    """Give the desk of a bus that runs."""
    bus, desk = parts
    async with bus:
        desk.open()
        yield desk


def event(name: str = "PreToolUse", **fields: Any) -> bytes:
    """Return an event as a coding agent sends it, with a field of its future."""
    tool = {"tool_name": "Bash", "tool_input": {"command": "ls"}, "tool_use_id": "t1"}
    return json.dumps(
        {"session_id": "s1", "hook_event_name": name, "future": 1, **tool, **fields}
    ).encode()


async def ask(desk: Desk, name: str = "PreToolUse", **fields: Any) -> dict[str, Any]:
    """Return the answer to an event."""
    answer: dict[str, Any] = json.loads(
        await desk.answer(CALLER, event(name, **fields))
    )
    return answer


async def verdict(desk: Desk, **fields: Any) -> tuple[str, str]:
    """Return the decision on a call, and the reason."""
    told = (await ask(desk, **fields))["hookSpecificOutput"]
    assert told["hookEventName"] == "PreToolUse"
    return told["permissionDecision"], told["permissionDecisionReason"]


async def test_a_call_that_policy_lets_in_is_allowed_and_recorded(
    parts: tuple[TestBus, Desk], desk: Desk
) -> None:
    """The reason names the revision."""
    decision, reason = await verdict(desk)
    assert decision == "allow"
    assert parts[0].revision in reason
    assert parts[0].stats().subjects[0].accepted == 1


async def test_a_call_that_no_role_may_make_is_denied_with_the_reason(
    desk: Desk,
) -> None:
    """In policy's own words."""
    decision, reason = await verdict(desk, tool_name="WebFetch")
    assert decision == "deny"
    assert "tool.WebFetch.request" in reason


@pytest.mark.parametrize("tool", ["", "a.b", "*", ">", "Bash ", "B" * 129, "Bäsh"])
async def test_what_is_no_name_of_a_tool_is_denied(desk: Desk, tool: str) -> None:
    """It would be another subject."""
    assert (await verdict(desk, tool_name=tool))[0] == "deny"


async def test_a_call_that_policy_holds_is_asked_about(
    holding: tuple[TestBus, Desk],
) -> None:
    """With the id that an approval needs."""
    bus, desk = holding
    async with bus:
        desk.open()
        decision, reason = await verdict(desk)
        assert decision == "ask"
        assert "a person looks" in reason
        assert bus.held[0].message.id.hex() in reason


async def test_with_nobody_to_take_the_calls_they_are_denied(
    alone: tuple[TestBus, Desk],
) -> None:
    """And the setting is named."""
    bus, desk = alone
    async with bus:
        decision, reason = await verdict(desk)
    assert decision == "deny"
    assert "hooks.agents" in reason


async def test_a_bus_that_has_stopped_denies(parts: tuple[TestBus, Desk]) -> None:
    """Fail closed."""
    bus, desk = parts
    async with bus:
        desk.open()
    assert (await verdict(desk))[0] == "deny"


@pytest.mark.parametrize(
    "data_",
    [
        b"",
        b"{",
        b"[]",
        b'{"session_id":"s"}',
        b'{"session_id":1,"hook_event_name":"PreToolUse"}',
        b"\xff\xfe",
        b'{"session_id":"' + b"s" * 300 + b'","hook_event_name":"PreToolUse"}',
        b'{"a":' * 100_000,
        b" " * (HOOK_INPUT_BYTES_MAX + 1),
    ],
)
async def test_what_is_no_event_is_denied(desk: Desk, data_: bytes) -> None:
    """In the form that denies a call."""
    answer = json.loads(await desk.answer(CALLER, data_))
    assert answer["hookSpecificOutput"]["permissionDecision"] == "deny"


async def test_an_agent_that_policy_does_not_know_is_denied(desk: Desk) -> None:
    """A credential alone lets nobody in."""
    stranger = Caller(agent="nobody", tenant="acme", credential="token x")
    answer = json.loads(await desk.answer(stranger, event()))
    assert answer["hookSpecificOutput"]["permissionDecision"] == "deny"


async def test_what_the_tool_did_is_recorded_after_the_call(
    parts: tuple[TestBus, Desk], desk: Desk
) -> None:
    """What is long by its hash."""
    assert await ask(desk, "PostToolUse", tool_response={"stdout": "a"}) == {}
    long = "x" * (HOOK_RESPONSE_BYTES_MAX + 1)
    assert await ask(desk, "PostToolUse", tool_response=long) == {}
    counted = {s.template: s.accepted for s in parts[0].stats().subjects}
    assert sum(counted.values()) == 2


async def test_what_is_not_recorded_is_told_to_the_agent(desk: Desk) -> None:
    """Nothing can undo it; it must not go on."""
    answer = await ask(desk, "PostToolUse", tool_name="WebFetch")
    assert answer["decision"] == "block"
    assert "not recorded" in answer["reason"]
    odd = await ask(desk, "PostToolUse", tool_name="a.b")
    assert odd["decision"] == "block"


async def test_depth_is_enforced_where_a_sub_agent_would_begin(desk: Desk) -> None:
    """Its start cannot be blocked, the call can."""
    task = {"tool_name": "Task", "tool_input": {"subagent_type": "reviewer"}}
    assert (await verdict(desk, **task))[0] == "allow"
    await ask(desk, "SubagentStart", agent_id="a1", agent_type="reviewer")
    decision, reason = await verdict(desk, agent_id="a1", **task)
    assert (decision, "1 deep at most" in reason) == ("deny", True)


async def test_fan_out_is_enforced_and_falls_when_one_ends(desk: Desk) -> None:
    """Two at once, and a third after one."""
    task = {"tool_name": "Task", "tool_input": {"subagent_type": "reviewer"}}
    for number in range(2):
        assert (await verdict(desk, tool_use_id=f"t{number}", **task))[0] == "allow"
        await ask(desk, "SubagentStart", agent_id=f"a{number}", agent_type="reviewer")
    assert (await verdict(desk, **task))[0] == "deny"
    await ask(desk, "SubagentStop", agent_id="a0")
    assert (await verdict(desk, **task))[0] == "allow"


async def test_a_session_that_is_over_is_forgotten(desk: Desk) -> None:
    """Its sub-agents count no more."""
    task = {"tool_name": "Task", "tool_input": {"subagent_type": "reviewer"}}
    await verdict(desk, **task)
    await verdict(desk, **task)
    assert await ask(desk, "SessionEnd") == {}
    assert (await verdict(desk, **task))[0] == "allow"


@pytest.mark.parametrize("name", ["Stop", "SessionStart", "Notification", "Future"])
async def test_events_that_let_nothing_through_are_answered_with_nothing(
    desk: Desk, name: str
) -> None:
    """Those of later versions too."""
    assert await ask(desk, name) == {}


async def test_what_a_sub_agent_does_descends_from_the_call_that_began_it(
    parts: tuple[TestBus, Desk], desk: Desk
) -> None:
    """By the message's own lineage."""
    seen = []

    async def watch(delivery: Delivery) -> None:
        seen.append(delivery.message)

    parts[0].agent("planner").subscribe("tool.>", watch)
    await ask(desk, "UserPromptSubmit", prompt="tidy\nup")
    task = {"tool_name": "Task", "tool_input": {"subagent_type": "reviewer"}}
    await verdict(desk, **task)
    await parts[0].settle()
    await ask(desk, "SubagentStart", agent_id="a1", agent_type="reviewer")
    await verdict(desk, agent_id="a1")
    await parts[0].settle()
    assert seen[1].parent == seen[0].id
    assert seen[1].depth == 1
    assert seen[1].headers["user-request"] == "tidy up"
    assert seen[1].headers["tool-agent"] == "a1"


async def test_calls_at_the_same_time_do_not_share_the_last_place(
    parts: tuple[TestBus, Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each counts from when it is asked for, whatever policy takes to answer."""
    bus, desk = parts
    async with bus:
        desk.open()
        publish = Agent.publish

        async def slowly(*given: Any, **more: Any) -> Any:
            await asyncio.sleep(0)
            return await publish(*given, **more)

        monkeypatch.setattr(Agent, "publish", slowly)
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(verdict(desk, tool_name="Task", tool_use_id=f"t{n}"))
                for n in range(4)
            ]
    verdicts = [task.result()[0] for task in asked]
    assert sorted(verdicts) == ["allow", "allow", "deny", "deny"]
