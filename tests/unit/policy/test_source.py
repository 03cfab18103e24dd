"""What the engine's parser must never see."""

from pathlib import Path

import pytest

from bus.core.errors import PolicyLoadError
from bus.core.limits import (
    POLICY_BRACKETS_MAX,
    POLICY_FILE_BYTES_MAX,
    POLICY_NESTING_MAX,
    POLICY_OPERATORS_MAX,
)
from policy import source
from policy.source import Source


def refusal(text: str) -> PolicyLoadError:
    """Return why a text is refused."""
    with pytest.raises(PolicyLoadError) as refused:
        source.check(Source("a.rego", text))
    return refused.value


def nested(levels: int, opening: str = "[", closing: str = "]") -> str:
    """Return a rule with brackets nested so deep."""
    return f"package a\nx := {opening * levels}1{closing * levels}\n"


@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_brackets_nested_too_deep_are_refused(pair: str) -> None:
    """Guard: without it the parser runs for minutes at 25 levels, for ever at 60."""
    source.check(Source("a.rego", nested(POLICY_BRACKETS_MAX, *pair)))
    error = refusal(nested(POLICY_BRACKETS_MAX + 1, *pair))
    assert (error.file, error.line) == ("a.rego", 2)
    assert "nested deeper" in error.reason


def test_twenty_thousand_brackets_are_refused_at_once() -> None:
    """Guard: the nesting that hangs the parser costs us one look at the text."""
    assert "nested deeper" in refusal(nested(20_000)).reason
    assert "nested deeper" in refusal(nested(20_000, "(", ")")).reason


def test_parentheses_count_too() -> None:
    """Guard: another kind of bracket is no way around."""
    assert "nested" in refusal(nested(POLICY_NESTING_MAX, "(", ")")).reason


def test_many_deep_brackets_are_refused() -> None:
    """Guard: each is within the bound, all together would take minutes to parse."""
    line = "x := " + "[" * 12 + "1" + "]" * 12 + "\n"
    assert "too many" in refusal("package a\n" + line * 100).reason


@pytest.mark.parametrize("operator", ["+", "\n+", "|", "+\n", " | {1} | "])
def test_an_expression_too_long_is_refused(operator: str) -> None:
    """Guard: the syntax tree of a chain grows with the square of its length."""
    chain = operator.join(["{1}"] * (POLICY_OPERATORS_MAX + 3))
    assert "operators" in refusal(f"package a\nx := {chain}\n").reason


def test_many_short_expressions_are_no_long_one() -> None:
    """The chain ends with the line, the comma and the bracket."""
    rules = "".join(f"x{i} := 1 + 2\n" for i in range(1_000))
    items = ", ".join(["1 + 1"] * 1_000)
    bodies = "".join("y if {\n\tinput.a == 1\n\tinput.b == 2\n}\n" for _ in range(200))
    source.check(Source("a.rego", f"package a\n{rules}z := [{items}]\n{bodies}"))


def test_strings_and_comments_are_not_brackets() -> None:
    """Text is text: only what the parser would nest counts."""
    deep = "[" * 100
    text = f'package a\n# {deep}\nx := "{deep}\\"{deep}"\ny := `{deep}\n{deep}`\n'
    source.check(Source("a.rego", text))


def test_lines_are_counted_through_raw_strings() -> None:
    """The line named is the line meant."""
    text = "package a\nx := `\n\n\n`\n" + nested(13).splitlines()[1]
    assert refusal(text).line == 6


def test_closing_brackets_do_not_pay_for_opening_ones() -> None:
    """Guard: a surplus of closing brackets buys no depth."""
    assert "nested" in refusal("]" * 100 + nested(13)).reason


def test_a_file_too_big_is_refused(tmp_path: Path) -> None:
    """Guard: size is bounded before anything reads the text."""
    path = tmp_path / "big.rego"
    path.write_bytes(b"#" * (POLICY_FILE_BYTES_MAX + 1))
    with pytest.raises(PolicyLoadError, match="bytes"):
        source.read("big.rego", path)
    assert "bytes" in refusal("#" * (POLICY_FILE_BYTES_MAX + 1)).reason


def test_bytes_that_are_no_text_are_refused_with_their_line(tmp_path: Path) -> None:
    """Guard: not UTF-8, so it says which line, instead of a traceback."""
    path = tmp_path / "a.rego"
    path.write_bytes(b"package a\n\n# \xff\n")
    with pytest.raises(PolicyLoadError, match=r"^a\.rego:3: not UTF-8$"):
        source.read("a.rego", path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """An operator reads which file, not a traceback."""
    with pytest.raises(PolicyLoadError, match=r"gone\.rego: cannot be read"):
        source.read("gone.rego", tmp_path / "gone.rego")
