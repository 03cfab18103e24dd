"""The work of `assent store`: a store file, under the keys that the settings name."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bus import composing
from bus.adapters.clock import SystemClock
from bus.adapters.stores.sqlite import SqliteStore
from bus.cli.settings import loaded
from bus.config.keeping import StoreSettings
from bus.core.entries import Sealer
from bus.core.errors import ConfigurationError
from bus.letterbox import StoredLetter, opened_letter


class Line(msgspec.Struct, frozen=True):
    """A dead letter as it is listed; `subject` is empty where it cannot be read."""

    id: int
    at_ns: int
    tenant: str
    consumer: str
    subject: str
    attempts: int
    reason: str


class Opened(msgspec.Struct, frozen=True):
    """A store that is to be looked at, and what opens its entries."""

    store: SqliteStore
    sealer: Sealer


def opened(
    file: Path | None, config: str | None, flags: Sequence[str] | None
) -> Opened:
    """Return the store that is named, or the settings'.

    Raises:
        ConfigurationError: none is named, it is not there, or its keys are not.
    """
    settings = loaded(config, flags).settings
    place = file or settings.store.file
    if place is None:
        raise ConfigurationError("no store: name the file, or set store.file")
    if not place.is_file():
        raise ConfigurationError(f"{place}: there is no such file")
    told = StoreSettings(kind="sqlite", file=place)
    ring = composing.key_ring(msgspec.structs.replace(settings, store=told))
    sealer = Sealer(ring)
    return Opened(SqliteStore(place, sealer, SystemClock()), sealer)


def check(opened: Opened) -> str:
    """Check everything; return what the store holds."""
    return asyncio.run(opened.store.verify())


def head(opened: Opened) -> str:
    """Make the head anew; return what the store holds."""
    return asyncio.run(opened.store.renew_head())


def letters(opened: Opened, after: int, count: int) -> list[Line]:
    """Return dead letters with an id above `after`."""
    return asyncio.run(_letters(opened, after, count))


async def _letters(opened: Opened, after: int, count: int) -> list[Line]:
    await opened.store.open()
    try:
        rows = await opened.store.letters(after, count)
    finally:
        await opened.store.close()
    return [_line(opened_letter(opened.sealer, row)) for row in rows]


def _line(letter: StoredLetter) -> Line:
    return Line(
        letter.id,
        letter.at_ns,
        letter.tenant,
        letter.consumer,
        "" if letter.message is None else letter.message.subject,
        letter.attempts,
        letter.reason,
    )
