"""The subject grammar and its wildcards."""

import re
import string
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bus.core import subject
from bus.core.errors import LimitExceededError, ProtocolError, SubjectError
from bus.core.limits import SUBJECT_BYTES_MAX, SUBJECT_TOKENS_MAX

TOKEN_CHARS = "".join(c for c in map(chr, range(33, 127)) if c not in ".*>")
_tokens = st.text("ab$,", min_size=1, max_size=2)
_subjects = st.lists(_tokens, min_size=1, max_size=5).map(tuple)
_patterns = st.builds(
    lambda head, tail: (*head, *tail),
    st.lists(_tokens | st.just("*"), min_size=1, max_size=5),
    st.sampled_from([(), (">",)]),
)


def reference(pattern: tuple[str, ...], tokens: tuple[str, ...]) -> bool:
    """Match with a regular expression, written apart from the code."""
    if tokens[0].startswith("$") and pattern[0] in {"*", ">"}:
        return False
    parts = {"*": "[^.]+", ">": ".+"}
    text = r"\.".join(parts.get(p, re.escape(p)) for p in pattern)
    return re.fullmatch(text, ".".join(tokens)) is not None


@given(_patterns, _subjects)
def test_wildcards_match_as_a_regular_expression_would(
    pattern: tuple[str, ...], tokens: tuple[str, ...]
) -> None:
    """`*` is one token and `>` one or more at the tail."""
    assert subject.matches(pattern, tokens) == reference(pattern, tokens)


def test_every_printable_character_but_the_reserved_stands_in_a_token() -> None:
    """Of printable ASCII only `.`, `*` and `>` are reserved."""
    assert set(string.printable.strip()) - set(TOKEN_CHARS) == set(".*>")
    for character in TOKEN_CHARS:
        assert subject.parse(f"a{character}.b") == (f"a{character}", "b")
        assert subject.parse_pattern(f"a{character}.>") == (f"a{character}", ">")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "an empty token"),
        (".a", "an empty token"),
        ("a..b", "an empty token"),
        ("a.", "an empty token"),
        ("a.b*", "a wildcard in"),
        ("a.b>", "a wildcard in"),
        ("a b", "not printable ASCII"),
        ("a.b\n", "not printable ASCII"),
        ("a.b\x00", "not printable ASCII"),
        ("\u00e4.b", "not printable ASCII"),
        ("a.\ud800", "not printable ASCII"),
    ],
)
def test_what_breaks_the_grammar_is_refused_with_its_reason(
    text: str, reason: str
) -> None:
    """The reason names what is wrong, for a subject and for a pattern."""
    for parse in (subject.parse, subject.parse_pattern):
        with pytest.raises(SubjectError, match=reason):
            parse(text)


@pytest.mark.parametrize("text", ["*", ">", "a.*", "a.>", "*.b"])
def test_wildcards_stand_in_patterns_only(text: str) -> None:
    """A subscription may use wildcards, a publish may not."""
    assert subject.parse_pattern(text) == tuple(text.split("."))
    with pytest.raises(SubjectError, match="a wildcard"):
        subject.parse(text)


def test_the_tail_stands_only_at_the_end() -> None:
    """`>` before the last token is refused."""
    with pytest.raises(SubjectError, match="only at the end"):
        subject.parse_pattern("a.>.b")


@pytest.mark.parametrize("parse", [subject.parse, subject.parse_pattern])
def test_a_subject_is_bounded(parse: Any) -> None:
    """At the bound it is taken, one past it is refused."""
    assert parse("a" * SUBJECT_BYTES_MAX) == ("a" * SUBJECT_BYTES_MAX,)
    assert len(parse(".".join("a" * SUBJECT_TOKENS_MAX))) == SUBJECT_TOKENS_MAX
    with pytest.raises(LimitExceededError, match="subject bytes: 256 > 255"):
        parse("a" * (SUBJECT_BYTES_MAX + 1))
    with pytest.raises(LimitExceededError, match="subject tokens: 17 > 16"):
        parse(".".join("a" * (SUBJECT_TOKENS_MAX + 1)))


@pytest.mark.parametrize("odd", [None, 7, b"a.b", ["a"]])
def test_what_is_no_string_is_no_subject(odd: Any) -> None:
    """A wrong type is a typed error too."""
    with pytest.raises(SubjectError, match="a subject is a string, not"):
        subject.parse(odd)


@given(st.text(max_size=300))
def test_any_text_is_a_subject_or_a_protocol_error(text: str) -> None:
    """There is no third way, and what is taken reads the same again."""
    for parse in (subject.parse, subject.parse_pattern):
        try:
            tokens = parse(text)
        except ProtocolError:
            continue
        assert ".".join(tokens) == text
