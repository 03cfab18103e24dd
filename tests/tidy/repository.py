"""What the tidy tests look at: the files of this repository, as git knows them.

A file that is written but not yet added counts too, so that a fault shows before it
is committed. Outside a git checkout (a source archive) every file counts.
"""

import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("bus", "policy", "processors")
_UNTRACKED = {".venv", ".git", "build", "dist", "__pycache__", "_build"}


@cache
def files() -> tuple[Path, ...]:
    """Return every file of the repository, ignored ones left out."""
    if not (ROOT / ".git").exists():
        found = [p for p in ROOT.rglob("*") if p.is_file()]
        return tuple(p for p in found if _UNTRACKED.isdisjoint(p.parts))
    # A checkout may belong to somebody else than the user who tests it.
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(
        [*git, "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return tuple(p for p in paths if p.is_file())


def sources(*folders: str) -> list[Path]:
    """Return the Python files below the named folders of the repository."""
    found = [
        p
        for p in files()
        if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in folders
    ]
    if not found:
        pytest.fail(f"no Python file below {', '.join(folders)}: nothing was checked")
    return found


def module_name(path: Path) -> str:
    """Return the dotted name that imports the file at `path`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
