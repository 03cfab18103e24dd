"""Where a figure was taken: a figure counts only beside others of the same machine."""

import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bus.core.errors import UsageError


class Machine(msgspec.Struct, frozen=True):
    """The machine and the interpreter of a run."""

    cpu: str
    cores: int
    python: str


def here() -> Machine:
    """Return this machine."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return Machine(_cpu(), os.cpu_count() or 1, python)


def rss_bytes() -> int:
    """Return the memory this process has in RAM.

    Raises:
        UsageError: the system does not tell (it is not Linux).
    """
    try:
        pages = Path("/proc/self/statm").read_bytes().split()[1]
    except OSError as error:
        raise UsageError(f"memory is measured on Linux only: {error}") from error
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that `share` of the sorted values do not exceed.

    Raises:
        UsageError: there is no value.
    """
    if not ordered:
        raise UsageError("nothing was timed")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []  # not Linux: the platform module knows less, but something
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()
