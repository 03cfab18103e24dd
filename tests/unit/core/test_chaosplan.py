"""Nothing is broken past its bounds or after its time, and the same seed hits the same."""

from typing import Any

import msgspec
import pytest

from bus.core.chaosplan import Plan, drawn
from bus.core.errors import LimitExceededError, SubjectError
from bus.core.faults import Asked, ChaosRefusedError, Injection, Kind, Reach, Strike
from bus.core.operatinglimits import (
    CHAOS_ACTIVE_MAX,
    CHAOS_ENDED_KEPT,
    CHAOS_HANDLES_MAX,
    CHAOS_JUMP_S_MAX,
    CHAOS_LATENCY_S_MAX,
    CHAOS_S_MAX,
)

S = 1_000_000_000
QUESTIONS = (
    Kind.LATENCY,
    Kind.ERROR,
    Kind.TIMEOUT,
    Kind.PARTITION,
    Kind.BREAKER,
)
OFFERS = {
    "policy": QUESTIONS,
    "store": QUESTIONS,
    "handlers": QUESTIONS,
    "clock": (Kind.CLOCK,),
    "handles": (Kind.HANDLES,),
}


def asked(kind: Kind = Kind.ERROR, component: str = "policy", **given: Any) -> Asked:
    """Return a fault that may be injected, but for what the test gives."""
    needed: dict[Kind, dict[str, Any]] = {
        Kind.LATENCY: {"share": 0.1, "latency_s": 0.5},
        Kind.ERROR: {"share": 0.1},
        Kind.CLOCK: {"jump_s": 60.0},
        Kind.HANDLES: {"amount": 10},
    }
    said = {"seconds": 10, "reason": "drill", **needed.get(kind, {}), **given}
    return Asked(kind=kind, component=component, **said)


def plan(radius: float = 0.5, **given: Any) -> Plan:
    """Return a plan that lets everything in reach of `radius` be hit."""
    reach = {"max_seconds": 60, "blast_radius": radius, "components": {*OFFERS, "api"}}
    return Plan(msgspec.convert({**reach, **given}, Reach), OFFERS)


def begin(made: Plan, what: Asked, name: str = "a", now_ns: int = 0) -> Injection:
    """Let a fault begin."""
    return made.admit(what, name=name, by="op", seed=7, now_ns=now_ns)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (asked(seconds=61), "chaos seconds: 61"),
        (asked(seconds=0), "chaos seconds"),
        (asked(seconds=float("nan")), "chaos seconds"),
        (asked(share=1.5), "share: 1.5"),
        (asked(share=0.6), "share of questions"),
        (asked(Kind.LATENCY, latency_s=CHAOS_LATENCY_S_MAX + 1), "latency_s"),
        (asked(Kind.LATENCY, latency_s=-1), "latency_s"),
        (asked(Kind.CLOCK, "clock", jump_s=-CHAOS_JUMP_S_MAX - 1), "jump_s"),
        (asked(Kind.HANDLES, "handles", amount=CHAOS_HANDLES_MAX + 1), "amount"),
        (asked(Kind.HANDLES, "handles", amount=-1), "amount"),
    ],
)
def test_what_goes_too_far_is_refused(what: Asked, told: str) -> None:
    """By the bound it breaks."""
    made = plan()
    with pytest.raises(LimitExceededError, match=told):
        begin(made, what)
    assert made.active == {}


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (asked(component="elsewhere"), "not among chaos.components"),
        (asked(component="api"), "no component 'api'"),
        (asked(Kind.CLOCK, "policy"), "cannot be hit by clock"),
        (asked(Kind.LATENCY, latency_s=0), "latency needs latency_s"),
        (asked(Kind.PARTITION, share=0.1), "partition has no use for share"),
        (asked(Kind.PARTITION, seed=1), "no use for seed"),
        (asked(reason=" "), "a reason"),
        (asked(Kind.TIMEOUT), "time-out needs share"),
        (asked(component="handlers"), "handlers needs a subject"),
        (asked(subject="a"), "policy has no use for a subject"),
    ],
)
def test_what_makes_no_sense_is_refused(what: Asked, told: str) -> None:
    """With what may be said instead."""
    made = plan()
    with pytest.raises(ChaosRefusedError, match=told):
        begin(made, what)
    assert made.active == {}


