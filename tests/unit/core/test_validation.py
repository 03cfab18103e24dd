"""What a publisher may set: everything else is a typed error."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from bus.core import suggest, validation
from bus.core.errors import LimitExceededError, MalformedMessageError, ProtocolError
from bus.core.limits import CLAIM_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_MAX, TTL_S_MAX
from bus.core.message import MESSAGE_TYPES, Priority

NOW_NS = 1_800_000_000_000_000_000
NS = 1_000_000_000
anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


def test_every_type_of_the_vocabulary_passes() -> None:
    """And no other does; the error lists them."""
    for name in MESSAGE_TYPES:
        validation.check_type(name)
    for bad in ("Event", "", "event "):
        with pytest.raises(MalformedMessageError, match="task_response"):
            validation.check_type(bad)


@pytest.mark.parametrize("priority", Priority)
def test_a_priority_comes_back_plain(priority: Priority) -> None:
    """An enum member becomes the integer that is stamped."""
    made = validation.check_priority(priority)
    assert type(made) is int
    assert made == priority


@pytest.mark.parametrize("bad", [-1, 4, 1.5, "high", None, []])
def test_any_other_priority_is_refused(bad: Any) -> None:
    """The error lists the range."""
    with pytest.raises(MalformedMessageError, match=r"0 \(low\) to 3 \(critical\)"):
        validation.check_priority(bad)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"trace-id": "00-ab", "x": ""},
        {"x": "\u00e4\u4e2d"},
        {f"h{n}": "" for n in range(HEADERS_MAX)},
        {"h": "x" * (HEADER_BYTES_MAX - 1)},
    ],
)
def test_headers_within_the_bounds_pass(headers: dict[str, str]) -> None:
    """The bounds themselves are allowed, and values may be any printable text."""
    validation.check_headers(headers)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({1: "x"}, "name and value are text"),
        ({"x": 1}, "name and value are text"),
        ({"": "x"}, "header name ''"),
        ({"a b": "x"}, "header name"),
        ({"a:b": "x"}, "header name"),
        ({"\u00e4": "x"}, "header name"),
        ({"a\n": "x"}, "header name"),
        ({"x": "a\r\nb"}, "control characters"),
        ({"x": "\ud800"}, "control characters"),
    ],
)
def test_a_header_that_could_be_misread_is_refused(headers: Any, reason: str) -> None:
    """No line ends, no separators, no look-alike names."""
    with pytest.raises(MalformedMessageError, match=reason):
        validation.check_headers(headers)


def test_headers_are_bounded_in_number_and_size() -> None:
    """Bytes are counted as they are sent, not as characters."""
    with pytest.raises(LimitExceededError, match="headers: 33 > 32"):
        validation.check_headers({f"h{n}": "" for n in range(HEADERS_MAX + 1)})
    for value in ("x" * HEADER_BYTES_MAX, "\u00e4" * (HEADER_BYTES_MAX // 2)):
        with pytest.raises(LimitExceededError, match="header bytes: 4097 > 4096"):
            validation.check_headers({"h": value})


def test_what_the_bus_sets_takes_none_of_the_publishers_room() -> None:
    """A dedup name and a delay, each bounded by itself."""
    asked = {"assent-dedup": "d" * CLAIM_BYTES_MAX, "assent-deliver-at": "7"}
    full = {f"h{n:02}": "" for n in range(HEADERS_MAX)}
    full["h00"] = "x" * (HEADER_BYTES_MAX - 3 * HEADERS_MAX)
    validation.check_headers({**full, **asked})
    for name in asked:
        with pytest.raises(LimitExceededError, match=f"{name} bytes: 129 > 128"):
            validation.check_headers({name: "d" * (CLAIM_BYTES_MAX + 1)})
    with pytest.raises(LimitExceededError, match="headers: 33 > 32"):
        validation.check_headers({**full, **asked, "more": ""})


def test_a_claim_is_short_printable_text() -> None:
    """Correlation and causation ids, at the bound and past it."""
    validation.check_claim("correlation", "c" * CLAIM_BYTES_MAX)
    with pytest.raises(LimitExceededError, match="correlation bytes: 129 > 128"):
        validation.check_claim("correlation", "c" * (CLAIM_BYTES_MAX + 1))
    odd: list[Any] = ["\u00e4", "a\n", None, 7, b"c"]
    for bad in odd:
        with pytest.raises(MalformedMessageError, match="causation"):
            validation.check_claim("causation", bad)


def test_a_message_expires_its_ttl_after_now() -> None:
    """Seconds in, nanoseconds since the epoch out."""
    assert validation.expiry_ns(NOW_NS, 1.5) == NOW_NS + NS + NS // 2
    assert validation.expiry_ns(NOW_NS, TTL_S_MAX) == NOW_NS + int(TTL_S_MAX) * NS


@pytest.mark.parametrize("bad", [0, -1, float("nan"), "1", None])
def test_a_ttl_is_a_number_above_zero(bad: Any) -> None:
    """Not a NaN either, which is above and below nothing."""
    with pytest.raises(MalformedMessageError, match="seconds above 0"):
        validation.expiry_ns(NOW_NS, bad)


@pytest.mark.parametrize("long", [TTL_S_MAX + 1, float("inf")])
def test_a_ttl_is_bounded(long: float) -> None:
    """No message lives for ever by asking to."""
    with pytest.raises(LimitExceededError, match="ttl seconds"):
        validation.expiry_ns(NOW_NS, long)


@given(anything, st.dictionaries(anything, anything, max_size=3))
def test_any_value_passes_or_is_a_protocol_error(value: Any, headers: Any) -> None:
    """Fuzzed arguments raise nothing else."""
    for check in (
        lambda: validation.check_type(value),
        lambda: validation.check_priority(value),
        lambda: validation.check_headers(headers),
        lambda: validation.check_claim("correlation", value),
        lambda: validation.expiry_ns(NOW_NS, value),
    ):
        try:
            check()
        except ProtocolError:
            continue


def test_a_misspelt_word_gets_the_nearest_known_one() -> None:
    """And a word that is near to none gets no guess."""
    assert suggest.hint("agnet", {"agent", "tenant"}) == "; did you mean 'agent'?"
    assert suggest.hint("zzz", {"agent", "tenant"}) == ""
