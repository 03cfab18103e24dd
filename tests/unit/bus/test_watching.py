"""What an operator is shown: the worst first, bounded, and how it all stands."""

import pytest

from bus.core.changes import StreamRow
from bus.core.recovering import Standing
from bus.watching import ConsumerLine, Pace, Seen, rate, score_of, top

S = 1_000_000_000
GOOD, BAD = (True, "well"), (False, "not well")


def seen(**given: object) -> Seen:
    """Return what a picture is made of."""
    base = {"time_ns": 5 * S, "revision": "r1", "checks": {"bus running": GOOD}}
    return Seen(**{**base, **given})  # type: ignore[arg-type]  # a test gives what fits


def line(name: str, pending: int, **given: int) -> ConsumerLine:
    """Return a consumer's row."""
    return ConsumerLine(tenant="acme", name=name, pending=pending, **given)


def test_who_is_furthest_behind_comes_first() -> None:
    """By what is pending, then by the oldest, then by what is dead."""
    lines = [
        line("calm", 0),
        line("young", 7, oldest_ns=1),
        line("old", 7, oldest_ns=9),
        line("deadly", 0, dead=3),
        line("worst", 9),
    ]
    made = top(seen(), lines)
    assert [one.name for one in made.consumers] == [
        "worst",
        "old",
        "young",
        "deadly",
        "calm",
    ]
    assert (made.more_consumers, made.durable) == (0, False)


def test_what_is_past_the_bound_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a hundred thousand consumers help nobody."""
    monkeypatch.setattr("bus.watching.TOP_ROWS_MAX", 2)
    streams = [StreamRow(n, "acme", str(n), messages=n) for n in range(5)]
    made = top(seen(), [line(str(n), n) for n in range(4)], streams)
    assert ([one.name for one in made.consumers], made.more_consumers) == (
        ["3", "2"],
        2,
    )
    assert ([one.name for one in made.streams], made.more_streams) == (["4", "3"], 3)


@pytest.mark.parametrize(
    ("checks", "score", "standing"),
    [
        ({}, 1.0, Standing.HEALTHY),
        ({"a": GOOD, "b": GOOD}, 1.0, Standing.HEALTHY),
        ({"a": GOOD, "b": BAD}, 0.5, Standing.DEGRADED),
        ({"a": GOOD, "b": BAD, "c": BAD}, 1 / 3, Standing.CRITICAL),
    ],
)
def test_a_bus_stands_as_its_checks_do(
    checks: dict[str, tuple[bool, str]], score: float, standing: Standing
) -> None:
    """The bounds are those of recovery's score."""
    made = top(seen(checks=checks), [])
    assert (made.score, made.standing) == (score, standing)
    assert score_of(checks) == score
    assert [(c.name, c.ok) for c in made.checks] == [
        (n, c[0]) for n, c in checks.items()
    ]


def test_recoverys_own_word_counts_where_it_is_given() -> None:
    """Its score is of breakers, and what is essential outweighs it."""
    made = top(seen(score=0.9, stands=Standing.CRITICAL), [])
    assert (made.score, made.standing) == (0.9, Standing.CRITICAL)
    assert top(seen(score=0.6), []).standing is Standing.DEGRADED


def test_commits_a_second_are_those_since_the_last_picture() -> None:
    """Or since the opening, where there is none, or the store was opened anew."""
    now = Pace(commits=300, appended=900, since_ns=1 * S)
    assert rate(now, 4 * S, None) == 100.0
    before = Pace(commits=280, appended=0, since_ns=1 * S)
    assert rate(now, 4 * S, (before, 2 * S)) == 10.0
    older = Pace(commits=5_000, appended=0, since_ns=0)
    assert rate(now, 4 * S, (older, 2 * S)) == 100.0
    assert rate(now, 1 * S, None) == 0.0
    assert top(seen(pace=now), []).durable
