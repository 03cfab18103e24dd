"""Which event loop a process runs on."""

import asyncio
import importlib.util

import pytest

from bus.cli import loops
from tests.parts import absent


async def running() -> str:
    """Return the package of the loop that this runs on."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def test_asyncio_s_own_loop_is_always_there() -> None:
    """By its name, whatever else is installed."""
    assert loops.available()[0] == loops.ASYNCIO
    with loops.runner(loops.ASYNCIO) as runner:
        assert runner.run(running()) == "asyncio"


def test_uvloop_is_preferred_where_it_is_installed() -> None:
    """Without asking for it."""
    if importlib.util.find_spec(loops.UVLOOP) is None:
        absent("uvloop is not installed")
    assert loops.available()[-1] == loops.UVLOOP
    with loops.runner() as runner:
        assert runner.run(running()) == "uvloop"


def test_without_uvloop_it_is_asyncio_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """And asking for the other one fails."""
    monkeypatch.setattr(loops, "UVLOOP", "uvloop_that_is_not_there")
    assert loops.available() == (loops.ASYNCIO,)
    with loops.runner() as runner:
        assert runner.run(running()) == "asyncio"
    with pytest.raises(ModuleNotFoundError):
        loops.runner("another one")
