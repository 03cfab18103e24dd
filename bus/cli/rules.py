"""The work of `assent policy`: which rules, data and input a command means.

Rule: what is named on the command line counts before what the settings name.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bus.cli.output import table
from bus.cli.settings import loaded
from bus.config import Settings
from bus.config.sources import read_bounded
from bus.core.errors import ConfigurationError
from bus.core.limits import POLICY_DATA_BYTES_MAX, POLICY_INPUT_BYTES_MAX
from policy import data as policy_data, tester
from policy.bundle import BUILT_IN, Origin

BUILT_IN_TESTS: Final = BUILT_IN.with_name("tests")
STDIN: Final = "-"


def settings(config: str | None, flags: Sequence[str] | None) -> Settings:
    """Load the settings; raises `ConfigurationError`."""
    return loaded(config, flags).settings


def origin_or_none(
    folder: str | None, data: str | None, given: Settings
) -> Origin | None:
    """Return where policy and data come from, or None where nothing says so."""
    place = Path(folder) if folder is not None else given.policy.folder
    file = Path(data) if data is not None else given.policy.data
    if place is None and file is None:
        return None
    return Origin(file, place, given.policy.areas if place is None else ())


def origin(folder: str | None, data: str | None, given: Settings) -> Origin:
    """Return where policy and data come from.

    Raises:
        ConfigurationError: nothing says so.
    """
    found = origin_or_none(folder, data, given)
    if found is None:
        raise ConfigurationError(
            "no policy data: give --data FILE or --folder DIR, or set policy.data"
        )
    return found


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
