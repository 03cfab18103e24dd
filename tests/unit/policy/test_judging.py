"""What went wrong is said without a word that could quote the input."""

import logging
from pathlib import Path
from typing import Any

import pytest

from bus.core.decision import Decision
from policy.evaluation import KINDS, EvaluationError, Kind
from policy.explain import Explainer
from policy.fields import InputPlan
from policy.judging import Bench
from tests.fakes import policies
from tests.fakes.misbehaving import bundle
from tests.fakes.policies import message

CARD = "4111-SECRET"
ASKED = {"revision": "r", "digest": "d", "action": "publish"}
FAILING = (
    "to_number(input.message.headers.card) > 1",
    "time.parse_rfc3339_ns(input.message.headers.card) > 1",
    "json.unmarshal(input.message.headers.card) == 1",
    'regex.match(concat("", ["(", input.message.headers.card]), "x")',
    'net.cidr_contains("10.0.0.0/8", input.message.headers.card)',
)


def judged(answer: str, *, quoting: bool = False) -> Decision:
    """Return what a bench makes of an answer."""
    return Bench(quoting=quoting).judge(answer, **ASKED)[0]


@pytest.mark.parametrize("condition", FAILING)
def test_a_failing_rule_quotes_no_input(
    tmp_path: Path, condition: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Reasons reach the sender, the audit and the decision log; this log is the operator's."""
    rule = f'decision := {{"allow": true, "reasons": []}} if {condition}'
    asked = policies.ruled(tmp_path, rule)
    made = message(headers={"card": CARD})
    with caplog.at_level(logging.DEBUG, "assent.policy"):
        decision = asked.decide_now("publish", made)
    assert (decision.allow, decision.fault) == (False, "evaluation")
    assert decision.reasons[0].startswith(
        "policy could not be evaluated: a rule failed"
    )
    assert CARD not in repr(decision)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("assent.policy", logging.DEBUG)


def test_the_author_of_a_policy_is_told_all_of_it() -> None:
    """On the input that he gave himself."""
    text = policies.authz(f'decision := {{"allow": true}} if {FAILING[0]}')
    document = InputPlan(None).document("publish", message(headers={"card": CARD}), ())
    explained = Explainer(bundle(text)).explain(document)
    assert "0.rego:3: " in explained.reasons[0]
    assert len(explained.reasons[0]) > len("policy could not be evaluated: 0.rego:3: ")


@pytest.mark.parametrize("kind", KINDS)
def test_the_place_of_a_fault_is_told(kind: Kind) -> None:
    """Kind, file and line; what a server said of it is not."""
    error = EvaluationError("HTTP 400", file="a.rego", line=7, kind=kind, said=CARD)
    (told,) = Bench().excuse(error, **ASKED).reasons
    assert told == {
        "evaluation": "policy could not be evaluated: a rule failed at a.rego:7",
    }.get(kind, f"{kind}: policy could not be evaluated: HTTP 400")
    assert CARD in Bench(quoting=True).excuse(error, **ASKED).reasons[0]
    assert str(error) == f"a.rego:7: HTTP 400: {CARD}"


@pytest.mark.parametrize(
    "answer",
    [
        f'"{CARD}"',
        f'{{"allow": true, "obligations": [{{"type": "{CARD}"}}]}}',
        f'{{"allow": true, "obligations": [{{"type": "audit", "level": "{CARD}"}}]}}',
        f'{{"allow": true, "obligations": [{{"type": "ttl", "{CARD}": 1}}]}}',
    ],
)
def test_an_answer_that_is_no_decision_is_not_quoted(
    answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A rule may have made it of the input."""
    with caplog.at_level(logging.DEBUG, "assent.policy"):
        decision = judged(answer)
    assert (decision.allow, decision.fault) == (False, "unusable")
    assert CARD not in repr(decision)
    whole = judged(answer, quoting=True).reasons[0]
    assert whole.startswith(
        decision.reasons[0].replace("of an unknown type", f"'{CARD}'")
    )
    assert caplog.messages == [f"publish: {whole}"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"subject": f"{CARD}\ud800"}, "UnicodeEncodeError"),
        ({"headers": {"A": CARD, "a": CARD}}, "two headers have one name"),
    ],
)
def test_what_cannot_be_asked_is_not_quoted(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    """The error of an encoder holds all of what it could not encode."""
    asked = policies.ruled(tmp_path, 'decision := {"allow": true} if input.message')
    decision = asked.decide_now("publish", message(**changes))
    assert decision.fault == "input"
    assert why in decision.reasons[0]
    assert CARD not in repr(decision)
