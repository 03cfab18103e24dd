"""Decisions: had from the engine once, kept where that is sound, and denied in doubt."""

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from bus.core.errors import PolicyLoadError, UnknownAgentError
from bus.core.limits import DECISION_ALLOW_TTL_S, DECISION_DENY_TTL_S
from bus.ports import Access
from policy.authorizer import EmbeddedAuthorizer, load_authorizer
from policy.keeping import Keeping
from policy.obligations import UNDEFINED
from tests.fakes import policies
from tests.fakes.messages import NOW_NS
from tests.fakes.policies import ScriptedEngine, ScriptedSource, message

S = 1_000_000_000
YES = '{"allow": true}'
NO = '{"allow": false, "reasons": ["no"]}'


def scripted(*found: Any, keeping: Keeping | None = None) -> EmbeddedAuthorizer:
    """Return an authorizer for policies of ours."""
    source = ScriptedSource(iter(found))
    return EmbeddedAuthorizer(source, now_ns=lambda: NOW_NS, keeping=keeping)


def built_in() -> EmbeddedAuthorizer:
    """Return an authorizer for the built-in policy."""
    return load_authorizer(data=policies.data(), now_ns=lambda: NOW_NS)


def test_a_question_is_evaluated_once() -> None:
    """The second time the decision says that it was kept."""
    engine = ScriptedEngine(YES)
    asked = scripted(policies.policy("r1", engine))
    first = asked.decide_now("publish", message())
    second = asked.decide_now("publish", message(id=bytes([1] * 16), body=b"other"))
    assert (first.cached, second.cached) == (False, True)
    assert len(engine.asked) == 1
    stats = asked.stats()
    assert (stats.hits, stats.misses, stats.size) == (1, 1, 1)


@pytest.mark.parametrize(
    ("answer", "ttl_s"), [(YES, DECISION_ALLOW_TTL_S), (NO, DECISION_DENY_TTL_S)]
)
def test_a_decision_is_kept_for_its_time(answer: str, ttl_s: float) -> None:
    """Deny for a shorter one; the message brings the time."""
    assert DECISION_DENY_TTL_S < DECISION_ALLOW_TTL_S
    asked = scripted(policies.policy("r1", ScriptedEngine(answer)))
    asked.decide_now("publish", message())
    end_ns = NOW_NS + int(ttl_s * S)
    assert asked.decide_now("publish", message(created_ns=end_ns - 1)).cached
    assert not asked.decide_now("publish", message(created_ns=end_ns)).cached
    assert asked.decide_now("publish", message(created_ns=end_ns + 1)).cached


def test_actions_do_not_share_decisions() -> None:
    """The action is part of every question."""
    engine = ScriptedEngine(YES)
    asked = scripted(policies.policy("r1", engine))
    for action in ("publish", "request", "reply", "dead_letter"):
        assert not asked.decide_now(action, message()).cached
    assert len(engine.asked) == 4


@pytest.mark.parametrize(
    "answer",
    [None, "1", '{"allow": 1}', '{"allow": true, "obligations": [{"type": "x"}]}'],
)
def test_what_is_no_decision_denies_and_is_never_kept(answer: str | None) -> None:
    """Undefined, malformed and obliging the unknown: asked again each time."""
    engine = ScriptedEngine(answer)
    asked = scripted(policies.policy("r1", engine))
    for _ in range(3):
        made = asked.decide_now("publish", message())
        assert not made.allow
        assert made.reasons
        assert not made.cached
    assert len(engine.asked) == 3
    assert asked.stats().size == 0


def test_undefined_says_so() -> None:
    """The reason is one that a person can read."""
    asked = scripted(policies.policy("r1", ScriptedEngine(None)))
    assert asked.decide_now("publish", message()).reasons == (UNDEFINED,)


def test_an_error_denies_with_its_place_and_is_never_kept(tmp_path: Path) -> None:
    """A rule that fails for one message denies that message."""
    asked = policies.ruled(
        tmp_path, 'decision := {"allow": 1 / (input.message.depth - 7) < 5}'
    )
    assert asked.decide_now("publish", message(depth=1)).allow
    for _ in range(2):
        made = asked.decide_now("publish", message(depth=7))
        assert (made.allow, made.cached) == (False, False)
        assert made.reasons[0].endswith("a rule failed at authz.rego:3")
    assert asked.stats().size == 1


def test_a_volatile_rule_is_asked_every_time(tmp_path: Path) -> None:
    """What differs from call to call is not kept."""
    asked = policies.ruled(tmp_path, 'decision := {"allow": time.now_ns() > 0}')
    for _ in range(3):
        made = asked.decide_now("publish", message())
        assert (made.allow, made.cached) == (True, False)
    assert asked.stats().size == 0


def test_a_rule_of_the_whole_input_is_keyed_by_all_of_it(tmp_path: Path) -> None:
    """Any field that differs is another question."""
    asked = policies.ruled(tmp_path, 'decision := {"allow": count(input) == 3}')
    assert asked.dependencies.input is None
    assert asked.decide_now("publish", message()).allow
    assert asked.decide_now("publish", message()).cached
    assert not asked.decide_now("publish", message(id=bytes([1] * 16))).cached
    assert not asked.decide_now("publish", message(body=b"longer")).cached


