"""Times and sizes as commands print them."""

from datetime import UTC, datetime, timedelta
from typing import Final

_US: Final = 1_000
_MS: Final = 1_000_000
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_KILO: Final = 1024


def utc(time_ns: int) -> str:
    """Return a time since the epoch, to the millisecond."""
    try:
        time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // _US)
    except OverflowError:
        return f"{time_ns} ns"
    return time.strftime("%Y-%m-%d %H:%M:%S.") + f"{time_ns // _MS % 1000:03d}"


def age(time_ns: int | None) -> str:
    """Return a time that has passed, in the unit that fits; empty where not known."""
    if time_ns is None:
        return ""
    seconds = time_ns / 1e9
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.1f} min"
    return f"{seconds / _HOUR_S:.1f} h"


def size(count: int) -> str:
    """Return a number of bytes, in the unit that fits."""
    found = float(count)
    for unit in ("B", "KiB", "MiB"):
        if found < _KILO:
            return f"{found:.0f} {unit}" if unit == "B" else f"{found:.1f} {unit}"
        found /= _KILO
    return f"{found:.1f} GiB"
