"""Dependencies are sound: what a rule is not found to read never changes its answer.

Each policy is asked about pairs of messages that agree in the fields it was found to
read and differ in any others; and every field found is part of the key.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bus.core.message import Message
from policy.authorizer import EmbeddedAuthorizer, load_authorizer
from policy.deps import dependencies
from policy.engine import Engine
from policy.fields import InputPlan
from policy.loading import ENTRY
from policy.source import Source
from tests.fakes import messages as fakes, policies
from tests.fakes.messages import NOW_NS

RULES = (
    'decision := {"allow": input.message.priority > 1}',
    'decision := {"allow": input.message.headers.a == "1"}',
    'decision := {"allow": x}\n\ndefault x := false\n\nx if not input.message.reply_to',
    'decision := {"allow": "planner" in input.principal.roles}',
    'decision := {"allow": input.message["size"] < 10, "reasons": [input.action]}',
    'decision := {"allow": f(input.message.type)}\n\nf("event") := true',
    'decision := {"allow": count(input.message.headers) > 1}',
    'decision := {"allow": x}\n\nx if some "a" in input.message.headers',
    'decision := {"allow": input.message[input.message.type] == 1}',
    (
        'decision := {"allow": x}\n\nx := input.message.depth < 3 if input.message.root\n\n'
        "else := input.message.expires_ns > input.message.created_ns"
    ),
)
few = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.integers(0, 3),
        "type": st.sampled_from(["event", "depth", "size", "priority"]),
        "headers": st.dictionaries(
            st.sampled_from(["a", "b"]), st.sampled_from(["1", "a"])
        ),
        "reply_to": st.sampled_from([None, "", "$INBOX.a"]),
        "body": st.sampled_from([b"", b"1", b"1234567890"]),
        "depth": st.integers(0, 4),
        "authors": st.lists(st.sampled_from(["a", "b"]), max_size=2),
        "root": st.sampled_from([None, bytes(16)]),
        "expires_ns": st.sampled_from([None, 1, NOW_NS + 1]),
        "created_ns": st.sampled_from([0, NOW_NS]),
        "id": st.sampled_from([bytes(16), bytes([1] * 16)]),
        "sender": st.sampled_from(["planner", "worker"]),
        "subject": st.sampled_from(["a", "b.c"]),
        "tenant": st.sampled_from(["acme", "other"]),
    },
)
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@cache
def engine_of(rule: str) -> Engine:
    """Return an engine for a policy of one rule."""
    return Engine([Source("a.rego", policies.authz(rule))], "{}")


def full_answer(rule: str, made: Message) -> Any:
    """Return what the rule answers when it is shown every field."""
    engine = engine_of(rule)
    roles = (made.sender,)
    answer = engine.evaluate(ENTRY, InputPlan(None).document("publish", made, roles))
    return None if answer is None else json.loads(answer)


@pytest.mark.parametrize("rule", RULES)
@given(first=few, second=few)
@quick
def test_one_key_is_one_answer(
    rule: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Fields outside the key never change the result, asked with the whole input."""
    plan = plan_of(rule)
    one, other = (policies.message(**changes) for changes in (first, second))
    if plan.key(one) == plan.key(other):
        assert full_answer(rule, one) == full_answer(rule, other)


@pytest.mark.parametrize("rule", RULES)
@given(changes=few)
@quick
def test_a_rule_answers_the_same_when_shown_only_what_it_reads(
    rule: str, changes: dict[str, Any]
) -> None:
    """Leaving fields out of the document is sound."""
    made = policies.message(**changes)
    engine = engine_of(rule)
    document = plan_of(rule).document("publish", made, (made.sender,))
    answer = engine.evaluate(ENTRY, document)
    assert (None if answer is None else json.loads(answer)) == full_answer(rule, made)


def plan_of(rule: str) -> InputPlan:
    """Return the plan for a rule, from its own dependencies."""
    engine = engine_of(rule)
    return InputPlan(dependencies(engine.program, ENTRY, engine.builtins).input)


@pytest.fixture(scope="module")
def built_in() -> EmbeddedAuthorizer:
    """Return an authorizer for the built-in policy."""
    return load_authorizer(data=policies.data(), now_ns=lambda: NOW_NS)


@given(changes=few)
@quick
def test_the_built_in_rule_reads_no_more_than_its_key(
    built_in: EmbeddedAuthorizer, changes: dict[str, Any]
) -> None:
    """Whatever else a message holds, a kept decision is the one it would get."""
    read = ("sender", "tenant", "subject", "type")
    base = policies.message(**{k: v for k, v in changes.items() if k in read})
    changed = fakes.changed(
        base, **{k: v for k, v in changes.items() if k not in (*read, "created_ns")}
    )
    first = built_in.decide_now("publish", base)
    second = built_in.decide_now("publish", changed)
    assert second.cached
    assert msgspec.structs.replace(first, cached=True) == second


def test_a_field_the_rule_reads_is_always_in_the_key(tmp_path: Path) -> None:
    """Two values of it are two questions, for every field there is."""
    others = fakes.full(
        id=bytes([9] * 16),
        subject="x",
        type="query",
        priority=3,
        tenant="other",
        content_type="x",
        body=b"longer than before",
        headers={"x": "y"},
        reply_to="x",
        correlation="x",
        causation="x",
        root=None,
        parent=None,
        depth=9,
        authors=("other",),
        created_ns=1,
        expires_ns=None,
    )
    for number, field in enumerate(sorted(InputPlan(None).message_fields)):
        rule = f'decision := {{"allow": true, "reasons": [json.marshal(input.message.{field})]}}'
        asked = policies.ruled(tmp_path / str(number), rule)
        first = asked.decide_now("publish", fakes.full(created_ns=60_000_000_000))
        second = asked.decide_now("publish", others)
        assert not second.cached, field
        assert first.reasons != second.reasons, field
