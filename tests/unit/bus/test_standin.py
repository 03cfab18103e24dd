"""Who stands in the routes for a consumer that is away takes nothing into memory."""

from collections.abc import Callable
from typing import Any

import pytest

from bus.consumers import Consumer
from bus.core.changes import ConsumerRow
from bus.core.errors import IllegalTransitionError
from bus.standin import standing_for
from bus.subscription import Delivery
from tests.fakes.messages import full
from tests.fakes.storekit import ALLOW


def stand_in() -> Any:
    """Return one."""
    row = ConsumerRow(1, "acme", "n", "critic", "a.*", "q")
    return standing_for(Consumer(row, saved=True))


def test_it_is_there_for_its_consumer_and_never_full() -> None:
    """Routes and strategies see the queue group."""
    made = stand_in()
    assert (made.away, made.full, made.queue, made.tokens) == (
        True,
        False,
        "q",
        ("a", "*"),
    )
    assert made.consumer.row.name == "n"


async def test_it_has_no_deliveries() -> None:
    """Whoever gives it one, or settles one of its own, is at fault."""
    made = stand_in()
    delivery = Delivery(full(), ALLOW, made)
    with pytest.raises(IllegalTransitionError):
        made.put(full(), ALLOW)
    settles: tuple[Callable[[], object], ...] = (
        lambda: made.settler.ack(delivery),
        lambda: made.settler.nak(delivery, 1.0),
        lambda: made.settler.term(delivery, "no"),
        lambda: made.settler.in_progress(delivery),
        lambda: made.settler.evict(delivery),
        lambda: made.settler.postpone(delivery, 1.0),
        lambda: made.take(delivery),
    )
    for settle in settles:
        with pytest.raises(IllegalTransitionError):
            settle()
    for work in (made.settler.reply(delivery, 1), made.spec.handler.call(delivery)):
        with pytest.raises(IllegalTransitionError):
            await work
