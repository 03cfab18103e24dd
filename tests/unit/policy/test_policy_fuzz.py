"""Whatever policies, data and inputs hold: a typed error or a deny, never an allow."""

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bus.core.errors import PolicyLoadError
from bus.core.message import Message
from bus.ports import Access
from policy import data as policy_data, obligations
from policy.authorizer import EmbeddedAuthorizer, load_authorizer
from policy.bundle import BUILT_IN, Bundle, Origin, read_folder
from policy.engine import Engine
from policy.evaluation import EvaluationError
from policy.loading import ENTRY, build
from policy.source import Source
from tests.fakes import messages as fakes, policies
from tests.fakes.messages import NOW_NS

quick = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
# Words of Rego with which nothing true can be said.
WORDS = (
    *("decision", "deny", "x", "f", "input", "data", "message", ".a", "[0]", ":=", "="),
    *("{", "}", "[", "]", "(", ")", ",", ":", "|", "if", "else", "every", "some", "in"),
    *("contains", "not", "false", "null", "0", "1", '"a"', '"allow"', "`r`", "default"),
    *("with", "as", "import", "+", "-", "count(", "sprintf(", "#", "\n", "\t"),
)
TEXT = "".join(file.text for file in read_folder(BUILT_IN) if file.name == "authz.rego")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def outcome(text: str) -> bool:
    """Load a policy and ask it; return whether anything was allowed."""
    sources = (Source("authz.rego", text),)
    try:
        policy = build(Bundle(sources, policies.AGENTS, "data", built_in=False))
    except PolicyLoadError:
        return False
    made = policies.message()
    try:
        document = policy.plan.document("publish", made, ())
        answer = policy.engine.evaluate(ENTRY, document)
    except EvaluationError:
        return False
    if answer is None:
        return False
    return obligations.decision(answer, revision="r", digest="d")[0].allow


@given(words=st.lists(st.sampled_from(WORDS), max_size=25))
@quick
def test_a_policy_of_random_words_never_allows(words: list[str]) -> None:
    """Nothing but a decision that says true allows."""
    assert not outcome(
        policies.authz('default decision := {"allow": false}', " ".join(words))
    )


@given(text=st.text(max_size=200) | st.binary(max_size=200).map(repr))
@quick
def test_a_policy_of_random_text_never_allows(text: str) -> None:
    """Nor does what is no Rego at all."""
    assert not outcome(text)
    assert not outcome(policies.authz(text))


@given(
    start=st.integers(0, len(TEXT)), length=st.integers(1, 40), put=st.text(max_size=3)
)
@quick
def test_a_damaged_policy_is_refused_or_answers(
    start: int, length: int, put: str
) -> None:
    """The built-in rules with a hole in them: a typed error, or a decision."""
    damaged = TEXT[:start] + put + TEXT[start + length :]
    others = [file for file in read_folder(BUILT_IN) if file.name != "authz.rego"]
    try:
        engine = Engine([Source("authz.rego", damaged), *others], "{}")
        answer = engine.evaluate(
            ENTRY, '{"action": "publish", "principal": {"id": "a", "tenant": "t"}}'
        )
    except (PolicyLoadError, EvaluationError):
        return
    if answer is not None:
        made, _ = obligations.decision(answer, revision="r", digest="d")
        assert made.allow or made.reasons


@given(data=json_values)
@quick
def test_random_data_is_refused_with_a_reason(data: Any) -> None:
    """No data makes anything but a typed error, unless it is what the schema says."""
    with pytest.raises(PolicyLoadError) as refused:
        Origin({"agents": data}).read()
    assert refused.value.reason
    with pytest.raises(PolicyLoadError):
        policy_data.agents_of("d", {"agents": {"": data}})


@given(data=json_values)
@quick
def test_data_that_is_accepted_is_unchanged(data: Any) -> None:
    """What the engine gets is what the operator wrote."""
    try:
        accepted = policy_data.accept("d", {"k": data})
    except PolicyLoadError:
        return
    assert msgspec.json.encode(accepted) == msgspec.json.encode({"k": data})
    engine = Engine(
        [Source("a.rego", "package a\nx := data.k")],
        msgspec.json.encode(accepted).decode(),
    )
    engine.evaluate("data.a.x", "{}")


@given(text=st.text(max_size=200))
@quick
def test_random_data_files_are_refused_or_read(text: str) -> None:
    """Neither parser lets an exception of its own out."""
    for name in ("d.json", "d.toml"):
        try:
            policy_data.accept(name, policy_data.parse(name, text))
        except PolicyLoadError:
            continue


@pytest.fixture(scope="module")
def authorizer() -> EmbeddedAuthorizer:
    """Return an authorizer for the built-in policy."""
    return load_authorizer(data=policies.data(), now_ns=lambda: NOW_NS)


@given(made=fakes.messages)
@quick
def test_a_random_message_is_denied_with_a_reason(
    authorizer: EmbeddedAuthorizer, made: Message
) -> None:
    """Fields of the right types and any value."""
    for action in ("publish", "request", "reply", "dead_letter"):
        decision = authorizer.decide_now(action, made)
        assert not decision.allow
        assert decision.reasons


@given(fields=st.dictionaries(st.sampled_from(Message.__struct_fields__), json_values))
@quick
def test_a_message_of_wrong_types_is_denied(
    authorizer: EmbeddedAuthorizer, fields: dict[str, Any]
) -> None:
    """Nobody checked it before us."""
    made = policies.message(**{**fields, "sender": "intruder"})
    decision = authorizer.decide_now("publish", made)
    assert not decision.allow
    assert decision.reasons


@given(sender=json_values, tenant=json_values, pattern=json_values)
@quick
def test_random_access_is_denied(
    authorizer: EmbeddedAuthorizer, sender: Any, tenant: Any, pattern: Any
) -> None:
    """To connect as nobody, or to subscribe to anything at all."""
    assert not authorizer.admit_now(Access("connect", sender, tenant)).allow
    denied = authorizer.admit_now(Access("subscribe", "intruder", "acme", pattern))
    assert not denied.allow
    assert denied.reasons


@given(answer=json_values)
@quick
def test_a_random_answer_is_no_allow(answer: Any) -> None:
    """Unless it says exactly that."""
    text = msgspec.json.encode(answer).decode()
    made, policys_own = obligations.decision(text, revision="r", digest="d")
    assert not made.allow
    assert not policys_own or answer["allow"] is False
