"""Data is read exactly, or refused with the file and the reason."""

import math
import time
from pathlib import Path
from typing import Any

import pytest

from bus.core.errors import PolicyLoadError
from bus.core.limits import AGENTS_MAX, POLICY_NESTING_MAX
from policy import data as policy_data
from tests.fakes import policies


def refused(change: dict[str, Any]) -> str:
    """Return why data with one changed section is refused."""
    with pytest.raises(PolicyLoadError) as error:
        policy_data.check_built_in("d.json", {**policies.data(), **change})
    assert error.value.file == "d.json"
    return error.value.reason


def role(**fields: Any) -> dict[str, Any]:
    """Return a change that gives the planner's role these fields, and the worker none."""
    return {"roles": {"planner": fields, "worker": {}}}


def test_good_data_is_accepted() -> None:
    """The sample that all tests build on is good."""
    policy_data.check_built_in("d.json", policies.data())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"agent": {}}, "unknown field 'agent'; did you mean 'agents'"),
        (
            {"agents": {"a": {"tenant": "acme", "role": []}}},
            "agents.a: unknown field 'role'; did you mean 'roles'",
        ),
        (
            {"agents": {"a": {"roles": []}}},
            "agents.a: Object missing required field `tenant`",
        ),
        ({"agents": {"a": {"tenant": "acme", "enabled": 1}}}, "Expected `bool`"),
        (
            {"agents": {"a": {"tenant": "acne"}}},
            "unknown tenant 'acne'; did you mean 'acme'",
        ),
        (
            {"agents": {"a": {"tenant": "acme", "roles": ["planer"]}}},
            "agents.a: unknown role 'planer'; did you mean 'planner'",
        ),
        ({"tenants": {"Acme": {}}}, "tenants.Acme"),
        ({"limits": {"body_bytes": -1}}, ">= 0"),
        (
            {"limits": {"depht": 1}},
            "limits: unknown field 'depht'; did you mean 'depth'",
        ),
        (role(publish=["tasks.*"]), "roles.planner.publish.0: Expected `object`"),
        (role(publish=[{"subject": "tasks..a"}]), "an empty token"),
        (role(publish=[{"subject": "a.>.b"}]), "only at the end"),
        (role(publish=[{"subject": "$DEAD.a"}]), "belongs to the bus"),
        (role(request=[{"subject": "$X"}]), "roles.planner.request"),
        (
            role(publish=[{"subject": "a", "types": ["evnt"]}]),
            "unknown message type 'evnt'; did you mean 'event'",
        ),
        (role(publish=[{"subject": "a", "types": []}]), "length >= 1"),
        (role(subscribe=["$INBOX.>"]), "belongs to the bus"),
        (role(subscribe=["a b"]), "not printable ASCII"),
        (role(ttl_seconds=0), "> 0"),
        (role(redact_headers="secret"), "Expected `array`"),
        (role(limit={}), "roles.planner: unknown field 'limit'; did you mean 'limits'"),
        (role(limits={"x": 1}), "roles.planner.limits: unknown field 'x'"),
        (
            role(publish=[{"subject": "a"}, {"subjct": "b"}]),
            "roles.planner.publish.1: unknown field 'subjct'; did you mean 'subject'",
        ),
    ],
)
def test_data_of_the_built_in_policy_is_checked(
    change: dict[str, Any], reason: str
) -> None:
    """A misspelt field or name does not silently grant or deny."""
    assert reason in refused(change)


@pytest.mark.parametrize(
    ("name", "text", "reason", "line"),
    [
        ("d.json", '{\n"a": }', "Expecting value", 2),
        ("d.json", '{"a": {"b": 1, "b": 2}}', "key 'b' stands twice", 0),
        ("d.json", '{"a": NaN}', "NaN is not JSON", 0),
        ("d.json", '{"a": 1e999}', "inf is not a number", 0),
        ("d.json", "[]", "an object at the top", 0),
        ("d.json", "[" * 100_000, "cannot be read", 0),
        ("d.json", '{"a": 18446744073709551616}', "more than 64 bits", 0),
        ("d.toml", "a = 1\nb = ?\n", "Invalid value", 2),
        ("d.toml", "a = 1979-05-27", "not a value that JSON", 0),
        ("d.yaml", "a: 1", "a .json or a .toml file", 0),
    ],
)
def test_text_that_is_no_data_is_refused(
    name: str, text: str, reason: str, line: int
) -> None:
    """Nothing is guessed, and nothing is rounded."""
    with pytest.raises(PolicyLoadError) as error:
        policy_data.accept(name, policy_data.parse(name, text))
    assert reason in error.value.reason
    assert (error.value.file, error.value.line) == (name, line)


