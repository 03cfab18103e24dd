"""What a publisher asks of a store, in headers."""

from datetime import UTC, datetime

import pytest

from bus.core.errors import LimitExceededError, MalformedMessageError
from bus.core.features import DEDUP_HEADER, DUE_HEADER, asks_of_store, due_at, due_ns_of
from bus.core.storelimits import DELAY_S_MAX
from tests.fakes.messages import NOW_NS, full

SECOND = 1_000_000_000


def test_only_its_own_headers_ask_of_a_store() -> None:
    """Others are the publisher's."""
    assert asks_of_store({DEDUP_HEADER: "n"})
    assert asks_of_store({DUE_HEADER: "1"})
    assert not asks_of_store({"x-dedup": "n"})


def test_a_delay_is_seconds_or_a_time_with_its_zone() -> None:
    """As nanoseconds since the epoch."""
    assert due_at(2.5, 10) == 10 + 2 * SECOND + SECOND // 2
    assert due_at(datetime(1970, 1, 1, 0, 0, 3, tzinfo=UTC), 10) == 3 * SECOND
    assert due_at(datetime(1960, 1, 1, tzinfo=UTC), 10) == 0


@pytest.mark.parametrize("delay", [-1, "soon", float("nan"), datetime(2030, 1, 1)])  # noqa: DTZ001 - without its zone on purpose
def test_what_is_no_delay_is_refused(delay: object) -> None:
    """By its type, its sign or its missing zone."""
    with pytest.raises(MalformedMessageError):
        due_at(delay, 10)


def test_a_message_is_due_when_its_header_says_so() -> None:
    """A time that has come is none."""
    assert due_ns_of(full(headers={})) == 0
    later = NOW_NS + 5 * SECOND
    assert due_ns_of(full(created_ns=NOW_NS, headers={DUE_HEADER: str(later)})) == later
    for past in (0, NOW_NS - 1, NOW_NS):
        message = full(created_ns=NOW_NS, headers={DUE_HEADER: str(past)})
        assert due_ns_of(message) == 0


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "٣", "9" * 20])
def test_a_header_that_is_no_time_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(MalformedMessageError):
        due_ns_of(full(headers={DUE_HEADER: text}))


def test_a_time_too_far_off_is_refused() -> None:
    """The limit is told."""
    far = NOW_NS + int((DELAY_S_MAX + 1) * SECOND)
    with pytest.raises(LimitExceededError):
        due_ns_of(full(created_ns=NOW_NS, headers={DUE_HEADER: str(far)}))
