"""Data of an area is read exactly, or refused with the place and the reason."""

from typing import Any

import pytest

from bus.core.errors import PolicyLoadError
from policy import areas
from policy.bundle import Origin
from tests.fakes import areas as fakes


def refused(area: str, part: object) -> str:
    """Return why data with one changed part is refused."""
    data = {**fakes.data([area]), areas.section(area): part}
    with pytest.raises(PolicyLoadError) as error:
        Origin(data, areas=(area,)).read()
    assert error.value.file == "data"
    return error.value.reason


def rate(**fields: Any) -> dict[str, Any]:
    """Return a rate with these fields changed."""
    return {"per_second": 1, "burst": 1, **fields}


def timed(zone: str = "UTC", **window: Any) -> dict[str, Any]:
    """Return a part with one rule of one window."""
    told = {"since": "09:00", "until": "17:00", **window}
    return {"rules": [{"subject": "a", "zone": zone, "open": [told]}]}


def powers(**change: Any) -> dict[str, Any]:
    """Return a small separation of powers with one of its tables changed."""
    return {
        "permissions": {"propose": {"types": ["event"]}},
        "roles": {"executive": {"permissions": ["propose"]}},
        **change,
    }


@pytest.mark.parametrize("area", areas.NAMES)
def test_good_data_is_accepted(area: str) -> None:
    """The sample that the tests build on is good, area by area."""
    data = fakes.data([area])
    assert areas.section(area) in Origin(data, areas=(area,)).read().data


