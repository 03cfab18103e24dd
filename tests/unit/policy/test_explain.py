"""Explanations: each definition's own value, what it gave, and the input it read."""

import json
from pathlib import Path
from typing import Any

import pytest

from bus.core.errors import PolicyLoadError
from policy.bundle import Bundle, Origin
from policy.evaluation import EvaluationError
from policy.explain import Explainer, Explanation, Finding, reading
from policy.loading import ENTRY
from policy.source import Source
from tests.fakes import policies

RULES = """package assent.authz

import data.lib

default decision := {"allow": false, "reasons": ["nothing allows it"], "obligations": []}

decision := {"allow": true, "reasons": [], "obligations": obligations} if {
	allow
	not late
} else := {"allow": false, "reasons": sort(deny), "obligations": []} if {
	count(deny) > 0
}

default allow := false

allow if input.principal.id == "planner"

allow if {
	input.principal.roles[_] == "admin"
}

late if input.message.created_ns > 100

deny contains "too late" if late

deny contains sprintf("%s is not planner", [input.principal.id]) if {
	not allow
}

obligations := [{"type": "ttl", "seconds": lib.seconds(input.message.priority)}]
"""
LIB = """package lib

seconds(priority) := 60 if priority > 3

seconds(priority) := 5 if priority <= 3

unused(x) := x
"""


def bundle(*sources: tuple[str, str], **data: Any) -> Bundle:
    """Return a bundle of these files."""
    made = tuple(Source(name, text) for name, text in sources)
    return Bundle(made, data, "data", built_in=False)


def asked(agent: str, **message: Any) -> str:
    """Return an input."""
    principal = {"id": agent, "roles": []}
    told = {"priority": 1, "created_ns": 1, **message}
    return json.dumps({"principal": principal, "message": told})


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    """Return one for the rules above."""
    return Explainer(bundle(("authz.rego", RULES), ("lib.rego", LIB)))


def line_of(text: str, source: str = RULES) -> int:
    """Return the line of a text in a file."""
    return source[: source.index(text)].count("\n") + 1


def at(made: Explanation, line: int, file: str = "authz.rego") -> Finding:
    """Return the finding of the definition at a line."""
    (found,) = [f for f in made.findings if (f.file, f.line) == (file, line)]
    return found


def test_an_allow_names_the_rules_that_held(explainer: Explainer) -> None:
    """With file, line and value; others of the same rule decided nothing."""
    made = explainer.explain(asked("planner"))
    assert (made.allow, made.reasons) == (True, ())
    held = at(made, line_of("allow if input"))
    assert (held.rule, held.state, held.value) == (
        "data.assent.authz.allow",
        "held",
        True,
    )
    assert held.decided
    other = at(made, line_of("allow if {"))
    assert (other.state, other.decided) == ("not held", False)
    assert at(made, line_of("default allow")).state == "not held"
    assert at(made, line_of("late if")).decided, "it rests on this one not holding"


def test_an_obligation_is_told_with_the_rule_that_gave_it(explainer: Explainer) -> None:
    """The rule that made it, and the one that hands it on."""
    made = explainer.explain(asked("planner"))
    (obligation,) = made.obligations
    gave = {f.rule for f in made.findings if obligation in f.obligations}
    assert gave == {"data.assent.authz.decision", "data.assent.authz.obligations"}


def test_a_reason_is_told_with_the_definition_that_gave_it(
    explainer: Explainer,
) -> None:
    """Of a set each definition has its own part."""
    made = explainer.explain(asked("x1", created_ns=101))
    assert made.reasons == ("too late", "x1 is not planner")
    late = at(made, line_of('deny contains "too late"'))
    other = at(made, line_of("deny contains sprintf"))
    assert (late.reasons, other.reasons) == (("too late",), ("x1 is not planner",))


def test_the_line_is_that_of_the_branch_that_held(explainer: Explainer) -> None:
    """An `else` is told apart from what comes before it."""
    made = explainer.explain(asked("x1"))
    branch = at(made, line_of("} else := {"))
    assert (branch.rule, branch.state) == (ENTRY, "held")
    first = line_of('decision := {"allow": true')
    assert not any(f.line == first for f in made.findings)


def test_functions_are_called_or_not_reached(explainer: Explainer) -> None:
    """They have no value of their own."""
    allowed, denied = (explainer.explain(asked(a)) for a in ("planner", "x1"))
    place = line_of("seconds(priority) := 5", LIB), "lib.rego"
    assert (at(allowed, *place).state, at(allowed, *place).decided) == ("called", True)
    assert (at(denied, *place).state, at(denied, *place).decided) == (
        "not reached",
        False,
    )
    assert not any("unused" in f.rule for f in allowed.findings)


def test_the_fields_are_those_that_the_deciding_rules_read(
    explainer: Explainer,
) -> None:
    """With their values; a field that is not there is not null."""
    made = explainer.explain(asked("planner", priority=None))
    told = {f.name: (f.there, f.value) for f in made.input}
    assert told == {
        "principal.id": (True, "planner"),
        "message.created_ns": (True, 1),
        "message.priority": (True, None),
    }
    made = explainer.explain('{"principal": {"id": "planner"}}')
    told = {f.name: (f.there, f.value) for f in made.input}
    assert told["message.priority"] == (False, None)


