"""A tail that is slow: what does not fit is counted and told, and nothing else waits."""

from typing import Any

import pytest

from bus.app import Bus
from bus.core.edgelimits import LIVE_BLOCKS_MAX, LIVE_ROWS_PER_TURN, LIVE_TAILS_MAX
from bus.core.errors import MalformedMessageError, OverloadedError, SubjectError
from bus.edge.caller import Caller, Scope
from bus.edge.operator.answers import LiveAsked
from bus.edge.operator.inside import Inside
from bus.edge.operator.live import Live
from bus.edge.operator.tap import Tap
from bus.edge.operator.told import rfc3339
from bus.ports import AuditRecord
from tests.fakes.nodes import data

OPERATOR = Caller(agent="operator", tenant="acme", scope=Scope.OPERATOR)


@pytest.fixture
def live() -> Live:
    """Return the tails of a bus that does not run."""
    return Live(Inside(Bus(data())), Tap())


def record(number: int, tenant: str = "acme", event: str = "accepted") -> AuditRecord:
    """Return a record."""
    return (event, number, b"%016d" % number, tenant, "planner", "a.b", "r", "why", b"")


async def test_what_a_slow_reader_misses_is_counted(live: Live) -> None:
    """Of what it would have been told, and before what comes after."""
    tail = live.open(OPERATOR, LiveAsked())
    for number in range(LIVE_BLOCKS_MAX + 2):
        block = [
            record(number),
            record(number, "globex"),
            record(number, event="started"),
        ]
        live.tap(block)
    rows, missed = await tail.next()
    assert missed == 2
    assert rows[0].time == rfc3339(2)
    total = len(rows)
    while total < LIVE_BLOCKS_MAX:
        more, none = await tail.next()
        total += len(more)
        assert none == 0
    assert total == LIVE_BLOCKS_MAX


async def test_rows_come_in_turns(live: Live) -> None:
    """So that one large block does not hold up the loop."""
    tail = live.open(OPERATOR, LiveAsked())
    live.tap([record(number) for number in range(LIVE_ROWS_PER_TURN + 5)])
    assert [len((await tail.next())[0]) for _ in range(2)] == [LIVE_ROWS_PER_TURN, 5]
    live.tap([record(1, "globex")])
    live.tap([record(7)])
    rows, _ = await tail.next()
    assert [row.time for row in rows] == [rfc3339(7)]


async def test_a_tail_that_makes_no_sense_is_refused(live: Live) -> None:
    """And takes no place."""
    for asked, error in (
        (LiveAsked(pattern="a..b"), SubjectError),
        (LiveAsked(outcome="acepted"), MalformedMessageError),
    ):
        with pytest.raises(error):
            live.open(OPERATOR, asked)
    tails = [live.open(OPERATOR, LiveAsked()) for _ in range(LIVE_TAILS_MAX)]
    with pytest.raises(OverloadedError):
        live.open(OPERATOR, LiveAsked())
    for tail in tails:
        tail.close()
    live.open(OPERATOR, LiveAsked()).close()


async def test_what_is_not_known_of_a_message_is_told_as_none(live: Live) -> None:
    """A delivery's record has no subject, and its sender is not its agent."""
    tail = live.open(OPERATOR, LiveAsked())
    unseen: Any = (
        "delivered",
        1,
        b"x" * 16,
        "acme",
        "worker",
        "",
        "",
        "worker/a.>",
        b"",
    )
    live.tap([unseen])
    ((row,), _) = await tail.next()
    assert (row.sender, row.type, row.size, row.subject, row.reason) == (
        None,
        None,
        None,
        "",
        "",
    )
