"""Transactions on the user's connection: opened here, so ended here, whole or not at all.

Rule: a savepoint at the start is released at the end. Where that fails the transaction
is not the one that was opened, or a statement in it failed: nothing is committed then.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

from bus.effects.dialects import COMMIT, RELEASE, ROLLBACK, SAVEPOINT
from bus.effects.door import AsyncDoor, SyncDoor
from bus.effects.errors import TransactionError
from bus.effects.steps import Steps

T = TypeVar("T")

_NOT_WHOLE: Final = (
    "the transaction is not the one that was opened for this block, or a statement in it "
    "failed: do not commit, roll back or catch its errors in there"
)


def run(door: SyncDoor, connection: Any, steps: Steps[T]) -> T:
    """Carry out steps; what the driver raises ends them."""
    try:
        statement = next(steps)
        while True:
            statement = steps.send(door.execute(connection, statement))
    except StopIteration as end:
        result: T = end.value
        return result


async def run_awaited(door: AsyncDoor, connection: Any, steps: Steps[T]) -> T:
    """Carry out steps; what the driver raises ends them."""
    try:
        statement = next(steps)
        while True:
            statement = steps.send(await door.execute(connection, statement))
    except StopIteration as end:
        result: T = end.value
        return result


@contextmanager
def transaction(door: SyncDoor, connection: Any, steps: Steps[T]) -> Iterator[T]:
    """Open a transaction, carry out steps, and yield what they return.

    At the end it is committed, but rolled back if that was False or an exception came.

    Raises:
        TransactionError: one is open already, or this one was ended by somebody else.
    """
    require_none(door, connection)
    try:
        for statement in (*door.begin(connection), SAVEPOINT):
            door.execute(connection, statement)
        result = run(door, connection, steps)
        yield result
        try:
            door.execute(connection, RELEASE)
        except door.faults as fault:
            if door.astray(fault):
                raise TransactionError(_NOT_WHOLE) from fault
            raise
        door.execute(connection, ROLLBACK if result is False else COMMIT)
    except BaseException as error:
        try:
            if door.standing(connection).open:
                door.execute(connection, ROLLBACK)
        except door.faults as fault:
            error.add_note(f"and it could not be rolled back: {fault}")
        raise


@asynccontextmanager
async def transaction_awaited(
    door: AsyncDoor, connection: Any, steps: Steps[T]
) -> AsyncIterator[T]:
    """Do as `transaction`. Cancelled, it is rolled back."""
    require_none(door, connection)
    try:
        for statement in (*door.begin(connection), SAVEPOINT):
            await door.execute(connection, statement)
        result = await run_awaited(door, connection, steps)
        yield result
        try:
            await door.execute(connection, RELEASE)
        except door.faults as fault:
            if door.astray(fault):
                raise TransactionError(_NOT_WHOLE) from fault
            raise
        await door.execute(connection, ROLLBACK if result is False else COMMIT)
    except BaseException as error:
        try:
            if door.standing(connection).open:
                await door.execute(connection, ROLLBACK)
        except door.faults as fault:
            error.add_note(f"and it could not be rolled back: {fault}")
        raise


def read(door: SyncDoor, connection: Any, steps: Steps[T]) -> T:
    """Carry out steps that only read, with no lock that keeps others from writing."""
    require_none(door, connection)
    try:
        return run(door, connection, steps)
    finally:
        if door.standing(connection).open:  # by the driver, for the first statement
            door.execute(connection, ROLLBACK)


async def read_awaited(door: AsyncDoor, connection: Any, steps: Steps[T]) -> T:
    """Do as `read`."""
    require_none(door, connection)
    try:
        return await run_awaited(door, connection, steps)
    finally:
        if door.standing(connection).open:
            await door.execute(connection, ROLLBACK)


def require_none(door: SyncDoor | AsyncDoor, connection: Any) -> None:
    """Raise `TransactionError` if a transaction is open."""
    if door.standing(connection).open:
        raise TransactionError(
            "a transaction is open on this connection: commit it first, or call 'join' "
            "in the transaction of your own"
        )


def require_one(door: SyncDoor | AsyncDoor, connection: Any) -> None:
    """Raise `TransactionError` unless what is written now waits for a commit."""
    standing = door.standing(connection)
    if not (standing.open or standing.begins):
        raise TransactionError(
            "no transaction is open on this connection: what is written would be "
            "committed by itself; begin one, or use 'once'"
        )
