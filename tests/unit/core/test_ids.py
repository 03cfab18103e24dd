"""Message ids: always rising, in UUIDv7's layout."""

import uuid

import pytest
from hypothesis import given, strategies as st

from bus.core.errors import UsageError
from bus.core.ids import IdSource

MS = 1_000_000
NOW_NS = 1_800_000_000_000_000_000
entropies = st.binary(min_size=8, max_size=8)


@given(entropies, st.lists(st.integers(0, 1 << 62), min_size=2, max_size=30))
def test_ids_of_a_source_rise_whatever_the_clock_does(
    entropy: bytes, times: list[int]
) -> None:
    """Forward, back or still: each id is greater than the one before."""
    source = IdSource(entropy)
    made = [source.next(now_ns) for now_ns in times]
    assert made == sorted(set(made))


@given(entropies | st.just(b"\xff" * 8), st.integers(0, 1 << 62))
def test_an_id_is_a_uuid_version_7(entropy: bytes, now_ns: int) -> None:
    """Version, variant and time stand where RFC 9562 puts them."""
    source = IdSource(entropy)
    for _ in range(3):
        made = uuid.UUID(bytes=source.next(now_ns))
        assert made.version == 7
        assert made.variant == uuid.RFC_4122
        assert made.int >> 80 == now_ns // MS


def test_time_moves_on_with_the_millisecond() -> None:
    """Within one millisecond the time part stays, at the next it changes."""
    source = IdSource(bytes(8))
    first, same, later = (source.next(NOW_NS + t) for t in (0, MS - 1, MS))
    assert first[:6] == same[:6] < later[:6]


def test_a_clock_that_steps_back_does_not_take_the_time_back() -> None:
    """The last time seen stays until the clock has caught up."""
    source = IdSource(bytes(8))
    ahead = source.next(NOW_NS)
    behind = source.next(NOW_NS - 3_600_000 * MS)
    assert behind[:6] == ahead[:6]
    assert behind > ahead


def test_two_sources_make_different_ids_at_one_time() -> None:
    """The random start keeps sources apart."""
    one, two = IdSource(b"12345678"), IdSource(b"87654321")
    assert one.next(NOW_NS) != two.next(NOW_NS)


@pytest.mark.parametrize("entropy", [b"", bytes(7), bytes(9)])
def test_too_little_entropy_is_refused(entropy: bytes) -> None:
    """A source that would repeat another's ids does not start."""
    with pytest.raises(UsageError, match="bytes of entropy"):
        IdSource(entropy)
