"""Strategies: whose turn it is, exactly."""

from collections import Counter

import pytest

from bus.core.errors import ConfigurationError
from bus.core.limits import ROUNDS_MAX
from bus.core.message import ORDERING_KEY
from processors import registry
from processors.strategies.groups import Rounds
from processors.strategies.rendezvous import weight
from processors.strategies.sticky import Sticky, StickyOptions
from tests.fakes.processing import Taker, message

GROUP = tuple(Taker(f"w{n}", queue="g") for n in range(3))
PLAIN = Taker("plain")


@pytest.mark.parametrize("name", ["direct", "least_loaded"])
def test_equal_members_take_turns(name: str) -> None:
    """Round robin: each in order, then again."""
    strategy = registry.strategy(name)
    order = [strategy.plan(message(), GROUP)[0].name for _ in range(6)]
    assert order == ["w0", "w1", "w2"] * 2


def test_two_groups_do_not_share_a_turn() -> None:
    """Messages that alternate between two groups reach every member of both."""
    strategy = registry.strategy("direct")
    other = tuple(Taker(f"x{n}", queue="h") for n in range(2))
    seen = Counter(
        strategy.plan(message(), group)[0].name
        for _ in range(6)
        for group in (GROUP, other)
    )
    assert seen == {"w0": 2, "w1": 2, "w2": 2, "x0": 3, "x1": 3}


def test_the_least_loaded_member_is_chosen() -> None:
    """Whatever the turn."""
    group = (Taker("a", queue="g", load=2), Taker("b", queue="g", load=1))
    strategy = registry.strategy("least_loaded")
    assert [strategy.plan(message(), group)[0].name for _ in range(3)] == ["b"] * 3


def test_members_that_tie_share_fairly() -> None:
    """A busy member in between favours none of the others."""
    group = tuple(
        Taker(name, queue="g", load=load)
        for name, load in (("a", 0), ("b", 9), ("c", 0))
    )
    strategy = registry.strategy("least_loaded")
    seen = Counter(strategy.plan(message(), group)[0].name for _ in range(10))
    assert seen == {"a": 5, "c": 5}


KEYED = message(headers={ORDERING_KEY: "k"})
PER_KEY = ["direct", "least_loaded", "sticky", "competing"]


@pytest.mark.parametrize("name", PER_KEY)
def test_a_key_goes_to_the_member_that_has_some_of_it(name: str) -> None:
    """Whoever's turn it is, and however much it has to do."""
    strategy = registry.strategy(name)
    for holder in range(3):
        group = tuple(
            Taker(
                f"w{n}",
                queue="g",
                load=9 * (n == holder),
                keys=frozenset("k" * (n == holder)),
            )
            for n in range(3)
        )
        plans = [strategy.plan(KEYED, group) for _ in range(4)]
        assert plans == [[group[holder]]] * 4 or plans == [(group[holder],)] * 4


@pytest.mark.parametrize("name", PER_KEY)
def test_a_key_that_nobody_has_goes_to_one_member_whoevers_turn_it_is(
    name: str,
) -> None:
    """Publishers that wait for room have the same one in mind; keys are spread."""
    strategy = registry.strategy(name)
    chosen = {strategy.plan(KEYED, GROUP)[0].name for _ in range(6)}
    assert len(chosen) == 1
    all_chosen = {
        strategy.plan(message(headers={ORDERING_KEY: f"k{n}"}), GROUP)[0].name
        for n in range(50)
    }
    assert all_chosen == {"w0", "w1", "w2"}


def test_headers_without_a_key_do_not_change_whose_turn_it_is() -> None:
    """Only the ordering key does."""
    strategy = registry.strategy("direct")
    plain = message(headers={"x": "k"})
    order = [strategy.plan(plain, GROUP)[0].name for _ in range(3)]
    assert order == ["w0", "w1", "w2"]


def test_sticky_goes_by_the_ordering_key_before_its_own() -> None:
    """The order is a promise of the bus; where nobody has the key, both agree on one."""
    strategy = Sticky(StickyOptions(header="session"))
    takers = {
        strategy.plan(message(headers={ORDERING_KEY: "k", "session": f"{n}"}), GROUP)[
            0
        ].name
        for n in range(20)
    }
    assert len(takers) == 1


def test_competing_takes_turns_over_all() -> None:
    """Plain subscriptions and members of groups alike."""
    strategy = registry.strategy("competing")
    order = [strategy.plan(message(), (*GROUP, PLAIN))[0].name for _ in range(4)]
    assert order == ["w0", "w1", "w2", "plain"]


def test_rounds_are_bounded_and_those_in_use_go_on() -> None:
    """Past the bound a set that nobody uses starts anew, and no other."""
    rounds = Rounds()
    used = (Taker("used"), Taker("b"))
    for number in range(ROUNDS_MAX + 5):
        assert rounds.next((Taker(f"a{number}"), Taker("b"))) == 0
        assert rounds.next(used) == number % 2
        assert len(rounds.turns) <= ROUNDS_MAX
    assert rounds.next((Taker("a0"), Taker("b"))) == 0
    last = (Taker(f"a{ROUNDS_MAX + 4}"), Taker("b"))
    assert rounds.next(last) == 1


def test_sticky_takes_the_header_then_the_correlation_then_the_sender() -> None:
    """Each stands in for the one before it."""
    strategy = Sticky(StickyOptions(header="session"))

    def takers(key: str) -> str:
        return max(GROUP, key=lambda m: weight(m.name, key.encode())).name

    for key in ("k1", "k2", "k3", "k4"):
        sent = message(headers={"session": key}, correlation="c", sender="s")
        assert strategy.plan(sent, GROUP)[0].name == takers(key)
        sent = message(headers={"other": "x"}, correlation=key, sender="s")
        assert strategy.plan(sent, GROUP)[0].name == takers(key)
        assert strategy.plan(message(sender=key), GROUP)[0].name == takers(key)


def test_sticky_spreads_keys_over_members() -> None:
    """No member gets more than twice its share of a thousand keys."""
    strategy = registry.strategy("sticky")
    seen = Counter(
        strategy.plan(message(correlation=str(key)), GROUP)[0].name
        for key in range(1_000)
    )
    assert set(seen) == {"w0", "w1", "w2"}
    assert max(seen.values()) < 2 * 1_000 / 3


def test_a_member_that_joins_takes_keys_from_all_and_moves_no_other() -> None:
    """Rendezvous hashing: a key stays or goes to the new member."""
    strategy = registry.strategy("sticky")
    grown = (*GROUP, Taker("new", queue="g"))
    moved = 0
    for key in range(200):
        sent = message(correlation=str(key))
        before = strategy.plan(sent, GROUP)[0].name
        after = strategy.plan(sent, grown)[0].name
        assert after in {before, "new"}
        moved += after == "new"
    assert 20 < moved < 90


def test_what_reads_the_same_run_together_is_kept_apart() -> None:
    """Member `ab` with key `c` bids otherwise than member `a` with key `bc`."""
    assert weight("ab", b"c")[0] != weight("a", b"bc")[0]


def test_an_empty_header_name_is_refused() -> None:
    """It would never be found."""
    with pytest.raises(ConfigurationError, match="sticky"):
        registry.strategy("sticky", {"header": ""})
