"""The inbox: a message is carried out once, however often it is handed over.

Rule: the row that says so and the effects are one transaction of the user's database.
"""

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, overload

from bus.adapters.clock import SystemClock
from bus.core.storelimits import INBOX_KEEP_S, INBOX_KEEP_S_MAX, INBOX_PURGE_ROWS
from bus.core.validation import check_seconds
from bus.effects.claiming import claim, forget
from bus.effects.connections import AsyncConnection, SyncConnection
from bus.effects.door import AsyncDoor, SyncDoor
from bus.effects.doors import door_of
from bus.effects.handed import Handed
from bus.effects.transactions import (
    require_one,
    run,
    run_awaited,
    transaction,
    transaction_awaited,
)

_NS: Final = 1_000_000_000
_now_ns: Final = SystemClock().now_ns


@overload
def once(
    handed: Handed, connection: AsyncConnection
) -> AbstractAsyncContextManager[bool]: ...


@overload
def once(
    handed: Handed, connection: SyncConnection
) -> AbstractContextManager[bool]: ...


def once(handed: Handed, connection: Any) -> Any:
    """Open a transaction for the effects of a message; yield whether to carry it out.

    True: what the block writes is committed at its end together with the inbox's row,
    or rolled back if the block raises. False: it was carried out before, and whatever
    the block writes is rolled back. For a connection that is awaited it is used with
    `async with`, else with `with`.

    Raises:
        StaleTokenError: a later hand-over has carried it out; this one is over.
        ForgottenError: the row that would tell may have been purged.
        TransactionError: a transaction is open already, or the block ended this one.
        UsageError: the connection is of no driver that is known.
    """
    door = door_of(connection)
    if isinstance(door, AsyncDoor):
        return transaction_awaited(door, connection, claim(door.dialect, handed))
    return transaction(door, connection, claim(door.dialect, handed))


@overload
def join(handed: Handed, connection: AsyncConnection) -> Coroutine[Any, Any, bool]: ...


@overload
def join(handed: Handed, connection: SyncConnection) -> bool: ...


def join(handed: Handed, connection: Any) -> Any:
    """Do as `once` in the user's own open transaction, which the user ends.

    It must be committed if this returns True, and rolled back if it raises. Where it
    returns False nothing may be written. Raises what `once` raises; `TransactionError`
    if no transaction is open.
    """
    door = door_of(connection)
    require_one(door, connection)
    steps = claim(door.dialect, handed)
    if isinstance(door, AsyncDoor):
        return run_awaited(door, connection, steps)
    return run(door, connection, steps)


@overload
def purge(
    connection: AsyncConnection,
    *,
    keep_s: float = ...,
    now_ns: Callable[[], int] = ...,
) -> Coroutine[Any, Any, int]: ...


@overload
def purge(
    connection: SyncConnection,
    *,
    keep_s: float = ...,
    now_ns: Callable[[], int] = ...,
) -> int: ...


def purge(
    connection: Any,
    *,
    keep_s: float = INBOX_KEEP_S,
    now_ns: Callable[[], int] = _now_ns,
) -> Any:
    """Delete the rows of messages made more than `keep_s` seconds ago; return how many.

    `keep_s` must be longer than a message can wait for its last hand-over: one that is
    handed over after its row may have gone is refused with `ForgottenError`, never
    carried out twice. In transactions of its own, so none may be open.

    Raises:
        MalformedMessageError, LimitExceededError: `keep_s` is no number of seconds from
            0 to `INBOX_KEEP_S_MAX`.
        TransactionError: a transaction is open.
    """
    keep_ns = int(check_seconds("keep", keep_s, INBOX_KEEP_S_MAX) * _NS)
    before_ns = max(0, now_ns() - keep_ns)
    door = door_of(connection)
    if isinstance(door, AsyncDoor):
        return _purge_awaited(door, connection, before_ns)
    return _purge(door, connection, before_ns)


def _purge(door: SyncDoor, connection: Any, before_ns: int) -> int:
    total = 0
    while True:
        with transaction(door, connection, forget(before_ns)) as deleted:
            total += deleted
        if deleted < INBOX_PURGE_ROWS:
            return total


async def _purge_awaited(door: AsyncDoor, connection: Any, before_ns: int) -> int:
    total = 0
    while True:
        async with transaction_awaited(door, connection, forget(before_ns)) as deleted:
            total += deleted
        if deleted < INBOX_PURGE_ROWS:
            return total