@pytest.mark.parametrize(
    ("area", "part", "reason"),
    [
        ("rbac", [], "rbac: Expected `object`"),
        ("rbac", {"restrict": []}, "unknown field 'restrict'; did you mean"),
        (
            "rbac",
            {"restricted": [{"subject": "a..b", "roles": ["worker"]}]},
            "rbac.restricted.0.subject: ",
        ),
        (
            "rbac",
            {"restricted": [{"subject": "$DEAD.a", "roles": ["worker"]}]},
            "belongs to the bus",
        ),
        (
            "rbac",
            {"restricted": [{"subject": "a", "roles": ["worke"]}]},
            "rbac.restricted.0.roles: unknown role 'worke'; did you mean 'worker'",
        ),
        ("rbac", {"restricted": [{"subject": "a", "roles": []}]}, "length >= 1"),
        ("rbac", {"inherits": {"planner": ["nobody"]}}, "rbac: unknown role 'nobody'"),
        ("rbac", {"exclusive": [["worker"]]}, "length >= 2"),
        (
            "multitenant",
            {"tenants": {"acne": {"subjects": ["a"]}}},
            "multitenant.tenants: unknown tenant 'acne'; did you mean 'acme'",
        ),
        (
            "multitenant",
            {"tenants": {"acme": {"subjects": ["a b"]}}},
            "multitenant.tenants.acme: ",
        ),
        (
            "ratelimit",
            {"agents": {"plannr": rate()}},
            "ratelimit.agents: unknown agent 'plannr'; did you mean 'planner'",
        ),
        ("ratelimit", {"roles": {"x": rate()}}, "ratelimit.roles: unknown role 'x'"),
        ("ratelimit", {"tenants": {"x": rate()}}, "unknown tenant 'x'"),
        ("ratelimit", {"agent": rate(burst=0)}, ">= 1"),
        ("ratelimit", {"agent": rate(per_second=-1)}, ">= 0"),
        ("ratelimit", {"tenant": rate(per_second=1e-9)}, "per_second is 0 or at least"),
        (
            "ratelimit",
            {"subjects": [rate(subject="a", types=["evnt"])]},
            "ratelimit.subjects.0.types: unknown message type 'evnt'",
        ),
        ("compliance", {"levels": ["a", "a"]}, "a class stands twice"),
        (
            "compliance",
            {"levels": ["a"], "subjects": [{"subject": "x", "up_to": "b"}]},
            "compliance.subjects: unknown class 'b'",
        ),
        ("compliance", {"classes": {"a": {}}}, "compliance.classes: unknown class 'a'"),
        (
            "compliance",
            {"review": [{"subject": "x"}]},
            "missing required field `reason`",
        ),
        (
            "compliance",
            {"review": [{"subject": "x", "reason": "r", "seconds": 0}]},
            "> 0",
        ),
        ("audit", {"full": [{"subject": "x", "roles": ["y"]}]}, "unknown role 'y'"),
        (
            "audit",
            {"records": {"subject": "x", "readers": ["y"]}},
            "audit.records.readers: unknown role 'y'",
        ),
        ("resources", {"priorities": {"urgent": []}}, "urgent"),
        (
            "resources",
            {"priorities": {"high": ["y"]}},
            "resources.priorities: unknown role 'y'",
        ),
        ("resources", {"subjects": [{"subject": "x", "depth": 65}]}, "<= 64"),
        ("routing", {"types": [{"subject": "x", "types": ["y"]}]}, "message type 'y'"),
        ("routing", {"wide_roles": ["y"]}, "routing.wide_roles: unknown role 'y'"),
        ("timebased", timed("Mars/Olympus"), "knows no time zone 'Mars/Olympus'"),
        ("timebased", timed(since="9:00"), "matching regex"),
        ("timebased", timed(since="17:00"), "ends before it begins"),
        ("timebased", timed(days=["Mon"]), "Mon"),
        (
            "constitutional",
            powers(roles={"executive": {"permissions": ["purpose"]}}),
            "powers.roles.executive: unknown permission 'purpose'; did you mean",
        ),
        (
            "constitutional",
            powers(roles={"executive": {"permissions": [], "validates": ["x"]}}),
            "unknown role 'x'",
        ),
        (
            "constitutional",
            powers(permissions={"propose": {}}),
            "powers.permissions.propose: nothing takes it",
        ),
        (
            "constitutional",
            powers(permissions={"propose": {"actions": ["cooldown"], "judges": True}}),
            "only messages judge",
        ),
        (
            "constitutional",
            powers(permissions={"propose": {"types": ["proposal"]}}),
            "powers.permissions.propose.types: unknown message type 'proposal'",
        ),
        (
            "constitutional",
            powers(permissions={"propose": {"actions": ["publish"]}}),
            "publish",
        ),
    ],
)
def test_data_of_an_area_is_checked(area: str, part: object, reason: str) -> None:
    """A misspelt field or name is not silently a rule that says nothing."""
    assert reason in refused(area, part)


def test_the_zones_of_the_engine_are_the_ones_that_count() -> None:
    """A zone with summer time, the one without, and one beyond."""
    for zone in ("Europe/Berlin", "UTC", "Asia/Kathmandu"):
        data = {**fakes.data(()), "timebased": timed(zone)}
        assert Origin(data, areas=("timebased",)).read().built_in


def test_data_of_an_area_that_is_not_in_force_is_refused() -> None:
    """Somebody believes that it holds."""
    with pytest.raises(PolicyLoadError, match="the area rbac is not in force"):
        Origin(fakes.data(["rbac"])).read()
    data = {**fakes.data(()), "powers": powers()}
    with pytest.raises(PolicyLoadError, match="the area constitutional is not in"):
        Origin(data, areas=("routing",)).read()


@pytest.mark.parametrize("area", [a for a in areas.NAMES if a != areas.CONSTITUTIONAL])
def test_an_area_without_data_is_refused(area: str) -> None:
    """It would decide nothing."""
    with pytest.raises(PolicyLoadError, match=f"{area} is in force and needs {area}"):
        Origin(fakes.data(()), areas=(area,)).read()


def test_data_beside_that_of_areas_is_as_strict_as_ever() -> None:
    """An area does not open the rest."""
    data = {**fakes.data(["rbac"]), "agent": {}}
    with pytest.raises(PolicyLoadError, match="unknown field 'agent'"):
        Origin(data, areas=("rbac",)).read()
