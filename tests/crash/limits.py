"""The limits of a process and of a file system, met by a bus in a process of its own."""

import json
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from tests.crash.claims import Trial

ROOT: Final = Path(__file__).parents[2]
CHILD_S: Final = 80
TITLES: Final = {
    "size": "no file may grow (RLIMIT_FSIZE)",
    "handles": "no file handle is left (RLIMIT_NOFILE)",
    "full": "a full file system",
    "read-only": "a read-only file system",
}
ON_A_DISK_OF_ITS_OWN: Final = ("full", "read-only")
_MOUNTED: Final = 'mount -t tmpfs -o size=4m none "$0" && exec "$@"'


@cache
def mounting() -> tuple[str, ...]:
    """Return how a process is given a file system of its own; empty where it may not."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    with tempfile.TemporaryDirectory() as folder:
        for how in (("--mount",), ("--mount", "--map-root-user")):
            command = [unshare, *how, "sh", "-c", _MOUNTED, folder, "true"]
            if not subprocess.run(command, capture_output=True, check=False).returncode:
                return (unshare, *how, "sh", "-c", _MOUNTED)
    return ()


def limit(way: str, trial: Trial) -> None:
    """Let a bus meet one limit, and take over what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        own = [*mounting(), folder] if way in ON_A_DISK_OF_ITS_OWN else []
        child = [sys.executable, "-m", "tests.crash.limits_child", way, folder]
        done = subprocess.run(
            [*own, *child],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=CHILD_S,
            check=False,
        )
    if done.returncode:
        trial.broken.append(f"{way}: {done.stderr}")
        return
    told = json.loads(done.stdout)
    trial.counts.update(told["counts"])
    trial.broken.extend(told["broken"])
    trial.notes.extend(note.replace(f"{folder}/", "") for note in told["notes"])


def limits() -> Trial:
    """Let a bus meet each limit that can be set here."""
    trial = Trial("Limits of the process and the file system")
    for way, title in TITLES.items():
        if way in ON_A_DISK_OF_ITS_OWN and not mounting():
            trial.notes.append(f"{way}: not tried, nothing may be mounted here")
            continue
        limit(way, trial)
        trial.notes.append(f"{way}: tried, {title}")
    return trial
