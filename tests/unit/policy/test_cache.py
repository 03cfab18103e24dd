"""Decisions kept: bounded, the used ones longest, each eviction counted."""

import random
from collections.abc import Callable

import msgspec
import pytest
from cachetools import LRUCache
from hypothesis import given, strategies as st

from bus.core.decision import Decision
from policy.cache import ACTIONS, DecisionCache

YES = Decision(allow=True, reasons=(), revision="r", digest="d", cached=True)
NEVER = 1 << 62


def key(number: int) -> bytes:
    """Return a key."""
    return msgspec.msgpack.encode(number)


def fill(cache: DecisionCache, numbers: range) -> None:
    """Store a decision under each key."""
    for number in numbers:
        cache.store("publish", key(number), (YES, NEVER))


def test_what_is_stored_is_recalled_until_it_expires() -> None:
    """To the nanosecond."""
    cache = DecisionCache(8)
    cache.store("publish", b"k", (YES, 100))
    assert cache.recall("publish", b"k", 99) is YES
    assert cache.recall("publish", b"k", 100) is None


def test_actions_do_not_share_decisions() -> None:
    """A right to publish is none to request."""
    cache = DecisionCache(8)
    cache.store("publish", b"k", (YES, NEVER))
    assert all(cache.recall(a, b"k", 0) is None for a in ACTIONS if a != "publish")


@pytest.mark.parametrize("entries", [1, 2, 3, 10, 101])
def test_the_cache_is_bounded_and_counts_evictions(entries: int) -> None:
    """What came in is there or counted."""
    cache = DecisionCache(entries)
    for number in range(10 * entries):
        cache.store(ACTIONS[number % len(ACTIONS)], key(number), (YES, NEVER))
        assert len(cache) <= entries
        assert len(cache) + cache.evictions == number + 1


def test_a_cache_of_nothing_is_refused() -> None:
    """A bound of zero is a mistake, not a way to switch the cache off."""
    with pytest.raises(ValueError, match="1 entry or more"):
        DecisionCache(0)


def test_what_is_used_stays() -> None:
    """A key asked for in each generation survives any number of others."""
    cache = DecisionCache(10)
    fill(cache, range(1))
    for number in range(1, 1_000):
        fill(cache, range(number, number + 1))
        assert cache.recall("publish", key(0), 0) is YES
    assert cache.evictions > 900


def test_an_expired_entry_of_the_old_generation_goes() -> None:
    """It does not take the place of one that is used."""
    cache = DecisionCache(2)
    cache.store("publish", b"k", (YES, 100))
    fill(cache, range(1))
    assert len(cache) == 2
    assert cache.recall("publish", b"k", 100) is None
    assert len(cache) == 1


def test_storing_again_replaces() -> None:
    """In either generation there is one entry for a key."""
    cache = DecisionCache(4)
    fill(cache, range(2))
    fill(cache, range(2))
    assert len(cache) == 2
    fill(cache, range(2, 4))
    fill(cache, range(1))
    assert len(cache) + cache.evictions == 4


operations = st.lists(
    st.tuples(st.sampled_from(["store", "recall"]), st.integers(0, 12)), max_size=60
)


@given(entries=st.integers(1, 9), steps=operations)
def test_the_cache_never_makes_anything_up(
    entries: int, steps: list[tuple[str, int]]
) -> None:
    """Whatever is recalled is what was stored last, and sizes are true."""
    cache = DecisionCache(entries)
    model: dict[int, Decision] = {}
    for number, (what, name) in enumerate(steps):
        if what == "store":
            made = msgspec.structs.replace(YES, digest=str(number))
            model[name] = made
            cache.store("publish", key(name), (made, NEVER))
        else:
            assert cache.recall("publish", key(name), 0) in (None, model.get(name))
        kept = sum(cache.recall("publish", key(k), 0) is not None for k in model)
        assert kept <= len(cache) <= entries


def hits(entries: int, ask: Callable[[bytes], bool], skew: float) -> int:
    """Count hits on keys drawn by a power law from ten times as many as fit."""
    draw = random.Random(7)  # noqa: S311 - a fixed workload, not a secret
    names = range(10 * entries)
    weights = [1 / (n + 1) ** skew for n in names]
    return sum(ask(key(n)) for n in draw.choices(names, weights, k=20_000))


@pytest.mark.parametrize("skew", [0.8, 1.0, 1.3])
def test_hot_keys_stay_nearly_as_well_as_with_lru(skew: float) -> None:
    """With ten times the keys that fit, it keeps four fifths of an exact order's hits."""
    entries = 200
    exact: LRUCache[bytes, bool] = LRUCache(entries)
    cache = DecisionCache(entries)

    def ask_exact(name: bytes) -> bool:
        found = name in exact
        exact[name] = exact[name] if found else True
        return found

    def ask(name: bytes) -> bool:
        if cache.recall("publish", name, 0) is not None:
            return True
        cache.store("publish", name, (YES, NEVER))
        return False

    assert hits(entries, ask, skew) >= 0.8 * hits(entries, ask_exact, skew)
