"""What a door tells of a driver: how to speak to a connection, and where it stands."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from bus.effects.dialects import Dialect
from bus.effects.steps import Rows, Statement


class Standing(NamedTuple):
    """Whether a transaction is open; and whether, if not, a write begins one by itself."""

    open: bool
    begins: bool


@dataclasses.dataclass(frozen=True, slots=True)
class SyncDoor:
    """A driver whose calls block.

    `faults` is what the driver raises; `begin` the statements that open a transaction;
    `astray` tells whether a savepoint could not be released because the transaction it
    was made in has ended or failed.
    """

    dialect: Dialect
    faults: tuple[type[Exception], ...]
    standing: Callable[[Any], Standing]
    begin: Callable[[Any], tuple[Statement, ...]]
    astray: Callable[[Exception], bool]
    execute: Callable[[Any, Statement], Rows]


@dataclasses.dataclass(frozen=True, slots=True)
class AsyncDoor:
    """A driver whose calls are awaited; else as `SyncDoor`."""

    dialect: Dialect
    faults: tuple[type[Exception], ...]
    standing: Callable[[Any], Standing]
    begin: Callable[[Any], tuple[Statement, ...]]
    astray: Callable[[Exception], bool]
    execute: Callable[[Any, Statement], Awaitable[Rows]]
