"""Figures and the targets they are held to.

Rule: a smoke run (`--benchmark-disable`) shows that everything can be measured and
judges no figure: how fast another machine is just then is no fault of a change.
"""

import pytest

_judging = [True]


def judge(*, figures: bool) -> None:
    """Hold figures to their targets from here on, or not."""
    _judging[0] = figures


def reach(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Say that a figure misses its target, and fail unless it is a smoke run."""
    if holds:
        return
    print(f"\nMISSED: {otherwise}")
    if _judging[0]:
        pytest.fail(otherwise)