def test_a_new_revision_starts_with_nothing_kept() -> None:
    """And nothing of the old one is answered again."""
    asked = scripted(
        policies.policy("r1", ScriptedEngine(YES)),
        policies.policy("r2", ScriptedEngine(NO)),
    )
    assert asked.decide_now("publish", message()).allow
    assert asked.reload() == "r2"
    assert asked.revision == "r2"
    made = asked.decide_now("publish", message())
    assert (made.allow, made.revision, made.cached) == (False, "r2", False)


def test_a_decision_is_not_kept_across_a_reload() -> None:
    """The engine ran under the old revision; its answer may not enter the new cache."""
    reloads: list[Callable[[], object]] = []
    old = ScriptedEngine(YES, meanwhile=lambda: [reload() for reload in reloads])
    asked = scripted(
        policies.policy("r1", old), policies.policy("r2", ScriptedEngine(NO))
    )
    reloads.append(asked.reload)
    made = asked.decide_now("publish", message())
    assert (made.allow, made.revision) == (True, "r1")
    assert asked.stats().size == 0
    assert not asked.decide_now("publish", message()).allow


def test_the_same_revision_keeps_what_is_kept() -> None:
    """Loading the same again costs no evaluation."""
    first, second = (policies.policy("r1", ScriptedEngine(YES)) for _ in range(2))
    asked = scripted(first, second)
    asked.decide_now("publish", message())
    asked.reload()
    assert asked.decide_now("publish", message()).cached


def test_a_bad_bundle_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    """File, line and reason; decisions go on as before."""
    asked = policies.ruled(tmp_path, 'decision := {"allow": true}')
    before = asked.revision
    (tmp_path / "authz.rego").write_text("package assent.authz\n\ndecision := {\n")
    assert asked.changed()
    with pytest.raises(PolicyLoadError, match=r"^authz\.rego:4: "):
        asked.reload()
    assert asked.revision == before
    assert asked.decide_now("publish", message()).allow
    assert not asked.changed()


def test_a_good_change_is_put_in_force(tmp_path: Path) -> None:
    """From files to decisions."""
    asked = policies.ruled(tmp_path, 'decision := {"allow": true}')
    asked.decide_now("publish", message())
    policies.folder(tmp_path, policies.authz('decision := {"allow": false}'))
    assert asked.changed()
    asked.reload()
    assert not asked.decide_now("publish", message()).allow


def test_the_cache_is_bounded_and_evictions_survive_a_reload() -> None:
    """Counts are since the start."""
    asked = scripted(
        policies.policy("r1", ScriptedEngine(YES)),
        policies.policy("r2", ScriptedEngine(YES)),
        keeping=Keeping(entries=10),
    )
    for number in range(100):
        asked.decide_now("publish", message(subject=f"s.{number}"))
        assert asked.stats().size <= 10
    before = asked.stats()
    assert before.size + before.evictions == before.misses == 100
    asked.reload()
    assert (asked.stats().evictions, asked.stats().size) == (before.evictions, 0)


def test_connecting_and_subscribing_are_kept_by_the_clock() -> None:
    """An access has no time of its own."""
    now = [NOW_NS]
    asked = load_authorizer(data=policies.data(), now_ns=lambda: now[0])
    access = Access("subscribe", "worker", "acme", "tasks.*")
    assert asked.admit_now(access).allow
    assert asked.admit_now(access).cached
    now[0] += int(DECISION_ALLOW_TTL_S * S)
    assert not asked.admit_now(access).cached
    assert not asked.admit_now(Access("subscribe", "worker", "acme", "tasks.>")).allow


def test_a_question_that_cannot_be_put_is_denied() -> None:
    """Whatever a message holds, the answer is a deny and no exception."""
    asked = built_in()
    strange: list[dict[str, Any]] = [
        {"subject": object()},
        {"subject": "\ud800"},
        {"sender": 1 << 80},
        {"type": ["a"]},
        {"tenant": None},
    ]
    for changes in chain(strange, strange):
        assert not asked.decide_now("publish", message(**changes)).allow
    unknown: Any = "delete"
    assert not asked.decide_now(unknown, message()).allow
    assert not asked.admit_now(Access(unknown, "planner", "acme")).allow
    assert asked.decide_now("publish", message()).allow


def test_a_principal_is_who_the_data_says() -> None:
    """With a hint for who misspelt it; whoever is disabled is nobody."""
    asked = built_in()
    assert asked.principal("planner").roles == ("planner",)
    with pytest.raises(UnknownAgentError, match="did you mean 'planner'"):
        asked.principal("planer")
    for name in ("retired", "$bus", ""):
        with pytest.raises(UnknownAgentError):
            asked.principal(name)


def test_obligations_reach_the_decision() -> None:
    """From the data, through the rule, to the fields the bus reads."""
    made = built_in().decide_now("publish", message())
    assert (made.body_bytes_max, made.depth_max) == (1000, 8)
    assert made.ttl_ns == 60 * S
    assert made.redact_headers == {"authorization"}


def test_the_digest_names_the_question() -> None:
    """32 hex digits, the same for the same question only."""
    asked = built_in()
    first = asked.decide_now("publish", message())
    again = asked.decide_now("publish", message())
    other = asked.decide_now("publish", message(subject="tasks.b"))
    assert first.digest == again.digest != other.digest
    assert len(first.digest) == 32
