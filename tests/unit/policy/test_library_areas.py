"""Areas that are named join the built-in policy: their denials end it, theirs is added."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.core.errors import PolicyLoadError
from bus.ports import Access
from policy import areas, tester
from policy.authorizer import EmbeddedAuthorizer
from policy.bundle import BUILT_IN, Origin, read_folder
from policy.engine import Engine
from policy.loading import PolicyFiles
from policy.source import Source
from tests.fakes import areas as fakes, policies
from tests.fakes.messages import NOW_NS

by_area = pytest.mark.parametrize("area", areas.NAMES)
BUILT_IN_READS = {
    "action",
    "message.subject",
    "message.tenant",
    "message.type",
    "principal.id",
    "principal.tenant",
    "subscription.pattern",
}
READS = {
    "constitutional": {"held.authors", "held.sender", "message.authors"},
    "rbac": {"principal.roles"},
    "multitenant": {"message.headers.x-tenant-id"},
    "ratelimit": {"principal.roles"},
    "compliance": {"message.content_type", "message.headers.classification"},
    "audit": {"principal.roles"},
    "resources": {"message.priority", "principal.roles"},
    "routing": {"principal.roles", "subscription.queue"},
    "timebased": {"message.created_minute", "principal.roles"},
}


def authorizer(*named: str, data: dict[str, Any] | None = None) -> EmbeddedAuthorizer:
    """Return an authorizer with areas in force."""
    origin = Origin(fakes.data(named) if data is None else data, areas=named)
    return EmbeddedAuthorizer(PolicyFiles(origin), now_ns=lambda: NOW_NS)


def told(subject: str, **changes: Any) -> Any:
    """Return a message of the planner."""
    return policies.message(subject=subject, type="event", **changes)


DENIED = {
    "constitutional": told("plans.a", authors=("worker",)),
    "rbac": told("plans.secret"),
    "multitenant": told("plans.a", headers={"x-tenant-id": "other"}),
    "ratelimit": told("plans.slow"),
    "compliance": told("plans.reports"),
    "resources": told("plans.a", priority=3),
    "routing": told("plans.old"),
    "timebased": told("plans.deploy"),
}


@pytest.mark.parametrize(("area", "message"), DENIED.items(), ids=DENIED)
def test_what_an_area_denies_is_denied_though_a_role_grants_it(
    area: str, message: Any
) -> None:
    """A deny of any is final, and says which area it is."""
    if area == areas.CONSTITUTIONAL:
        message = msgspec.structs.replace(message, type="audit_log")
    assert authorizer(*(set(DENIED) - {area})).decide_now("publish", message).allow
    for named in ((area,), tuple(DENIED)):
        made = authorizer(*named).decide_now("publish", message)
        assert not made.allow
        assert all(reason.startswith((f"{area}:", "role ")) for reason in made.reasons)
        assert made.obligations == ()


@pytest.mark.parametrize(
    ("area", "headers"),
    [
        ("multitenant", {"X-Tenant-Id": "other"}),
        ("compliance", {"Classification": "secret"}),
    ],
)
def test_capitals_in_the_name_of_a_header_go_round_no_area(
    area: str, headers: dict[str, str]
) -> None:
    """A header is the same header however it is written."""
    (reason,) = (
        authorizer(area).decide_now("publish", told("plans.a", headers=headers)).reasons
    )
    assert reason.startswith(f"{area}: ")


def test_an_area_denies_access_too() -> None:
    """Records are read by whom the data names, whatever a role grants."""
    data = fakes.data(["audit"])
    data["roles"]["planner"]["subscribe"].append(">")
    asked = Access("subscribe", "planner", "acme", ">")
    without = {k: v for k, v in data.items() if k != "audit"}
    assert authorizer(data=without).admit_now(asked).allow
    (reason,) = authorizer("audit", data=data).admit_now(asked).reasons
    assert reason == "audit: reading audit.> needs one of the roles worker"


@pytest.mark.parametrize(
    ("area", "subject", "obligation"),
    [
        ("multitenant", "plans.a", {"type": "limit", "depth": 3}),
        (
            "ratelimit",
            "plans.a",
            {"type": "rate", "key": "agent", "per_second": 100, "burst": 20},
        ),
        (
            "compliance",
            "plans.exports",
            {"type": "hold", "reason": "it leaves the house", "seconds": 300},
        ),
        ("audit", "plans.payments", {"type": "audit", "level": "full"}),
        ("resources", "plans.a", {"type": "ttl", "seconds": 5}),
    ],
)
def test_what_an_area_obliges_is_added_to_what_roles_do(
    area: str, subject: str, obligation: dict[str, Any]
) -> None:
    """And the bus knows how to carry it out: otherwise it would deny."""
    alone = authorizer().decide_now("publish", told(subject))
    made = authorizer(area).decide_now("publish", told(subject))
    assert made.allow
    assert obligation in made.obligations
    assert obligation not in alone.obligations
    assert all(kept in made.obligations for kept in alone.obligations)


def test_all_areas_together_let_through_what_none_denies() -> None:
    """Obligations of all of them are united."""
    message = told("plans.payments", headers={"classification": "internal"})
    made = authorizer(*areas.NAMES).decide_now("publish", message)
    assert made.allow
    assert made.audit_full
    assert made.body_bytes_max == 100
    assert made.depth_max == 3
    assert made.ttl_ns == 5_000_000_000
    assert [rate.key for rate in made.rates] == ["agent"]


@by_area
def test_an_area_reads_what_its_page_says(area: str) -> None:
    """Beside what the built-in policy reads; nothing that keeps decisions from being kept."""
    report = tester.check(Origin(fakes.data([area]), areas=(area,)))
    assert report.problems == ()
    assert report.cacheable
    assert report.input is not None
    assert set(report.input) == BUILT_IN_READS | READS[area]


def test_decisions_of_a_minute_are_kept() -> None:
    """By the area that reads the time, too."""
    asked = authorizer("timebased")
    minute = 60_000_000_000
    start = NOW_NS // minute * minute
    assert not asked.decide_now("publish", told("plans.a", created_ns=start)).cached
    last = told("plans.a", created_ns=start + minute - 1)
    assert asked.decide_now("publish", last).cached
    assert not asked.decide_now(
        "publish", told("plans.a", created_ns=start + minute)
    ).cached


def test_areas_are_part_of_the_revision() -> None:
    """In whatever order they are named."""
    seen = {Origin(fakes.data(()), areas=()).read().revision}
    for named in (("rbac", "audit"), ("audit", "rbac"), ("rbac",)):
        seen.add(Origin(fakes.data(named), areas=named).read().revision)
    assert len(seen) == 3


def test_a_change_of_an_area_is_noticed() -> None:
    """Its files are among those that are watched."""
    alone = Origin(fakes.data(())).fingerprint()
    watched = Origin(fakes.data(["rbac"]), areas=("rbac",)).fingerprint()
    added = {Path(path).name for path, *_ in set(watched) - set(alone)}
    assert added == {"rbac.rego", "joined.rego", "questions.rego"}
    powers = Origin(fakes.data(()), areas=(areas.CONSTITUTIONAL,)).fingerprint()
    assert str(areas.POWERS) in {path for path, *_ in powers}


def test_an_area_that_there_is_not_is_refused() -> None:
    """With the one that was probably meant."""
    with pytest.raises(PolicyLoadError, match="no area 'audits'; did you mean 'audit'"):
        Origin({}, areas=("audits",)).read()
    with pytest.raises(PolicyLoadError, match="named twice: rbac, rbac"):
        Origin({}, areas=("rbac", "rbac")).read()


def test_areas_do_not_join_a_folder(tmp_path: Path) -> None:
    """Its rules may not look at what areas deny; they would be in force in name only."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    for use in (Origin.read, Origin.fingerprint):
        with pytest.raises(PolicyLoadError, match="copy the folders of the areas rbac"):
            use(Origin(folder=place, areas=("rbac",)))


