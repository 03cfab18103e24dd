"""Whether a hand-over is the one to carry a message out, as the user's database knows.

Rule: one row for each message and consumer, written in the transaction of the effects.
Whoever writes it is the first; the primary key lets nobody be the second.
"""

from typing import Final

from bus.core.errors import LimitExceededError
from bus.core.storelimits import INBOX_PURGE_ROWS
from bus.effects.dialects import CLAIM, LOCK_FLOOR, OLDEST, PURGE, RAISE_FLOOR, Dialect
from bus.effects.errors import ForgottenError, StaleTokenError, TransactionError
from bus.effects.handed import Handed
from bus.effects.steps import Steps

TOKEN_MAX: Final = (1 << 63) - 1  # what both databases keep as a number
_MS_NS: Final = 1_000_000
_MS_BYTES: Final = 6  # of an id, which begins with its millisecond


def claim(dialect: Dialect, handed: Handed) -> Steps[bool]:
    """Return whether this hand-over is the first to carry the message out.

    Raises:
        StaleTokenError: a later hand-over has carried it out.
        ForgottenError: the row that would tell may have been purged.
        TransactionError: the tables are incomplete.
    """
    message, consumer, token = handed.message.id, handed.consumer, handed.token
    if not 0 <= token <= TOKEN_MAX:
        raise LimitExceededError("token", actual=token, allowed=TOKEN_MAX)
    written = yield CLAIM, (message, consumer, token)
    [(kept, floor, isolation)] = yield dialect.standing, (message, consumer)
    if floor is None:
        raise TransactionError("assent_inbox_floor is empty: call create_tables")
    if isolation == "repeatable read":
        # What was read may be older than a purge; locking fails where it is.
        [(floor,)] = yield LOCK_FLOOR, ()
    if written or kept is None:
        if message <= bytes(floor):
            raise ForgottenError(message, floor=bytes(floor))
        return bool(written)
    if kept > token:
        raise StaleTokenError(message, token=token, newest=kept)
    return False


def forget(before_ns: int) -> Steps[int]:
    """Delete the oldest rows of messages made before a time; return how many.

    At most `INBOX_PURGE_ROWS` messages at once. What was deleted raises the floor, in
    the same transaction: a message that is not above it is refused from then on.
    """
    before = (before_ns // _MS_NS).to_bytes(_MS_BYTES, "big")
    oldest = yield OLDEST, (before, INBOX_PURGE_ROWS)
    if not oldest:
        return 0
    [(last,)] = oldest
    yield RAISE_FLOOR, (last, last)
    return len((yield PURGE, (last,)))
