"""The outside programs that some tests need.

Rule: a test says which it needs. Where a program is absent the test is skipped by
name, unless ASSENT_REQUIRE_PARTS=1, as in CI: there its absence is a failure.
"""

import os
import shutil
from typing import NoReturn

import pytest


def require(program: str, *folders: str) -> str:
    """Return the path of `program`, or end the test: skipped, or failed in CI.

    It may also stand in `folders`, where a system keeps what is in nobody's PATH.
    """
    path = shutil.which(program)
    if path is None and folders:
        path = shutil.which(program, path=os.pathsep.join(folders))
    if path is None:
        absent(f"{program} is not in PATH")
    return path


def absent(what: str) -> NoReturn:
    """End the test because of what is not there: skipped, or failed in CI."""
    if os.environ.get("ASSENT_REQUIRE_PARTS") == "1":
        pytest.fail(f"{what}, and this run may skip nothing")
    pytest.skip(what)


def depth(usual: int, deep: int) -> int:
    """Return how much a test that breaks things does: `deep` with ASSENT_DEEP=1."""
    return deep if os.environ.get("ASSENT_DEEP") == "1" else usual
