"""The drivers of databases, one door each: which door a connection goes through.

Rule: a driver is imported only when a connection of it is seen, by its door alone.
"""

from importlib import import_module

from bus.core.errors import UsageError
from bus.effects.door import AsyncDoor, SyncDoor

_HOMES = {
    "sqlite3": "bus.effects.doors.sqlite",
    "aiosqlite": "bus.effects.doors.aiosqlite",
    "psycopg": "bus.effects.doors.postgres",
}


def door_of(connection: object) -> SyncDoor | AsyncDoor:
    """Return the door a connection goes through.

    Raises:
        UsageError: it is of no driver that is known.
    """
    kind = type(connection)
    for base in kind.__mro__:
        home = _HOMES.get(base.__module__.partition(".")[0])
        if home is not None:
            doors: dict[type, SyncDoor | AsyncDoor] = import_module(home).DOORS
            for wanted, door in doors.items():
                if issubclass(kind, wanted):
                    return door
    raise UsageError(
        f"{kind.__module__}.{kind.__qualname__} is no connection of sqlite3, aiosqlite "
        "or psycopg 3; of another library, give the driver's own connection"
    )
