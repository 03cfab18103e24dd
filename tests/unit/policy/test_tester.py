"""Policies are tested, checked and asked from the command line through these calls."""

from pathlib import Path

import pytest

from bus.core.errors import PolicyLoadError
from policy import tester
from policy.bundle import Origin
from policy.evaluation import EvaluationError
from tests.fakes import policies

CASES = """package a_test

import data.a

test_yes if a.x == 1

test_no if a.x == 2

test_false := false

test_number := 1

test_fault if 1 / a.zero == 1

test_said if print("seen", a.x)

not_a_test if false
"""


def test_each_test_ends_as_it_should(tmp_path: Path) -> None:
    """Only exactly true passes."""
    (tmp_path / "a.rego").write_text("package a\n\nx := 1\n\nzero := 0\n")
    (tmp_path / "a_test.rego").write_text(CASES)
    results = {result.name: result for result in tester.run_tests([tmp_path])}
    assert {name: result.ending for name, result in results.items()} == {
        "test_yes": "passed",
        "test_no": "failed",
        "test_false": "failed",
        "test_number": "failed",
        "test_fault": "error",
        "test_said": "passed",
    }
    assert results["test_no"].detail == "it is undefined, not true"
    assert results["test_no"].line == 7
    assert results["test_no"].file == f"{tmp_path.name}/a_test.rego"
    assert "divide by zero" in results["test_fault"].detail
    assert results["test_said"].printed[0].endswith("seen 1")
    assert not results["test_yes"].printed


def test_tests_find_the_data_they_are_given(tmp_path: Path) -> None:
    """For policies whose tests need more than `with`."""
    (tmp_path / "a_test.rego").write_text("package a_test\n\ntest_d if data.k == 1\n")
    assert tester.run_tests([tmp_path])[0].ending == "failed"
    assert tester.run_tests([tmp_path], data={"k": 1})[0].ending == "passed"


def test_no_test_is_not_a_pass(tmp_path: Path) -> None:
    """A misspelt folder does not look green."""
    policies.folder(tmp_path, policies.ALLOW_ALL)
    with pytest.raises(PolicyLoadError, match="no rule test_"):
        tester.run_tests([tmp_path])


def test_a_check_tells_what_a_policy_reads() -> None:
    """The built-in one reads nothing that differs between messages of a kind."""
    report = tester.check(Origin(policies.data()))
    assert report.problems == ()
    assert report.cacheable
    assert report.agents == 4
    assert report.input == (
        "action",
        "message.subject",
        "message.tenant",
        "message.type",
        "principal.id",
        "principal.tenant",
        "subscription.pattern",
    )
    assert report.data == ("agents", "limits", "roles", "tenants")
    assert len(report.revision) == 16


def test_a_check_tells_what_is_wrong(tmp_path: Path) -> None:
    """Without an exception, and without a revision."""
    policies.folder(tmp_path, policies.authz("decision := nosuch(1)"))
    report = tester.check(Origin(folder=tmp_path))
    assert report.problems == ("authz.rego:3: there is no function nosuch",)
    assert report.revision == ""


def test_a_check_tells_what_is_volatile(tmp_path: Path) -> None:
    """Such a policy works, uncached."""
    rule = 'decision := {"allow": time.now_ns() > 0, "x": input}'
    report = tester.check(
        Origin(folder=policies.folder(tmp_path, policies.authz(rule)))
    )
    assert report.volatile == ("time.now_ns",)
    assert not report.cacheable
    assert report.input is None


def test_a_query_is_evaluated_with_its_input() -> None:
    """Rules, input and data of a bundle."""
    origin = Origin(policies.data())
    asked = '{"action": "connect", "principal": {"id": "worker", "tenant": "acme"}}'
    (found,) = tester.evaluate(
        "data.assent.authz.decision.allow", input_text=asked, origin=origin
    )
    assert found["expressions"][0]["value"] is True


def test_a_query_without_an_answer_has_no_results() -> None:
    """Undefined is the empty list, not a string."""
    assert tester.evaluate("data.nosuch.rule") == []
    (found,) = tester.evaluate("x := 1 + input.n", input_text='{"n": 1}')
    assert found["bindings"] == {"x": 2}


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 18446744073709551616}', "1"])
def test_an_input_that_the_engine_would_change_is_refused(text: str) -> None:
    """Guard: numbers past 64 bits lose their last digits."""
    with pytest.raises(PolicyLoadError):
        tester.evaluate("input", input_text=text)


def test_a_query_that_fails_is_a_typed_error() -> None:
    """With the engine's reason."""
    with pytest.raises(EvaluationError, match="nosuch"):
        tester.evaluate("nosuch(1)")
