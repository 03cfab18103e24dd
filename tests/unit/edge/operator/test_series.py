"""Quantiles of counts by powers of two."""

import pytest
from hypothesis import given, strategies as st

from bus.edge.operator.series import quantile_us


def test_nothing_has_no_quantile() -> None:
    """Not zero: nothing took no time."""
    assert quantile_us([0] * 65, 0.5) is None


@given(st.integers(min_value=0, max_value=64), st.integers(1, 1_000))
def test_a_quantile_is_within_the_power_that_it_falls_in(
    power: int, count: int
) -> None:
    """From the power below up to it."""
    counts = [0] * 65
    counts[power] = count
    for share in (0.5, 0.99, 1.0):
        found = quantile_us(counts, share)
        assert found is not None
        low = 2.0 ** (power - 1) if power else 0.0
        assert low <= found * 1000 <= 2.0**power


def test_the_tail_is_in_the_slow_ones() -> None:
    """And the median in the many."""
    counts = [0] * 65
    counts[10], counts[20] = 90, 10
    assert quantile_us(counts, 0.5) == pytest.approx((512 + 512 * 50 / 90) / 1000)
    tail = quantile_us(counts, 0.99)
    assert tail is not None
    assert tail > 2**19 / 1000
