"""Fixtures that tests of the joined parts share."""

from pathlib import Path

import pytest

from tests.fakes.durable import KINDS, Place


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return where a store of each kind is."""
    return Place(request.param, tmp_path)
