"""What is installed, what is missing and how to get it: the work of `assent doctor`."""

import asyncio
import re
import shutil
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Final

from bus.cli.checks import Check, attempt, of_settings
from bus.cli.settings import loaded
from bus.cli.version import DISTRIBUTION
from bus.core.errors import BusError

TURNS: Final = 1_000
BINARIES: Final = {
    "opa": "checks Rego, and serves policy.engine = opa: "
    "go install github.com/open-policy-agent/opa@v1.9.0",
    "nats-server": "for more than one machine: see docs.nats.io/running-a-nats-service",
    "prometheus": "scrapes /metrics: see prometheus.io/download",
    "promtool": "checks metrics: comes with prometheus",
}
_REQUIREMENT: Final = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?P<rest>[^;]*)(?P<marker>.*)"
)


def diagnose(config: str | None, flags: Sequence[str] | None) -> list[Check]:
    """Return what was found, in the order of what needs what."""
    return [
        _python(),
        *_packages(),
        *(_binary(name, how) for name, how in BINARIES.items()),
        attempt("event loop", lambda: asyncio.run(_event_loop())),
        *of_settings(config, flags),
        *_audit(config, flags),
    ]


def _python() -> Check:
    found = f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"
    return Check("python", "ok", found)


def _packages() -> list[Check]:
    try:
        required = metadata.requires(DISTRIBUTION) or []
        own = Check(f"package {DISTRIBUTION}", "ok", metadata.version(DISTRIBUTION))
    except metadata.PackageNotFoundError:
        text = "runs from a folder, not installed; `pip install .` installs it"
        return [Check(f"package {DISTRIBUTION}", "missing", text)]
    return [own, *(package(text) for text in required if "extra ==" not in text)]


def package(requirement: str) -> Check:
    """Tell whether a requirement's distribution is installed."""
    found = _REQUIREMENT.match(requirement)
    name = found["name"] if found is not None else requirement
    try:
        return Check(f"package {name}", "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        text = f"not installed: pip install {requirement!r}"
        return Check(f"package {name}", "failed", text)


def _binary(name: str, how: str) -> Check:
    path = shutil.which(name)
    if path is None:
        return Check(f"binary {name}", "missing", how)
    return Check(f"binary {name}", "ok", path)


async def _event_loop() -> str:
    loop = asyncio.get_running_loop()
    started = loop.time()
    for _ in range(TURNS):
        await asyncio.sleep(0)
    turn_us = (loop.time() - started) / TURNS * 1e6
    kind = type(loop)
    return f"{kind.__module__}.{kind.__qualname__}, {turn_us:.1f} µs a turn"


def _audit(config: str | None, flags: Sequence[str] | None) -> list[Check]:
    from bus.adapters import audit  # noqa: PLC0415 - slow, not always needed

    try:
        settings = loaded(config, flags).settings.audit
    except BusError:
        return []  # the settings' own check says why
    file = settings.file
    if file is None:
        return [Check("audit record", "missing", "in memory only: set audit.file")]
    if not file.exists():
        return [Check("audit record", "missing", f"{file} is not there yet")]

    def whole() -> str:
        found = audit.verify(file, settings.head_file)
        head = "head checked" if found.head_checked else "no head: a cut would not show"
        return f"{found.records} records, whole; {head}"

    return [attempt("audit record", whole)]
