"""Which files there are to survey: what git tracks, or else what a bounded walk finds.

Rule: only regular files, links not followed; what is left out is counted and said. All
of it blocks: call it in a thread.
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from bus.core.errors import ConfigurationError
from bus.core.limits import SURVEY_ENTRIES_MAX, SURVEY_FILES_MAX, SURVEY_LIST_S

_SKIPPED: Final = frozenset({"__pycache__", "build", "dist", "node_modules", "venv"})


class Listing(msgspec.Struct, frozen=True):
    """Files to survey, relative to `folder`; bytes that are no text are surrogates.

    `source` says how they were found. `left_out` counts files past the bound,
    `no_files` entries that are no regular files (links, deleted ones), `unread`
    folders that could not be read or were not reached.
    """

    folder: Path
    files: tuple[str, ...]
    source: str
    left_out: int = 0
    no_files: int = 0
    unread: int = 0


def find(folder: Path) -> Listing:
    """List the files of `folder`.

    Raises:
        ConfigurationError: it is not a folder.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: not a folder")
    folder = folder.resolve()
    tracked, why_not = _tracked(folder)
    if tracked is not None:
        return _listing(folder, tracked, "git ls-files")
    walk = _Walk(folder)
    listing = _listing(folder, walk.names(), f"a walk ({why_not})")
    return msgspec.structs.replace(listing, unread=walk.unread)


class _Walk:
    """Walks a folder; hidden folders and those that tools make are not entered."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self.unread = 0

    def names(self) -> Iterator[str]:
        """Yield file names relative to the top."""
        seen = 0
        for place, folders, names in os.walk(self._top, onerror=self._cannot):
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and name not in _SKIPPED
            )
            seen += len(folders) + len(names)
            if seen > SURVEY_ENTRIES_MAX:
                self.unread += 1 + len(folders)
                return
            for name in sorted(names):
                yield str(Path(place, name).relative_to(self._top))

    def _cannot(self, error: OSError) -> None:
        del error  # what could not be read is counted; its name is of no use here
        self.unread += 1


def _listing(folder: Path, names: Iterable[str], source: str) -> Listing:
    files: list[str] = []
    left_out = no_files = 0
    for name in names:
        if not _regular(folder / name):
            no_files += 1
        elif len(files) < SURVEY_FILES_MAX:
            files.append(name)
        else:
            left_out += 1
    return Listing(folder, tuple(files), source, left_out, no_files)


def _regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False  # tracked, but deleted
    except OSError:
        return True  # there, but not to be looked at: whoever measures it says why


def _tracked(folder: Path) -> tuple[list[str] | None, str]:
    """Return what git tracks or would track, or None and why git does not say."""
    git = shutil.which("git")
    if git is None:
        return None, "git is not installed"
    # No hook of the folder's own configuration is started by looking at it.
    command = [git, "-c", "core.fsmonitor=false", "ls-files", "-z"]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, nothing from outside
            [*command, "--cached", "--others", "--exclude-standard"],
            cwd=folder,
            capture_output=True,
            check=False,
            timeout=SURVEY_LIST_S,
        )
    except subprocess.TimeoutExpired:
        return None, f"git did not answer in {SURVEY_LIST_S:g} s"
    if done.returncode:
        return None, _why(done.stderr.decode("utf-8", "replace"))
    # A file in conflict is listed once for each of its versions.
    names = dict.fromkeys(filter(None, done.stdout.split(b"\0")))
    return [os.fsdecode(name) for name in names], ""


def _why(said: str) -> str:
    """Return git's reason without its warnings and advice."""
    for line in said.splitlines():
        if line.startswith("fatal: "):
            return line.removeprefix("fatal: ").split(" (or any", 1)[0]
    return "git failed and did not say why"
