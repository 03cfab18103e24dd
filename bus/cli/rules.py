"""The work of `assent policy`: which rules, data and input a command means.

Rule: what is named on the command line counts before what the settings name.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bus import policing
from bus.adapters.clock import SystemClock
from bus.cli.output import table
from bus.cli.settings import loaded
from bus.config import Settings
from bus.config.governing import BundleSettings
from bus.config.sources import read_bounded
from bus.core.errors import ConfigurationError
from bus.core.limits import POLICY_DATA_BYTES_MAX, POLICY_INPUT_BYTES_MAX
from policy import data as policy_data, tester
from policy.bundle import BUILT_IN, Origin
from policy.tester import Readable

BUILT_IN_TESTS: Final = BUILT_IN.with_name("tests")
STDIN: Final = "-"


def settings(config: str | None, flags: Sequence[str] | None) -> Settings:
    """Load the settings; raises `ConfigurationError`."""
    return loaded(config, flags).settings


def source_or_none(
    folder: str | None, data: str | None, given: Settings
) -> Readable | None:
    """Return where policy and data come from, or None where nothing says so.

    What is named counts, then what the settings have: files or bundles, as the bus
    takes them.

    Raises:
        ConfigurationError: the settings' policy is at a server, their rules are asked
            for with other data, or they do not go together.
    """
    if folder is None:
        _check_at_hand(data, given)
        if data is None:
            if _silent(given):
                return None
            return policing.policy_source(given, None, SystemClock())
    place = Path(folder) if folder is not None else given.policy.folder
    file = Path(data) if data is not None else given.policy.data
    return Origin(file, place, given.policy.areas if place is None else ())


def source(folder: str | None, data: str | None, given: Settings) -> Readable:
    """Return where policy and data come from; raises as `source_or_none`.

    Raises:
        ConfigurationError: nothing says so.
    """
    found = source_or_none(folder, data, given)
    if found is None:
        raise ConfigurationError(
            "no policy data: give --data FILE or --folder DIR, or set policy.data, "
            "bundle.files or bundle.url"
        )
    return found


def _check_at_hand(data: str | None, given: Settings) -> None:
    """Raise if the rules of the settings cannot be had, or not with these data."""
    if given.policy.engine == "opa":
        raise ConfigurationError(
            "policy.engine is opa: the policy's files are the server's, and cannot be "
            "read from it; name a folder or a bundle of them"
        )
    if data is not None and (given.bundle.files or given.bundle.url is not None):
        raise ConfigurationError(
            "--data: the settings' policy is a bundle, which has its own data; name "
            "the folder of the rules as well"
        )


def _silent(given: Settings) -> bool:
    """Tell whether the settings say nothing of where policy is."""
    chosen, bundle = given.policy, given.bundle
    own = chosen.data or chosen.folder or chosen.areas
    return not (own or given.bundle_keys) and bundle == BundleSettings()


def run_tests(
    folders: Sequence[Path], data: str | None, given: Settings
) -> list[tester.RuleTest]:
    """Run the tests of the folders, of the settings' folder, or of the built-in policy.

    Only data named on the command line counts: tests bring their own.
    """
    if not folders:
        own = given.policy.folder
        folders = [own] if own is not None else [BUILT_IN, BUILT_IN_TESTS]
    if data is None:
        return tester.run_tests(folders)
    text = read_bounded(Path(data), POLICY_DATA_BYTES_MAX)
    return tester.run_tests(folders, data=policy_data.parse(data, text))


def input_name(file: str | None) -> str:
    """Return what an error calls the input."""
    return "stdin" if file == STDIN else file or "input"


def input_text(file: str | None) -> str:
    """Return the input as text, from a file, from stdin, or the empty object.

    Raises:
        ConfigurationError: it cannot be read, or is too long.
    """
    if file is None:
        return "{}"
    if file != STDIN:
        return read_bounded(Path(file), POLICY_INPUT_BYTES_MAX)
    read = sys.stdin.buffer.read(POLICY_INPUT_BYTES_MAX + 1)
    if len(read) > POLICY_INPUT_BYTES_MAX:
        raise ConfigurationError(f"stdin: longer than {POLICY_INPUT_BYTES_MAX} bytes")
    try:
        return read.decode()
    except UnicodeDecodeError:
        raise ConfigurationError("stdin: not UTF-8") from None


def show_report(report: tester.Report) -> None:
    """Print what a check found, if nothing was wrong."""
    if report.problems:
        return
    read = "all of it" if report.input is None else ", ".join(report.input)
    kept = "yes" if report.cacheable else f"no: {', '.join(report.volatile)}"
    table(
        ("policy", "found"),
        [
            ("revision", report.revision),
            ("files", ", ".join(report.files)),
            ("agents", report.agents),
            ("decisions read of the input", read or "nothing"),
            ("and of the data", ", ".join(report.data) or "nothing"),
            ("decisions are cached", kept),
        ],
    )
