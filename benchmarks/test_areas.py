"""What each area of the policy library adds to a decision that is evaluated.

Run: taskset -c 1 .venv/bin/pytest benchmarks/test_areas.py -s
"""

import json
import statistics
import time

import pytest

from benchmarks.targets import reach
from policy.areas import NAMES
from policy.bundle import Origin
from policy.loading import ENTRY, build
from tests.fakes import areas, policies

MISSES = 1_000
ALL_US_MAX = (
    5_000  # far above what is seen: a guard against a rule that goes through data
)


def median_us(named: tuple[str, ...]) -> float:
    """Return the median of an evaluated allow with the areas in force, in us."""
    policy = build(Origin(areas.data(named), areas=named).read())
    document = policy.plan.document("publish", policies.message(), ("planner",))
    answer: str | None = None
    took = []
    for _ in range(MISSES):
        began = time.perf_counter_ns()
        answer = policy.engine.evaluate(ENTRY, document)
        took.append(time.perf_counter_ns() - began)
    if answer is None or not json.loads(answer)["allow"]:
        pytest.fail(f"not an allow: {answer}")
    return statistics.median(took) / 1_000


def test_an_evaluated_allow_with_areas() -> None:
    """Print the median without any area, with each, and with all."""
    for named in ((), *((name,) for name in NAMES), NAMES):
        found = median_us(named)
        label = "all" if named == NAMES else ", ".join(named) or "none"
        print(f"{label:>15} {found:6.0f} us")
        reach(found <= ALL_US_MAX, f"{label}: {found:.0f} us")
