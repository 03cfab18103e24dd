"""The outbox's table as steps: put, take, settle; and what a person does with refusals."""

from collections.abc import Sequence
from typing import Final

from bus.core.errors import OverloadedError
from bus.core.storelimits import OUTBOX_BATCH_ROWS, OUTBOX_REFUSED_MAX, OUTBOX_ROWS_MAX
from bus.effects import dialects
from bus.effects.rows import Refused, Row, read
from bus.effects.steps import Steps

FULL_RETRY_S: Final = 1.0


def put(sender: str, row: Row, now_ns: int) -> Steps[bool]:
    """Add a row; return False if one waits under its dedup id already.

    Raises:
        OverloadedError: as many rows wait as may.
    """
    added = yield (
        dialects.PUT,
        (
            sender,
            row.dedup,
            row.subject,
            row.body,
            row.content_type,
            row.options,
            row.lineage,
            row.seal,
            now_ns,
            sender,
            sender,
            OUTBOX_ROWS_MAX - 1,
        ),
    )
    if added:
        return True
    if (yield dialects.KNOWN, (sender, row.dedup)):
        return False
    raise OverloadedError(f"the outbox of {sender}", retry_after_s=FULL_RETRY_S)


def take(sender: str) -> Steps[list[Row]]:
    """Return the rows that are next, in order."""
    rows = yield dialects.TAKE, (sender, OUTBOX_BATCH_ROWS)
    return [read(row) for row in rows]


def settle(
    sender: str,
    gone: Sequence[int],
    refused: Sequence[tuple[int, str]],
    tried: Sequence[int],
) -> Steps[int]:
    """Note what became of rows; return how many refused ones gave way to newer ones."""
    for id_ in gone:
        yield dialects.GONE, (id_,)
    for id_ in tried:
        yield dialects.TRIED, (id_,)
    for id_, reason in refused:
        yield dialects.REFUSE, (reason, id_)
    if not refused:
        return 0
    return len((yield dialects.EVICT, (sender, sender, OUTBOX_REFUSED_MAX)))


def waiting(sender: str) -> Steps[int]:
    """Return how many rows wait to be published."""
    [(count,)] = yield dialects.WAITING, (sender,)
    return int(count)


def refused(sender: str, limit: int) -> Steps[list[Refused]]:
    """Return the oldest refused rows."""
    rows = yield dialects.REFUSED, (sender, limit)
    return [Refused(*row) for row in rows]


def change(statement: str, sender: str, id_: int) -> Steps[bool]:
    """Carry out `REOFFER` or `DISCARD`; return whether such a refused row was there."""
    return bool((yield statement, (sender, id_)))
