"""Fail unless the wheel given holds what users need, and nothing else."""

import sys
import zipfile
from pathlib import PurePosixPath

PACKAGES = ("bus", "policy", "processors")
NEEDED = (
    *(f"{package}/py.typed" for package in PACKAGES),
    "bus/__init__.pyi",
    "policy/rego/",
    "policy/constitutions/",
    "bus/console/dist/index.html",
    "bus/console/dist/assets/console-",
    "bus/console/dist/licenses.txt",
)
FOREIGN = {"tests", "__pycache__", ".ci", "docs", "benchmarks", "node_modules"}


def main(wheel: str) -> None:
    """Check the names in the wheel."""
    names = zipfile.ZipFile(wheel).namelist()
    for needed in NEEDED:
        if not any(name.startswith(needed) for name in names):
            sys.exit(f"the wheel has no {needed}")
    for name in names:
        top, *rest = PurePosixPath(name).parts
        known = top in PACKAGES or top.endswith(".dist-info")
        if not known or not FOREIGN.isdisjoint(rest) or "test_" in name:
            sys.exit(f"the wheel holds {name}")
    if not any(name.endswith("licenses/LICENSE") for name in names):
        sys.exit("the wheel has no LICENSE")
    print(f"{len(names)} files, as they should be")


if __name__ == "__main__":
    main(sys.argv[1])
