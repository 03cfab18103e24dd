"""TOML from outside: a dict, or one typed error, and never a long wait."""

import pytest
from hypothesis import given, strategies as st

from bus.core.document import DocumentError, parse_toml
from bus.core.limits import TOML_DOTS_PER_LINE_MAX

BYTES_MAX = 100_000


def refused(text: str, bytes_max: int = BYTES_MAX) -> DocumentError:
    """Return why a text is no document."""
    with pytest.raises(DocumentError) as error:
        parse_toml(text, bytes_max=bytes_max)
    return error.value


def test_a_document_is_its_values() -> None:
    """As the TOML standard has it."""
    text = '[a]\nb = [1, "c"]\n'
    assert parse_toml(text, bytes_max=BYTES_MAX) == {"a": {"b": [1, "c"]}}


@pytest.mark.parametrize(
    ("text", "detail", "line"),
    [
        ("a = 1\nb = ?\n", "Invalid value", 2),
        ("a = ", "Invalid value", 0),
        ("a = " + "[" * 5_000, "nested too deep", 0),
        ("a = " + "9" * 5_000, "a value cannot be read", 0),
        ("a = '\ud800'", "UTF-8 cannot encode", 0),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, detail: str, line: int) -> None:
    """The line is 0 where the parser gives none, and then the text has none either."""
    error = refused(text)
    assert error.detail.startswith(detail) or detail in error.detail
    assert error.line == line
    assert "(at line" not in error.detail


def test_size_is_counted_in_bytes() -> None:
    """At the bound it is parsed, past it it is not."""
    text = "#" + "\u00e9" * 5
    assert parse_toml(text, bytes_max=11) == {}
    assert refused(text, bytes_max=10).detail == "11 bytes; 10 are allowed"


def test_dots_in_a_line_are_bounded() -> None:
    """At the bound a key is parsed; past it the parser is not even asked."""
    key = ".".join("a" * (TOML_DOTS_PER_LINE_MAX + 1))
    assert parse_toml(f"{key} = 1\n", bytes_max=BYTES_MAX)
    error = refused(f"x = 1\na.{key} = ?\n")
    assert "dots" in error.detail
    assert error.line == 2


@given(st.text(max_size=60))
def test_any_text_is_a_document_or_a_typed_error(text: str) -> None:
    """Fuzzed texts raise nothing else."""
    try:
        found = parse_toml(text, bytes_max=BYTES_MAX)
    except DocumentError:
        return
    assert isinstance(found, dict)
