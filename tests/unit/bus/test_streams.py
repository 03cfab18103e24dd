"""Which stream keeps a subject, and what it is cut to."""

import msgspec
import pytest

from bus.core.changes import PutStream, StreamRow, Trimmed
from bus.core.entries import SEQUENCE_MAX, key_of
from bus.core.errors import LimitExceededError, OverloadedError
from bus.streams import Stream, Streams, StreamSpec, putting

ORDERS = StreamSpec(name="orders", patterns=(("orders", ">"),), max_messages=10)
ALL = StreamSpec(name="events", patterns=(("orders", "*"), ("events",)))


def test_the_first_stream_that_matches_keeps_a_subject() -> None:
    """What none matches, and the bus's own, goes to the catch-all."""
    streams = Streams([ORDERS, ALL])
    assert streams.of("acme", ("orders", "new")).name == "orders"
    assert streams.of("acme", ("events",)).name == "events"
    assert streams.of("acme", ("other",)).name == "default"
    assert streams.of("acme", ("$DEAD", "orders")).name == "default"


def test_each_tenant_has_streams_of_its_own() -> None:
    """One each, the same for the same subject."""
    streams = Streams([ORDERS])
    mine, theirs = (
        streams.of(tenant, ("orders", "new")) for tenant in ("acme", "globex")
    )
    assert mine.id != theirs.id
    assert streams.of("acme", ("orders", "old")) is mine
    assert streams.of_tenant("acme") == [mine]
    assert putting(mine) == PutStream(mine.id, "acme", "orders")


def test_the_catch_all_may_have_limits_of_its_own() -> None:
    """Under its name."""
    streams = Streams([msgspec.structs.replace(ORDERS, name="default"), ALL])
    assert streams.of("acme", ("other",)).spec.max_messages == 10
    assert streams.of("acme", ("events",)).name == "events"


def test_what_a_store_holds_is_taken_over() -> None:
    """A stream that is named no more keeps what it has."""
    streams = Streams([ORDERS])
    streams.restore(
        [
            StreamRow(3, "acme", "orders", 2, 20, 5, 6),
            StreamRow(9, "acme", "gone", 1, 10, 1, 1),
        ]
    )
    assert streams.of("acme", ("orders", "new")).next_key() == key_of(3, 7)
    assert streams.by_id[9].name == "gone"
    assert streams.of("acme", ("other",)).id == 10


def test_no_more_streams_are_open_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there go on."""
    monkeypatch.setattr("bus.streams.STREAMS_OPEN_MAX", 1)
    streams = Streams([])
    known = streams.of("acme", ("a",))
    with pytest.raises(LimitExceededError):
        streams.of("globex", ("a",))
    assert streams.of("acme", ("b",)) is known


def test_a_stream_has_an_end() -> None:
    """After its last key it refuses."""
    stream = Stream(
        ORDERS, StreamRow(1, "acme", "orders", last=SEQUENCE_MAX), saved=True
    )
    with pytest.raises(LimitExceededError):
        stream.next_key()


@pytest.mark.parametrize("most", [1, 3, 99, 100, 1_000])
def test_a_cut_leaves_room_for_one_and_not_much_more(most: int) -> None:
    """A hundredth at most, rounded down: a short stream keeps what it says."""
    spec = msgspec.structs.replace(ORDERS, max_messages=most, max_bytes=most * 100)
    stream = Stream(spec, StreamRow(1, "acme", "orders"), saved=True)
    bounds = stream.bounds(50, 0)
    assert most - 1 - most // 100 <= bounds.messages <= most - 1
    assert bounds.bytes == most * 100 - most - 50


def test_it_is_full_by_count_or_by_bytes() -> None:
    """What was cut away is counted out."""
    spec = msgspec.structs.replace(ORDERS, max_bytes=100)
    stream = Stream(spec, StreamRow(1, "acme", "orders"), saved=True)
    assert not stream.full(100)
    assert stream.full(101)
    for _ in range(10):
        stream.count(5)
    assert stream.full(1)
    stream.trimmed(Trimmed(StreamRow(1, "acme", "orders", first=4), 3, 15))
    assert (stream.messages, stream.bytes, stream.first) == (7, 35, 4)
    assert not stream.full(1)
    assert isinstance(stream.refuse(), OverloadedError)


def test_age_is_a_horizon() -> None:
    """None without a limit, and never below zero."""
    stream = Stream(ORDERS, StreamRow(1, "acme", "orders"), saved=True)
    assert stream.horizon_ns(5) == 0
    aged = Stream(
        msgspec.structs.replace(ORDERS, max_age_ns=10, discard="old"),
        StreamRow(1, "acme", "orders"),
        saved=True,
    )
    assert (aged.horizon_ns(5), aged.horizon_ns(25)) == (0, 15)
    assert aged.aged(25).before_ns == 15
    assert not aged.aged(25).settled_only
    assert aged.bounds(1, 25).before_ns == 15