def test_no_setting_reaches_past_the_hard_bound() -> None:
    """Settings are checked where they are read, and here again."""
    made = plan(max_seconds=CHAOS_S_MAX * 2)
    with pytest.raises(LimitExceededError, match=f"> {CHAOS_S_MAX}"):
        begin(made, asked(seconds=CHAOS_S_MAX + 1))


def test_shares_at_one_component_add_up_to_the_blast_radius() -> None:
    """Two faults together hit no more than one may."""
    made = plan(radius=0.3)
    begin(made, asked(share=0.2), "a")
    with pytest.raises(LimitExceededError, match=r"0\.35 > 0\.3"):
        begin(made, asked(Kind.LATENCY, share=0.15), "b")
    begin(made, asked(Kind.LATENCY, share=0.1), "b")  # 0.1 + 0.2 is not 0.3 in binary
    begin(made, asked(component="store", share=0.3), "c")


def test_whole_components_that_are_hit_are_a_share_as_well() -> None:
    """Of five components and a radius of a fifth, one."""
    made = plan(radius=0.2)
    begin(made, asked(Kind.PARTITION), "a")
    begin(made, asked(Kind.BREAKER), "b")  # the same component again
    with pytest.raises(LimitExceededError, match=r"share of components .* 0\.4 > 0\.2"):
        begin(made, asked(Kind.CLOCK, "clock"), "c")
    begin(made, asked(Kind.HANDLES, "handles"), "d")  # its amount is what is bounded
    begin(made, asked(component="store", share=0.2), "e")


def test_a_radius_of_nothing_lets_nothing_be_hit() -> None:
    """Zero is zero."""
    for what in (asked(), asked(Kind.PARTITION)):
        with pytest.raises(LimitExceededError):
            begin(plan(radius=0), what)


def test_one_kind_hits_a_component_once_at_a_time() -> None:
    """The second is refused until the first is over."""
    made = plan()
    begin(made, asked(), "a")
    with pytest.raises(ChaosRefusedError, match="already"):
        begin(made, asked(), "b")
    made.end("a", "stopped")
    begin(made, asked(), "b")


