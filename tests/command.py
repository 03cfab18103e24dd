"""The command line as a user has it: a process, its two streams and its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[1]
RUN = "import sys; from bus.cli import main; sys.exit(main())"


class Ended(msgspec.Struct):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def environment() -> dict[str, str]:
    """Return the environment of a command: nothing of this process's own."""
    return {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}


def assent(folder: Path, *arguments: str, stdin: str = "", **environ: str) -> Ended:
    """Run `assent` in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        env={**environment(), **environ},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def assert_one_line_of_error(ended: Ended) -> None:
    """No traceback, no second line, nothing that controls a terminal."""
    assert ended.err.startswith("assent: ")
    assert ended.err.count("\n") == 1
    assert ended.err.removesuffix("\n").isprintable()