def test_a_default_decides_where_nothing_else_does() -> None:
    """It holds then, and every definition that did not hold is shown."""
    text = policies.authz(
        'default decision := {"allow": false, "reasons": ["no"], "obligations": []}',
        'decision := {"allow": true} if input.principal.id == "a"',
    )
    made = Explainer(bundle(("a.rego", text))).explain(asked("b"))
    states = [(f.kind, f.state, f.decided) for f in made.findings]
    assert states == [("default", "held", True), ("rule", "not held", True)]
    assert made.reasons == ("no",)
    assert made.findings[0].reasons == ("no",)


def test_a_rule_that_fails_says_so_and_hides_no_other() -> None:
    """A conflict denies, as on the bus, and what held by itself is still told."""
    text = policies.authz(
        'decision := {"allow": true} if one', "one := 1 if input.principal", "one := 2"
    )
    made = Explainer(bundle(("a.rego", text))).explain(asked("b"))
    assert not made.allow
    assert "could not be evaluated" in made.reasons[0]
    states = {(f.line, f.state) for f in made.findings if f.rule.endswith(".one")}
    assert states == {(5, "held"), (7, "held")}


def test_an_input_past_its_bound_is_an_error(explainer: Explainer) -> None:
    """Nothing can be said of what was not asked."""
    with pytest.raises(EvaluationError, match="nested deeper"):
        explainer.explain("[" * 200 + "]" * 200)


@pytest.mark.parametrize(
    "rule",
    [
        'deny contains "quoted" if input.a',
        'deny contains "quoted"',
        'x := "last"',
        'm[k] := v if some k, v in {"a": "é"}',
        'a.b.c := "deep" if input',
        "e := 1 if input.a else := 2",
        'e := "one" if {\n\tinput.a # "else" }\n}\n\nelse := "two"',
        "s := {x | x := input.list[_]}",
        "f(x) := x",
        "# METADATA\n# title: t\nt if true",
    ],
)
def test_every_form_of_rule_can_be_copied(rule: str) -> None:
    """The copy sees what the original sees, and gives the same."""
    name = rule.rsplit("\n", 1)[-1] if rule[0] == "#" else rule
    word = name.split(".")[0].split("[")[0].split("(")[0].split()[0]
    use = f"{word}(1)" if word == "f" else word
    text = policies.authz(rule, f'decision := {{"allow": true, "it": {use}}}')
    made = Explainer(bundle(("a.rego", text))).explain('{"list": [1]}')
    (found,) = [f for f in made.findings if f.rule == f"data.assent.authz.{word}"]
    decision = next(f for f in made.findings if f.rule == ENTRY)
    if found.state == "called":
        assert decision.value["it"] == 1
    elif found.state == "held":
        told = {"b": {"c": "deep"}} if word == "a" else found.value
        assert decision.value["it"] == told
    else:
        assert decision.value["it"] == []


def test_a_name_like_that_of_the_copies_is_no_clash() -> None:
    """The copies get another one."""
    text = policies.authz(
        "assent_explained_0_0 := 7",
        'decision := {"allow": assent_explained_0_0 == 7}',
    )
    assert Explainer(bundle(("a.rego", text))).explain("{}").allow


def test_a_bundle_without_the_rule_is_refused() -> None:
    """There is nothing to explain."""
    with pytest.raises(PolicyLoadError, match=r"there is no rule data\.x\.y"):
        Explainer(bundle(("a.rego", "package a\n\nb := 1")), "data.x.y")


def test_reading_tells_what_a_rule_can_read() -> None:
    """Directly or through others; the first word may be left out."""
    made = bundle(("authz.rego", RULES), ("lib.rego", LIB))
    report = reading(made, "assent.authz.deny")
    assert report.rule == "data.assent.authz.deny"
    assert sorted(report.read.input or ()) == [
        ("message", "created_ns"),
        ("principal", "id"),
        ("principal", "roles"),
    ]
    assert report.rules == ("data.assent.authz.allow", "data.assent.authz.late")
    lines = [line_of('deny contains "too late"'), line_of("deny contains sprintf")]
    assert report.defined == tuple(f"authz.rego:{line}" for line in lines)


def test_reading_a_package_reads_all_its_rules() -> None:
    """As a reference to the package would."""
    report = reading(bundle(("lib.rego", LIB)), "data.lib")
    assert len(report.defined) == 3
    assert report.rules == ()


def test_a_misspelt_rule_is_answered_with_the_nearest() -> None:
    """Whatever was meant, nothing is guessed."""
    made = Origin(policies.data()).read()
    with pytest.raises(PolicyLoadError, match=r"did you mean 'data\.assent\.authz\."):
        reading(made, "data.assent.authz.permited")


def test_the_built_in_policy_can_be_explained() -> None:
    """Every decision of it has a rule that gave its reason."""
    explainer = Explainer(Origin(policies.data()).read())
    given = json.loads(asked("intruder", subject="tasks.a", type="t", tenant="acme"))
    given["principal"]["tenant"], given["action"] = "acme", "publish"
    made = explainer.explain(json.dumps(given))
    assert made.reasons
    for reason in made.reasons:
        gave = [f for f in made.findings if reason in f.reasons and f.rule != ENTRY]
        assert gave


def test_a_folder_is_explained_as_the_bus_decides(tmp_path: Path) -> None:
    """The answer is judged as the bus judges it: what is no decision denies."""
    folder = policies.folder(tmp_path / "p", policies.authz('decision := "yes"'))
    made = Explainer(Origin(None, folder).read()).explain("{}")
    assert not made.allow
    assert "no decision" in made.reasons[0]
