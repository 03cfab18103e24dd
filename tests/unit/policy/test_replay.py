"""Replay: recorded decisions under a candidate, every difference counted once."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bus.core import limits
from bus.core.errors import ConfigurationError, PolicyLoadError, UnavailableError
from policy.bundle import Bundle, Origin
from policy.replay.differences import Change, Groups, Kind
from policy.replay.workers import Plan, Replayed, replay
from tests.fakes import decisionlogs, policies

SENDERS = ("planner", "worker", "intruder")
COUNT = 60


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    """The decisions of the policy in force."""
    made = decisionlogs.authorizer()
    return list(decisionlogs.events(made, decisionlogs.messages(COUNT, *SENDERS)))


def candidate(**changes: Any) -> Bundle:
    """Return the policy in force with other data."""
    return Origin({**policies.data(), **changes}).read()


def ruled(place: Path, *rules: str) -> Bundle:
    """Return a candidate of these rules."""
    return Origin(None, policies.folder(place, policies.authz(*rules))).read()


def replayed(
    place: Path,
    bundle: Bundle,
    written: Iterable[dict[str, Any]],
    *,
    examples: int = 3,
    workers: int = 1,
) -> Replayed:
    """Replay a log of these events."""
    log = decisionlogs.write(place / "log.jsonl", written)
    return replay(Plan(bundle, (log,), workers, examples))


def assert_every_line_is_accounted_for(made: Replayed) -> None:
    """Each line is one thing; each difference is in one group."""
    counts = made.counts
    assert counts.lines == (
        counts.duplicates
        + counts.unreadable
        + counts.other
        + counts.failed
        + counts.hidden
        + counts.decided
    )
    assert counts.different == sum(g.count for g in made.groups.found.values())
    assert sum(made.revisions.values()) == counts.decided


def by_change(made: Replayed) -> dict[Change, list[tuple[Kind, int]]]:
    """Return the kinds of difference and their counts."""
    found: dict[Change, list[tuple[Kind, int]]] = {}
    for kind, group in made.groups.largest_first():
        found.setdefault(kind.change, []).append((kind, group.count))
    return found


def test_the_same_policy_decides_the_same(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """And equal questions are put once."""
    made = replayed(tmp_path, candidate(), recorded)
    assert made.counts.different == 0
    assert made.counts.decided == COUNT
    assert made.counts.evaluated == 30, "ten subjects, three senders"
    assert made.revisions == {made.candidate: COUNT}
    assert_every_line_is_accounted_for(made)


def test_a_changed_grant_is_told_by_the_rule_that_denies_now(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """What was allowed and is denied, with the old and the new decision."""
    data = policies.data()
    data["roles"]["planner"]["publish"] = [{"subject": "tasks.t1"}]
    made = replayed(tmp_path, Origin(data).read(), recorded)
    ((kind, count),) = by_change(made)["allow to deny"]
    assert count == COUNT / 3 - 2, "two of the planner's messages went to t1"
    ((rule, file, line),) = kind.rules
    text = next(s.text for s in Origin(data).read().sources if s.name == file)
    assert rule.startswith("data.assent.authz.")
    assert 0 < line <= text.count("\n")
    (reason,) = [one for one in kind.new if not one.startswith("{")]
    assert "<principal.id>" in reason
    example = made.groups.found[kind].examples[0]
    assert (example.before.allow, example.after.allow) == (True, False)
    assert "planner" in example.after.reasons[0]
    assert example.input["principal"]["id"] == "planner"
    assert_every_line_is_accounted_for(made)


def test_a_new_grant_is_told_by_the_rule_that_allows_now(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """What was denied and is allowed: the gravest change of all."""
    data = policies.data()
    data["roles"]["worker"]["publish"] = [{"subject": "tasks.*"}]
    made = replayed(tmp_path, Origin(data).read(), recorded)
    ((kind, count),) = by_change(made)["deny to allow"]
    assert count == COUNT / 3
    assert "data.assent.authz.permitted" in {rule for rule, _, _ in kind.rules}
    assert any("<principal.id>" in reason for reason in kind.gone)


def test_changed_reasons_and_obligations_are_differences(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """Though the answer stays allow or deny."""
    data = policies.data()
    data["roles"]["planner"]["ttl_seconds"] = 30
    data["agents"]["intruder"]["enabled"] = False
    made = replayed(tmp_path, Origin(data).read(), recorded)
    found = by_change(made)
    assert set(found) == {"obligations", "reasons"}
    ((kind, count),) = found["obligations"]
    assert (kind.gone, kind.new) == (
        ('{"seconds":60,"type":"ttl"}',),
        ('{"seconds":30,"type":"ttl"}',),
    )
    assert count == COUNT / 3
    ((kind, count),) = found["reasons"]
    assert kind.new == ("agent <principal.id> is disabled",)
    assert count == COUNT / 3


def test_rules_that_differ_make_groups_of_their_own(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """By file and line, though both deny for the same reason."""
    bundle = ruled(
        tmp_path / "p",
        'decision := {"allow": false, "reasons": why, "obligations": []}',
        'why contains "no" if input.principal.id == "planner"',
        'why contains "no" if input.principal.id != "planner"',
    )
    made = replayed(tmp_path, bundle, recorded)
    lines = {
        kind.change: {line for _, _, line in kind.rules} for kind in made.groups.found
    }
    assert lines == {"allow to deny": {5}, "reasons": {7}}


def test_the_order_of_reasons_and_obligations_is_no_difference(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """A set has none."""
    turned = [
        {
            **one,
            "result": {
                **one["result"],
                "reasons": one["result"]["reasons"][::-1],
                "obligations": one["result"]["obligations"][::-1],
            },
        }
        for one in recorded
    ]
    assert replayed(tmp_path, candidate(), turned).counts.different == 0


def test_a_candidate_that_fails_denies_as_on_the_bus(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """With the place of the fault as the rule."""
    bundle = ruled(
        tmp_path / "p",
        'decision := {"allow": one == 1, "reasons": [], "obligations": []}',
        "one := 1",
        'one := 2 if input.message.subject == "tasks.t3"',
    )
    made = replayed(tmp_path, bundle, recorded)
    faults = [
        kind
        for kind in made.groups.found
        if any("could not be evaluated" in reason for reason in kind.new)
    ]
    assert faults
    assert {rule for kind in faults for rule, _, _ in kind.rules} == {
        "data.assent.authz.decision"
    }


def test_workers_tell_the_same_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts, groups and examples, in the same order; here with real processes."""
    monkeypatch.setattr("policy.replay.workers.REDECIDE_BATCH_QUESTIONS", 7)
    made = decisionlogs.authorizer()
    events = list(decisionlogs.events(made, decisionlogs.messages(200, *SENDERS)))
    bundle = candidate(limits={"depth": 4})
    alone = replayed(tmp_path, bundle, events)
    crowd = replayed(tmp_path, bundle, events, workers=2)
    assert alone.counts.different > 0
    assert crowd == alone