def test_a_key_that_stands_twice_is_found_in_one_pass() -> None:
    """Among 20,000 keys, with its twin at the end: compared in pairs it takes seconds."""
    keys = ",".join(f'"k{number}":1' for number in range(20_000))
    text = f'{{"agents":{{{keys},"k19999":2}}}}'
    began = time.process_time()
    with pytest.raises(PolicyLoadError, match="'k19999' stands twice"):
        policy_data.parse("d.json", text)
    assert time.process_time() - began < 1.0


def test_json_and_toml_say_the_same() -> None:
    """The format is a matter of taste."""
    as_json = policy_data.parse("d.json", '{"a": {"b": [1, "c"]}}')
    assert policy_data.parse("d.toml", '[a]\nb = [1, "c"]') == as_json


@pytest.mark.parametrize(
    "value",
    [
        {1: 2},
        {"a": {1, 2}},
        {"a": Path()},
        {"a": math.nan},
        {"a": 1 << 64},
        {"a": "\ud800"},
    ],
)
def test_values_that_json_cannot_carry_are_refused(value: dict[Any, Any]) -> None:
    """Data from the host program is checked like data from a file."""
    with pytest.raises(PolicyLoadError):
        policy_data.accept("data", value)


def test_numbers_of_64_bits_are_exact() -> None:
    """The largest number that passes is not rounded."""
    data = {"most": (1 << 64) - 1, "least": -(1 << 63), "half": 0.5}
    assert policy_data.accept("data", data) == data


def test_data_that_contains_itself_is_refused() -> None:
    """Guard: the engine would die of a cycle."""
    data: dict[str, Any] = {}
    data["again"] = data
    with pytest.raises(PolicyLoadError, match="nested deeper"):
        policy_data.accept("data", data)


def test_data_nested_too_deep_is_refused() -> None:
    """Guard: depth is bounded before the engine recurses."""
    data: Any = 1
    for _ in range(POLICY_NESTING_MAX + 1):
        data = {"a": data}
    with pytest.raises(PolicyLoadError, match="nested deeper"):
        policy_data.accept("data", data)


def test_what_is_accepted_is_a_copy() -> None:
    """What the host program does to its own data afterwards changes no policy."""
    data = {"a": {"b": 1}}
    copied = policy_data.accept("data", data)
    data["a"]["b"] = 2
    assert copied == {"a": {"b": 1}}


def test_agents_are_principals_and_disabled_ones_are_none() -> None:
    """Whoever is disabled is nobody."""
    agents = policy_data.agents_of("d.json", policies.data())
    assert agents["planner"].tenant == "acme"
    assert agents["planner"].roles == ("planner",)
    assert "retired" not in agents


@pytest.mark.parametrize("name", ["$bus", "", "a b", "x" * 200])
def test_names_of_agents_are_checked(name: str) -> None:
    """No agent can be called like the bus itself."""
    with pytest.raises(PolicyLoadError, match="agent"):
        policy_data.agents_of("d.json", {"agents": {name: {"tenant": "acme"}}})


def test_a_policy_needs_agents() -> None:
    """Whatever the policy, the bus must know who there is."""
    with pytest.raises(PolicyLoadError, match="agents"):
        policy_data.agents_of("d.json", {})


def test_the_number_of_agents_is_bounded() -> None:
    """Nothing is unbounded."""
    agent = {"tenant": "acme"}
    many = {"agents": {f"a{n}": agent for n in range(AGENTS_MAX + 1)}}
    with pytest.raises(PolicyLoadError, match="agents"):
        policy_data.agents_of("d.json", many)