def test_folders_that_are_copied_together_decide_the_same(tmp_path: Path) -> None:
    """A folder of one's own, or a bundle, is made of them."""
    for place in (BUILT_IN, *areas.folders(["rbac", "audit"])):
        shutil.copytree(place, tmp_path / place.name)
    (tmp_path / "data.json").write_bytes(
        msgspec.json.encode(fakes.data(["rbac", "audit"]))
    )
    source = PolicyFiles(Origin(folder=tmp_path))
    copied = EmbeddedAuthorizer(source, now_ns=lambda: NOW_NS)
    joined = authorizer("rbac", "audit")
    for subject in ("plans.a", "plans.secret", "plans.payments", "other.a"):
        one, other = (a.decide_now("publish", told(subject)) for a in (copied, joined))
        assert (one.allow, one.reasons, one.obligations) == (
            other.allow,
            other.reasons,
            other.obligations,
        )


def test_the_powers_are_those_of_the_truth_table() -> None:
    """What its tests were made with is what is shipped."""
    names = (BUILT_IN, areas.SHARED, areas.FOLDER / areas.CONSTITUTIONAL)
    sources = [
        Source(f"{place.name}/{file.name}", file.text)
        for place in names
        for file in read_folder(place, tests=True)
    ]
    engine = Engine(sources, "{}", printing=True)
    tried = engine.evaluate("data.assent.library.constitutional_test.powers", "{}")
    assert tried is not None
    shipped = tomllib.loads(areas.POWERS.read_text())["powers"]
    assert msgspec.json.decode(tried) == shipped


def test_powers_in_the_data_take_the_place_of_the_shipped_ones() -> None:
    """As a whole."""
    own = {
        "permissions": {"speak": {"types": ["event"]}},
        "roles": {"planner": {"permissions": ["speak"]}},
    }
    data = {**fakes.data(()), "powers": own}
    asked = authorizer("constitutional", data=data)
    assert asked.decide_now("publish", told("plans.a")).allow
    assert Origin(data, areas=("constitutional",)).read().data["powers"] == own
