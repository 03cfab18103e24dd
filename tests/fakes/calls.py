"""The command line called in this process: quicker, and its lines are counted."""

import contextlib
import io
from pathlib import Path

from bus.cli import main
from tests.command import Ended


def called(folder: Path, *arguments: str) -> Ended:
    """Call `assent` in `folder`, as `tests.command.assent` runs it."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = main(arguments)
    written = out.detach()
    assert isinstance(written, io.BytesIO)
    return Ended(code, written.getvalue().decode(), err.getvalue())