def test_questions_are_forgotten_when_there_are_too_many(
    tmp_path: Path,
    recorded: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory is bounded; some are put again, and nothing is counted twice."""
    monkeypatch.setattr("policy.replay.workers.REDECIDE_QUESTIONS_MAX", 4)
    bundle = candidate(limits={"depth": 4})
    made = replayed(tmp_path, bundle, recorded)
    assert made.counts.evaluated > 30
    assert made.counts.different == COUNT / 3
    assert_every_line_is_accounted_for(made)


def test_a_volatile_candidate_is_asked_every_time(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """One answer says nothing of the next, and the replay says so."""
    bundle = ruled(
        tmp_path / "p",
        'decision := {"allow": time.now_ns() > 0, "reasons": [], "obligations": []}',
    )
    made = replayed(tmp_path, bundle, recorded)
    assert made.volatile == ("time.now_ns",)
    assert made.counts.evaluated == COUNT


def test_a_candidate_that_does_not_load_is_refused_with_its_place(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """Before anything is read."""
    bundle = ruled(tmp_path / "p", 'decision := {"allow": true', "x :=")
    with pytest.raises(PolicyLoadError, match=r"authz\.rego:\d+") as refused:
        replayed(tmp_path, bundle, recorded)
    assert refused.value.line > 0


def test_too_many_lines_are_refused(
    tmp_path: Path,
    recorded: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ids of all have to be kept, and there is a bound to that."""
    monkeypatch.setattr("policy.replay.workers.REDECIDE_LINES_MAX", COUNT - 1)
    with pytest.raises(ConfigurationError, match="a few at a time"):
        replayed(tmp_path, candidate(), recorded)


def test_examples_are_kept_as_far_as_asked_for(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """None, some, or all."""
    bundle = candidate(limits={"depth": 4})
    for examples, kept in ((0, 0), (2, 2), (COUNT, COUNT // 3)):
        made = replayed(tmp_path, bundle, recorded, examples=examples)
        (group,) = made.groups.found.values()
        assert (group.count, len(group.examples)) == (COUNT // 3, kept)


def test_groups_are_bounded_and_none_is_lost() -> None:
    """The rest are counted together, by what changed."""
    groups = Groups(1)
    kinds = limits.REDECIDE_GROUPS_MAX + 5
    for number in range(kinds):
        groups.add(Kind("reasons", (), (), (str(number),)), 2, ())
    assert len(groups.found) == limits.REDECIDE_GROUPS_MAX + 1
    assert sum(group.count for group in groups.found.values()) == 2 * kinds


def test_progress_tells_the_bytes_of_the_log(
    tmp_path: Path, recorded: list[dict[str, Any]]
) -> None:
    """All of them, packed or not."""
    for name in ("log.jsonl", "log.jsonl.gz"):
        log = decisionlogs.write(tmp_path / name, recorded)
        told: list[int] = []
        replay(Plan(candidate(), (log,)), told.append)
        assert sum(told) == log.stat().st_size


def test_a_worker_that_ends_by_itself_is_told(
    tmp_path: Path,
    recorded: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may have been killed; half a replay is none."""
    monkeypatch.setattr("policy.replay.workers.REDECIDE_BATCH_QUESTIONS", 7)
    monkeypatch.setattr("policy.replay.workers._start", os.abort)
    with pytest.raises(UnavailableError, match="a replay process ended by itself"):
        replayed(tmp_path, candidate(), recorded, workers=2)