def test_faults_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the next is refused."""
    assert CHAOS_ACTIVE_MAX > 1
    monkeypatch.setattr("bus.core.chaosplan.CHAOS_ACTIVE_MAX", 1)
    made = plan()
    begin(made, asked(), "a")
    with pytest.raises(LimitExceededError, match="faults at once"):
        begin(made, asked(component="store"), "b")


def test_nothing_hits_before_or_after_or_elsewhere() -> None:
    """To the nanosecond, and only the component that was named."""
    made = plan(radius=1)
    assert made.strike("policy", 0) is None
    begin(made, asked(Kind.PARTITION), now_ns=5)
    told = Strike(0.0, "injected partition a: drill")
    assert made.strike("policy", 5) == told
    assert made.strike("store", 5) is None
    assert [made.hits(name, 5) for name in ("policy", "store")] == [True, False]
    assert made.strike("policy", 5 + 10 * S - 1) == told
    assert made.overdue(5 + 10 * S - 1) == []
    assert made.strike("policy", 5 + 10 * S) is None
    assert not made.hits("policy", 5 + 10 * S)
    assert made.overdue(5 + 10 * S) == ["a"]


def test_latency_and_failure_strike_together() -> None:
    """The question waits, then fails."""
    made = plan(radius=1)
    begin(made, asked(Kind.PARTITION), "a")
    begin(made, asked(Kind.LATENCY, share=0.9999), "b")
    strike = made.strike("policy", 1)
    assert strike is not None
    assert (strike.delay_s, strike.refused) == (0.5, "injected partition a: drill")


def test_what_hits_no_question_counts_none() -> None:
    """A breaker, a clock or a resource is not asked."""
    made = plan(radius=1)
    injection = begin(made, asked(Kind.BREAKER))
    assert made.strike("policy", 1) is None
    assert (injection.questions, injection.hits) == (0, 0)


def test_the_share_is_hit_and_counted() -> None:
    """About as many as asked for, and as many as are said."""
    made = plan()
    injection = begin(made, asked(share=0.2))
    hits = [made.strike("policy", 1) is not None for _ in range(10_000)]
    assert injection.questions == 10_000
    assert injection.hits == sum(hits)
    assert 1_800 < sum(hits) < 2_200


def test_the_same_seed_hits_the_same_questions() -> None:
    """A seed that is given is kept to; another one hits others."""

    def pattern(**given: Any) -> list[bool]:
        made = plan()
        begin(made, asked(share=0.3, **given))
        return [made.strike("policy", 1) is not None for _ in range(100)]

    assert pattern(seed=3) == pattern(seed=3)
    assert pattern(seed=3) != pattern(seed=4)
    assert pattern() == pattern(seed=7)  # the one it was admitted with


def test_draws_are_those_of_splitmix64() -> None:
    """The published first output for the seed 0, as a fraction of 2^64."""
    assert drawn(0, 0) == (0xE220A8397B1DCDAF >> 11) / (1 << 53)
    assert drawn(0, 1) == (0x6E789E6AA1B965F4 >> 11) / (1 << 53)


def test_jumps_of_the_clock_end_with_their_fault() -> None:
    """In nanoseconds, to either side."""
    made = plan(radius=1)
    assert made.jump_ns == 0
    begin(made, asked(Kind.CLOCK, "clock", jump_s=-1.5))
    assert made.jump_ns == -1_500_000_000
    made.end("a", "stopped")
    assert made.jump_ns == 0


def test_what_is_over_is_kept_for_a_while() -> None:
    """With why it ended; the oldest is forgotten, and nothing ends twice."""
    made = plan()
    for number in range(CHAOS_ENDED_KEPT + 2):
        begin(made, asked(), str(number))
        made.end(str(number), f"stopped {number}")
    assert made.end("0", "again") is None
    assert len(made.ended) == CHAOS_ENDED_KEPT
    assert (made.ended[0].id, made.ended[0].ended) == ("2", "stopped 2")


def test_a_fault_at_handlers_hits_and_counts_only_what_it_is_for() -> None:
    """By the subject's tokens; a pattern that is none is refused."""
    made = plan(radius=1)
    with pytest.raises(SubjectError):
        begin(made, asked(component="handlers", subject="a..b", share=1.0))
    what = asked(Kind.TIMEOUT, "handlers", subject="a.*", share=1.0)
    begun = begin(made, what)
    assert made.strike("handlers", 1, ("b",)) is None
    assert made.strike("handlers", 1) is None
    assert made.strike("policy", 1, ("a", "b")) is None
    struck = made.strike("handlers", 1, ("a", "b"))
    assert struck == Strike(0.0, "injected time-out a: drill", hangs=True)
    assert (begun.questions, begun.hits) == (1, 1)


def test_what_hangs_may_be_slow_as_well() -> None:
    """Hanging is the longer of the two, and ends in a failure."""
    made = plan(radius=1)
    begin(made, asked(Kind.LATENCY, share=0.5, latency_s=2.0, seed=1), "a")
    begin(made, asked(Kind.TIMEOUT, share=0.5, seed=1), "b")
    struck = [made.strike("policy", 1) for _ in range(50)]
    assert Strike(2.0, "injected time-out b: drill", hangs=True) in struck
    assert None in struck
