"""Checks of an installation and its settings, each with a name and what was found.

Rule: a check that fails never hides the ones after it, unless they need what it made.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from bus.cli.output import emit, table
from bus.cli.settings import loaded
from bus.config import Loaded, Settings, read_stamp_keys
from bus.core.errors import BusError, ConfigurationError

T = TypeVar("T")
State = Literal["ok", "missing", "failed"]


class Check(msgspec.Struct, frozen=True):
    """What one check found. `missing` is something that not everybody needs."""

    name: str
    state: State
    text: str


def passed(checks: Iterable[Check]) -> bool:
    """Tell whether none failed."""
    return all(check.state != "failed" for check in checks)


def report(checks: Sequence[Check], *, as_json: bool) -> None:
    """Print them all."""
    emit(
        {"ok": passed(checks), "checks": checks},
        lambda: table(
            ("check", "state", "found"), [(c.name, c.state, c.text) for c in checks]
        ),
        as_json=as_json,
    )


def attempt(name: str, find: Callable[[], str]) -> Check:
    """Run one check: its text, or the error that ended it."""
    try:
        return Check(name, "ok", find())
    except BusError as error:
        return Check(name, "failed", str(error))
    except OSError as error:
        return Check(name, "failed", f"{error.filename}: {error.strerror}")


def of_settings(config: str | None, flags: Sequence[str] | None) -> list[Check]:
    """Check that the settings load and that everything they name can be made."""
    try:
        made = loaded(config, flags)
    except BusError as error:
        return [Check("settings", "failed", str(error))]
    changed = {
        key: origin for key, origin in made.origins.items() if origin != "default"
    }
    settings = made.settings
    return [
        Check("settings", "ok", f"{len(changed)} of {len(made.origins)} set"),
        attempt("stages", lambda: _stages(settings)),
        attempt("strategies", lambda: _strategies(settings)),
        attempt("constitution", lambda: _constitution(settings)),
        attempt("stamp keys", lambda: _stamp_keys(settings)),
        _policy(settings),
        attempt("decision log", lambda: _decision_log(settings)),
        attempt("http", lambda: _http(made)),
    ]


def _http(made: Loaded) -> str:
    from bus.edge import defaults, safety  # noqa: PLC0415 - slow, not always needed

    settings = defaults.resolved(made).settings
    http, tls = settings.http, safety.checked(settings)
    return f"{http.host}:{http.port}, {'no TLS' if tls is None else 'TLS'}"


def _stages(settings: Settings) -> str:
    from processors import registry  # noqa: PLC0415 - reads every package's metadata

    made = [registry.stage(c.name, c.options).name for c in settings.stages]
    return ", ".join(made) or "none"


def _strategies(settings: Settings) -> str:
    from processors import registry  # noqa: PLC0415 - as above

    made = [registry.strategy(c.name, c.options).name for c in settings.strategies]
    return ", ".join(made) or "none, so direct everywhere"


def _constitution(settings: Settings) -> str:
    from policy import constitution  # noqa: PLC0415 - slow, not always needed

    file = settings.constitution.file
    read = constitution.BUILT_IN if file is None else constitution.load(file)
    return f"{read.name} {read.version}, {read.hash}"


def _stamp_keys(settings: Settings) -> str:
    from policy.keys import parse_keys  # noqa: PLC0415 - slow, not always needed

    text = read_stamp_keys(settings.stamp)
    if text is None:
        return "none set: made for each run, so no stamp outlives it"
    return repr(parse_keys(text.reveal()))


def _policy(settings: Settings) -> Check:
    from bus import policing  # noqa: PLC0415 - slow, not always needed
    from bus.adapters.clock import SystemClock  # noqa: PLC0415 - as above

    given, bundle = settings.policy, settings.bundle
    named = (given.data, given.folder, bundle.url, *bundle.files)
    if given.engine != "opa" and not any(named):
        text = "no policy data: nobody is known; set policy.data to a file"
        return Check("policy", "missing", text)

    def load() -> str:
        made = policing.governance(settings, None, SystemClock())
        files = made.bundle()
        told = "the server's own" if files is None else f"revision {files.revision}"
        return f"{told}, engine {given.engine}"

    return attempt("policy", load)


def _decision_log(settings: Settings) -> str:
    """Make what the log is told, and look where it would write; nothing is written."""
    from bus import policing  # noqa: PLC0415 - slow, not always needed

    made = policing.log_settings(settings)
    if made is None:
        return "none is kept"
    told = []
    if made.file is not None:
        _check_file(made.file.path)
        told.append(f"to {made.file.path}")
    if made.collector is not None:
        _check_spool(made.collector.spool)
        if made.collector.token_file is not None:
            with made.collector.token_file.open("rb"):
                pass  # it is read again each time that something is sent
        told.append(f"to {made.collector.url} by way of {made.collector.spool}")
    return ", ".join(told)


def _check_file(path: Path) -> None:
    """Raise if a file cannot be written and turned over there."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ConfigurationError(f"decision_log.file: {path} is no regular file")
    _check_folder("decision_log.file", path.parent)
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise ConfigurationError(f"decision_log.file: {path} may not be written")


def _check_spool(path: Path) -> None:
    """Raise if the folder is not there and cannot be made, or cannot be written."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    _check_folder("decision_log.spool", place)


def _check_folder(setting: str, folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigurationError(f"{setting}: {folder} is no folder; make it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{setting}: nothing may be written in {folder}")
