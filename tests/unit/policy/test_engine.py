"""Each trap of the embedded engine has a guard, and each guard a test."""

import threading

import pytest

from bus.core.errors import PolicyLoadError, UsageError
from bus.core.limits import (
    POLICY_INPUT_BYTES_MAX,
    POLICY_NESTING_MAX,
    POLICY_SOURCE_BYTES_MAX,
)
from policy.engine import Engine, depth
from policy.evaluation import EvaluationError
from policy.source import Source


def engine(rules: str, data: str = "{}") -> Engine:
    """Return an engine with one file of package `a`."""
    return Engine([Source("a.rego", f"package a\n{rules}\n")], data)


def test_a_rule_is_evaluated() -> None:
    """The engine works at all."""
    asked = engine("x := input.n + data.m", '{"m": 2}')
    assert asked.evaluate("data.a.x", '{"n": 1}') == "3"


def test_undefined_is_none_and_not_a_truthy_string() -> None:
    """Guard: the engine answers the text "<undefined>", which is true in Python."""
    assert engine("x if input.y").evaluate("data.a.x", "{}") is None


def test_an_input_is_forgotten_before_the_next() -> None:
    """A value of one question is no answer to the next."""
    asked = engine("x := input.n")
    assert asked.evaluate("data.a.x", '{"n": 1}') == "1"
    assert asked.evaluate("data.a.x", "{}") is None


def test_an_input_too_big_is_refused() -> None:
    """Guard: size is checked before the engine parses."""
    text = '{"n": "' + "x" * POLICY_INPUT_BYTES_MAX + '"}'
    with pytest.raises(EvaluationError, match="bytes"):
        engine("x := input.n").evaluate("data.a.x", text)


@pytest.mark.parametrize("levels", [POLICY_NESTING_MAX + 1, 100_000])
def test_an_input_nested_too_deep_is_refused(levels: int) -> None:
    """Guard: depth is checked before the engine recurses."""
    text = '{"n": ' + "[" * levels + "]" * levels + "}"
    with pytest.raises(EvaluationError, match="nested deeper"):
        engine("x := input.n").evaluate("data.a.x", text)


def test_brackets_inside_strings_are_not_depth() -> None:
    """A header full of brackets is a flat input."""
    text = '{"n": "' + '[{\\"' * 500 + '"}'
    assert depth(text) == 1
    assert engine("x if input.n").evaluate("data.a.x", text) == "true"


def test_input_that_is_not_json_is_refused() -> None:
    """Guard: the engine's own exception does not get out."""
    with pytest.raises(EvaluationError):
        engine("x := 1").evaluate("data.a.x", "{")


def test_another_thread_gets_a_typed_error() -> None:
    """Guard: the engine would panic with a BaseException."""
    asked = engine("x := 1")
    seen: list[BaseException] = []

    def ask() -> None:
        try:
            asked.evaluate("data.a.x", "{}")
        except BaseException as error:  # noqa: BLE001 - a panic is a BaseException
            seen.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert [type(error) for error in seen] == [UsageError]
    assert asked.evaluate("data.a.x", "{}") == "1"


def test_a_rule_that_fails_says_where_and_why() -> None:
    """An operator reads file, line and reason, and no stack trace of the engine's."""
    with pytest.raises(EvaluationError) as failed:
        engine("x := 1 / input.n").evaluate("data.a.x", '{"n": 0}')
    assert str(failed.value) == "a.rego:2: divide by zero"
    assert (failed.value.file, failed.value.line) == ("a.rego", 2)


def test_a_failed_rule_leaves_the_engine_usable() -> None:
    """One bad question does not spoil the next."""
    asked = engine("x := 1 / input.n")
    with pytest.raises(EvaluationError):
        asked.evaluate("data.a.x", '{"n": 0}')
    assert asked.evaluate("data.a.x", '{"n": 1}') == "1"


def test_a_file_that_does_not_parse_is_refused_with_its_line() -> None:
    """Guard: file, line and reason, from the engine's own words."""
    with pytest.raises(PolicyLoadError) as refused:
        engine("x if {")
    assert (refused.value.file, refused.value.line) == ("a.rego", 3)
    assert refused.value.reason == "expecting expression (column 1)"
    with pytest.raises(PolicyLoadError) as refused:
        engine("x := 1 1")
    assert refused.value.reason.endswith("(column 8: x := 1 1)")


def test_a_file_is_scanned_before_it_is_parsed() -> None:
    """Guard: every file goes through the scan; this one would take the parser a second."""
    with pytest.raises(PolicyLoadError, match="nested deeper"):
        engine("x := " + "[" * 15 + "1" + "]" * 15)


def test_all_files_together_are_bounded() -> None:
    """Guard: many files are no way around the bound on one."""
    half = "#" * (POLICY_SOURCE_BYTES_MAX // 2)
    files = [Source(f"{n}.rego", f"package p{n}\n{half}") for n in range(2)]
    with pytest.raises(PolicyLoadError, match="together"):
        Engine(files, "{}")


def test_no_file_is_no_policy() -> None:
    """An empty folder does not become a policy that answers nothing."""
    with pytest.raises(PolicyLoadError, match="no policy file"):
        Engine([], "{}")


def test_data_that_is_no_object_is_refused() -> None:
    """Neither an array nor what is no JSON at all."""
    with pytest.raises(PolicyLoadError, match="not an object"):
        engine("x := 1", "[]")
    with pytest.raises(PolicyLoadError, match="data"):
        engine("x := 1", "{")


def test_a_query_is_bounded_like_a_file() -> None:
    """Guard: what `eval` is given goes through the same scan."""
    asked = engine("x := 1")
    assert '"value": 1' in asked.query("data.a.x", "{}")
    with pytest.raises(EvaluationError, match="nested deeper"):
        asked.query("[" * 60 + "]" * 60, "{}")
    with pytest.raises(EvaluationError):
        asked.query("x :=", "{}")


def test_an_unknown_rule_is_an_error() -> None:
    """A misspelt rule is not an undefined one."""
    with pytest.raises(EvaluationError, match="not a valid rule path"):
        engine("x := 1").evaluate("data.a.y", "{}")


def test_print_is_for_tests_only() -> None:
    """Guard: a policy in force does not write to the terminal of the host program."""
    rule = 'x if print("seen")'
    with pytest.raises(PolicyLoadError, match="no function print"):
        engine(rule)
    asked = Engine([Source("a.rego", f"package a\n{rule}")], "{}", printing=True)
    asked.evaluate("data.a.x", "{}")
    assert asked.prints() == ["a.rego:2: seen"]


def test_an_input_is_bounded_in_bytes_not_in_characters() -> None:
    """A character may take four of them."""
    engine = Engine([Source("a.rego", "package a\n\nx := 1")], "{}")
    text = '"' + chr(0x1F600) * (POLICY_INPUT_BYTES_MAX // 4) + '"'
    assert len(text) < POLICY_INPUT_BYTES_MAX
    with pytest.raises(EvaluationError, match="bytes"):
        engine.evaluate("data.a.x", text)
