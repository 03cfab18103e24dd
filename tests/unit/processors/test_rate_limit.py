"""Rate limit: tokens are counted exactly and nobody cheats by a new name."""

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bus.core.errors import ConfigurationError, OverloadedError
from bus.core.limits import RATE_BUCKETS_MAX, RATE_PROBES_MAX, RATE_TENANT_SHARES
from processors.stages.rate_limit import RateLimit, RateLimitOptions
from tests.fakes.processing import message

SECOND = 1_000_000_000


def limit(**options: Any) -> RateLimit:
    """Return a stage of one message a second and agent, two at once."""
    given = {"per": "agent", "rate_per_s": 1.0, "burst": 2}
    return RateLimit(RateLimitOptions(**{**given, **options}))


def passes(stage: RateLimit, now_ns: int, **fields: Any) -> bool:
    """Tell whether a message passes now."""
    try:
        stage.process(message(**fields), now_ns)
    except OverloadedError:
        return False
    return True


def test_a_burst_passes_and_then_the_rate() -> None:
    """Two at once, then one each second."""
    stage = limit()
    assert [passes(stage, 0) for _ in range(3)] == [True, True, False]
    assert not passes(stage, SECOND - 1)
    assert passes(stage, SECOND)
    assert not passes(stage, SECOND)


def test_the_retry_time_is_when_it_passes() -> None:
    """Whoever waits that long is served; a nanosecond less is not enough."""
    stage = limit(rate_per_s=4.0, burst=1)
    stage.process(message(), 0)
    with pytest.raises(OverloadedError, match="agent planner") as caught:
        stage.process(message(), 100_000_000)
    assert caught.value.retry_after_s == pytest.approx(0.15)
    assert not passes(stage, 249_999_999)
    assert passes(stage, 250_000_000)


def test_idle_time_saves_up_no_more_than_the_burst() -> None:
    """A bucket does not overflow."""
    stage = limit()
    assert passes(stage, 0)
    assert [passes(stage, 3600 * SECOND) for _ in range(3)] == [True, True, False]


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    """Earlier times find the bucket as it was left."""
    stage = limit(burst=1)
    assert passes(stage, 10 * SECOND)
    assert not passes(stage, 5 * SECOND)


@pytest.mark.parametrize(
    ("per", "apart"),
    [
        ("tenant", {"tenant"}),
        ("agent", {"tenant", "sender"}),
        ("subject", {"tenant", "subject"}),
    ],
)
def test_names_are_kept_apart_within_their_tenant(per: str, apart: set[str]) -> None:
    """Another tenant never shares a bucket, whatever the limit is for."""
    for field in ("tenant", "sender", "subject"):
        stage = limit(per=per, burst=1)
        assert passes(stage, 0)
        assert passes(stage, 0, **{field: "other"}) == (field in apart)


def test_cycling_names_gives_no_fresh_bucket() -> None:
    """A full table forgets nobody whose bucket is not full again."""
    stage = limit(burst=1, buckets=8, tenant_buckets=4)
    assert passes(stage, 0, sender="a0")
    used = sum(passes(stage, 0, sender=f"a{n}") for n in range(1, 1_000))
    assert used == 3
    assert not passes(stage, 0, sender="a0")


