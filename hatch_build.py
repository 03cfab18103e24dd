"""Builds the console into the wheel, so that users of Assent need no Node.

Rule: a wheel without the console of its own source is not made. It is built by npm where
that is there; what was built before from the same source is taken as it is, so a source
archive, which carries it, needs no npm. An install in place builds nothing.
`python hatch_build.py` builds it for a checkout.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CONSOLE: Final = Path(__file__).parent / "bus" / "console"
DIST: Final = CONSOLE / "dist"
STAMP: Final = DIST / "source"
PARTS: Final = ("src", "build.js", "package.json", "package-lock.json", "tsconfig.json")
STEPS: Final = (
    ("ci", "--ignore-scripts", "--no-audit", "--no-fund"),
    ("run", "--silent", "check"),
    ("run", "--silent", "build"),
)


class ConsoleHook(BuildHookInterface[BuilderConfig]):
    """Adds `bus/console/dist` to wheels and source archives."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Have the console there before files are collected.

        Raises:
            SystemExit: it cannot be built.
        """
        if version == "editable":
            return
        build()
        names = ["index.html", "licenses.txt", "assets/*"]
        if self.target_name == "sdist":
            names.append(
                STAMP.name
            )  # tells who builds from it that nothing is to be done
        build_data["artifacts"] += [f"/bus/console/dist/{name}" for name in names]


def build() -> bool:
    """Build the console, if what is there was not built from this source.

    Returns whether it was built now.

    Raises:
        SystemExit: npm is missing or fails.
    """
    made_from = fingerprint()
    if STAMP.is_file() and STAMP.read_text(encoding="ascii").strip() == made_from:
        return False
    npm = shutil.which("npm")
    if npm is None:
        sys.exit(
            "The console is not built from this source, and building it needs npm,"
            " which is not in PATH. Install Node 20 or later with npm, or build from"
            " a source archive of Assent, which has the console built."
        )
    for step in STEPS:
        ended = subprocess.run([npm, *step], cwd=CONSOLE, check=False)
        if ended.returncode:
            sys.exit(f"The console was not built: npm {' '.join(step)} failed.")
    STAMP.write_text(f"{made_from}\n", encoding="ascii")
    return True


def fingerprint() -> str:
    """Return a hash of all that the console is built from."""
    total = hashlib.sha256()
    for part in PARTS:
        path = CONSOLE / part
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in (file for file in found if file.is_file()):
            name = file.relative_to(CONSOLE).as_posix()
            total.update(f"{name}\0".encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


if __name__ == "__main__":
    print("console: built" if build() else "console: built before from this source")