def test_a_full_bucket_makes_room() -> None:
    """When its time is over a name is forgotten, which loses nothing."""
    stage = limit(burst=1, buckets=2)
    assert passes(stage, 0, sender="a")
    assert passes(stage, SECOND // 2, sender="b", tenant="other")
    with pytest.raises(OverloadedError, match="table of 2 agent buckets") as caught:
        stage.process(message(sender="c", tenant="third"), SECOND // 2)
    assert caught.value.retry_after_s == pytest.approx(0.5)
    assert passes(stage, SECOND, sender="c", tenant="third")
    assert not passes(stage, SECOND, sender="b", tenant="other")


@pytest.mark.parametrize("per", ["agent", "subject"])
def test_the_names_of_one_tenant_cannot_refuse_anothers(per: str) -> None:
    """A tenant that cycles names uses up its own share; other tenants do not notice."""
    stage = limit(per=per, burst=1, buckets=160)
    field = "sender" if per == "agent" else "subject"
    flood = [passes(stage, 0, **{field: f"a{n}"}) for n in range(1_000)]
    assert sum(flood) == 160 // RATE_TENANT_SHARES
    with pytest.raises(
        OverloadedError, match=f"10 {per} buckets of tenant acme"
    ) as caught:
        stage.process(message(**{field: "new"}), SECOND // 4)
    assert caught.value.retry_after_s == pytest.approx(0.75)
    for tenant in range(RATE_TENANT_SHARES - 1):
        for name in range(10):
            told = {field: f"b{name}", "tenant": f"t{tenant}"}
            assert passes(stage, 0, **told)
            assert not passes(stage, 0, **told)


def test_a_tenant_makes_room_among_its_own_names() -> None:
    """Past its share it takes the place of its own full bucket, of no one else's."""
    stage = limit(burst=1, buckets=4, tenant_buckets=2)
    assert passes(stage, 0, sender="theirs", tenant="other")
    assert passes(stage, SECOND, sender="a")
    assert passes(stage, 2 * SECOND - 1, sender="b")
    assert passes(stage, 2 * SECOND, sender="c")
    assert not passes(stage, 2 * SECOND, sender="d")
    assert not passes(stage, 2 * SECOND, sender="b")
    assert passes(stage, 2 * SECOND, sender="theirs", tenant="other")


def test_names_that_come_and_go_use_up_no_room_of_others() -> None:
    """After many of them, the places beside the tenant's share are still free."""
    stage = limit(burst=1, buckets=4, tenant_buckets=2)
    for second in range(1, 20):
        names = (f"a{second}", f"b{second}")
        assert all(passes(stage, second * SECOND, sender=name) for name in names)
    others = [passes(stage, 19 * SECOND, tenant=f"t{n}") for n in range(3)]
    assert others == [True, True, False]


def test_tenants_that_come_and_go_leave_nothing_behind() -> None:
    """Each takes the place of one that is idle, and the table counts right."""
    stage = limit(burst=1, buckets=4, tenant_buckets=2)
    for second in range(1, 200):
        tenants = [f"t{second}-{n}" for n in range(5)]
        tried = [passes(stage, second * SECOND, tenant=tenant) for tenant in tenants]
        assert tried == [True] * 4 + [False]
        again = [passes(stage, second * SECOND, tenant=tenant) for tenant in tenants]
        assert again == [False] * 5


def test_room_is_found_in_bounded_looks_and_by_and_by() -> None:
    """One new name looks at no more than the stated number of places."""
    size = RATE_PROBES_MAX * 3
    stage = limit(burst=1, buckets=size * 2, tenant_buckets=size)
    for number in range(size):
        now_ns = 0 if number == size - 1 else SECOND
        assert passes(stage, now_ns, sender=f"a{number}")
    tries = [passes(stage, SECOND, sender="new") for _ in range(3)]
    assert tries == [False, False, True]


@given(
    gaps=st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=60),
    burst=st.integers(1, 5),
    names=st.lists(st.sampled_from("abcdefgh"), min_size=60, max_size=60),
    buckets=st.integers(2, 8),
    tenants=st.integers(1, 3),
)
def test_no_name_ever_gets_more_than_its_bucket(
    gaps: list[int], burst: int, names: list[str], buckets: int, tenants: int
) -> None:
    """Property: against a plain bucket that forgets nothing, never one message more."""
    stage = limit(burst=burst, buckets=buckets, tenant_buckets=buckets // 2)
    model: dict[str, tuple[float, int]] = {}
    now_ns = 0
    for gap, name in zip(gaps, names, strict=False):
        now_ns += gap
        tokens, since = model.get(name, (float(burst), now_ns))
        tokens = min(float(burst), tokens + (now_ns - since) / SECOND)
        if passes(stage, now_ns, sender=name, tenant=f"t{ord(name) % tenants}"):
            tokens -= 1
            assert tokens > -1e-6
        model[name] = (tokens, now_ns)


@pytest.mark.parametrize(
    "options",
    [
        {"rate_per_s": 0.0},
        {"rate_per_s": math.nan},
        {"rate_per_s": math.inf},
        {"burst": 0},
        {"buckets": 1},
        {"tenant_buckets": 0},
        {"buckets": 9, "tenant_buckets": 5},
        {"buckets": RATE_BUCKETS_MAX + 1},
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, Any]) -> None:
    """Each bound is named with what is possible."""
    with pytest.raises(ConfigurationError, match="is possible"):
        limit(**options)
