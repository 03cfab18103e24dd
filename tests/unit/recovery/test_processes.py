"""Real processes: alive, killed and restarted, ended with all they started."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bus.adapters.clock import SystemClock
from bus.core.errors import ConfigurationError
from bus.core.recovering import State
from bus.ports import Clock
from bus.recovery import AgentProcess, Program, UnwellError
from tests.fakes.recoveries import MovedClock, Rig, care, rest

SLEEP = "import time; time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
SAYS = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('up'); "
# Starts one of its own that would outlive it, and says which.
PARENT = (
    "import pathlib, subprocess, sys, time; "
    f"c = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); "
    "pathlib.Path(sys.argv[1]).write_text(str(c.pid) + '.'); time.sleep(600)"
)


class Exits:
    """What was told of processes that ended unasked."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.seen = asyncio.Event()

    def __call__(self, name: str, error: BaseException) -> None:
        """Take note."""
        self.told.append((name, str(error)))
        self.seen.set()


def python(code: str, *arguments: str, grace_s: float = 5.0) -> Program:
    """Return a program that runs some Python."""
    argv = (sys.executable, "-I", "-S", "-c", code, *arguments)
    return Program(argv, {"SOLE": "one"}, grace_s=grace_s)


@asynccontextmanager
async def process(
    program: Program, clock: Clock | None = None
) -> AsyncIterator[tuple[AgentProcess, Exits]]:
    """Yield a process that is not started yet; it is gone afterwards."""
    exits = Exits()
    async with asyncio.TaskGroup() as tasks:

        def spawn(work: Coroutine[Any, Any, None], name: str) -> None:
            tasks.create_task(work, name=name)

        made = AgentProcess(
            "planner",
            program,
            clock=clock or SystemClock(),
            spawn=spawn,
            exited=exits,
        )
        try:
            yield made, exits
        finally:
            await made.stop()


async def content(path: Path) -> str:
    """Return what a process has written, once it has."""
    async with asyncio.timeout(30):
        while not (found := await asyncio.to_thread(_read, path)):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
    return found


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def gone(pid: int) -> None:
    """Wait until there is no such process, or only what is left of one."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(_lives, pid):  # noqa: ASYNC110 - no child of ours
            await asyncio.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def pid_of(made: AgentProcess) -> int:
    """Return the process id of one that lives."""
    assert made.pid is not None
    return made.pid


async def test_a_process_that_lives_is_well() -> None:
    """Before it is started and after it is stopped it is not."""
    async with process(python(SLEEP)) as (made, exits):
        with pytest.raises(UnwellError, match=r"^not started$"):
            await made.check()
        await made.start()
        pid = pid_of(made)
        await made.start()
        assert made.pid == pid
        await made.check()
        await made.stop()
        await gone(pid)
        with pytest.raises(UnwellError, match="ended by SIGTERM"):
            await made.check()
        assert exits.told == []
        assert made.pid is None


async def test_a_process_that_ends_unasked_is_told_of_at_once() -> None:
    """With how it ended."""
    async with process(python("raise SystemExit(3)")) as (made, exits):
        await made.start()
        await exits.seen.wait()
        assert exits.told == [("planner", "ended with status 3")]
        with pytest.raises(UnwellError, match="ended with status 3"):
            await made.check()


async def test_a_process_that_is_killed_is_restarted() -> None:
    """By the orchestrator, told by the process's end and not by a check."""
    async with Rig() as rig:
        made = AgentProcess(
            "planner",
            python(SLEEP),
            clock=rig.clock,
            spawn=rig.spawn,
            exited=rig.orchestrator.report,
        )
        await made.start()
        rig.put(made, care())
        first = pid_of(made)
        os.kill(first, signal.SIGKILL)
        scheduled = await rig.until(State.SCHEDULED)
        assert scheduled.detail == "ended by SIGKILL"
        await rig.clock.pass_time(1)
        await rig.until(State.SUCCEEDED)
        assert pid_of(made) != first
        await made.check()
        await made.stop()


async def test_a_restart_ends_the_old_one_first() -> None:
    """Never two of the same at once, and its end is no news."""
    async with process(python(SLEEP)) as (made, exits):
        await made.start()
        first = pid_of(made)
        await made.recover()
        await gone(first)
        assert pid_of(made) != first
        assert exits.told == []


async def test_what_was_stopped_is_not_restarted(tmp_path: Path) -> None:
    """Not even by a recovery that was under way; until it is started again."""
    up, clock = tmp_path / "up", MovedClock()
    program = python(STUBBORN + SAYS + SLEEP, str(up), grace_s=60.0)
    async with process(program, clock) as (made, exits):
        await made.start()
        await content(up)
        async with asyncio.TaskGroup() as tasks:
            restarting = tasks.create_task(_refused(made))
            await rest()
            stopping = tasks.create_task(made.stop())
            await clock.pass_time(60.0)
            await restarting
            await stopping
        await _refused(made)
        assert (made.pid, exits.told) == (None, [])
        await made.start()
        await made.check()
        os.kill(pid_of(made), signal.SIGKILL)
        await exits.seen.wait()


async def _refused(made: AgentProcess) -> None:
    with pytest.raises(UnwellError, match=r"^stopped$"):
        await made.recover()


async def test_what_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    """By the clock's time."""
    up, clock = tmp_path / "up", MovedClock()
    program = python(STUBBORN + SAYS + SLEEP, str(up), grace_s=60.0)
    async with process(program, clock) as (made, _):
        await made.start()
        pid = pid_of(made)
        await content(up)
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(made.stop())
            await clock.pass_time(59.0)
            assert not stopping.done()
            assert await asyncio.to_thread(_lives, pid)
            await clock.pass_time(1.0)
        await gone(pid)


async def test_stopping_ends_what_the_process_started(tmp_path: Path) -> None:
    """Its children are of its group."""
    up = tmp_path / "up"
    async with process(python(PARENT, str(up))) as (made, _):
        await made.start()
        child = int((await content(up)).rstrip("."))
        await made.stop()
        await gone(child)


async def test_a_process_that_dies_takes_its_children_along(tmp_path: Path) -> None:
    """Else each restart would leave some behind."""
    up = tmp_path / "up"
    async with process(python(PARENT, str(up))) as (made, exits):
        await made.start()
        child = int((await content(up)).rstrip("."))
        os.kill(pid_of(made), signal.SIGKILL)
        await exits.seen.wait()
        await gone(child)


async def test_a_stop_that_is_cancelled_kills_at_once(tmp_path: Path) -> None:
    """As where a recovery passes its time limit."""
    up = tmp_path / "up"
    program = python(STUBBORN + SAYS + SLEEP, str(up), grace_s=60.0)
    async with process(program, MovedClock()) as (made, _):
        await made.start()
        pid = pid_of(made)
        await content(up)
        async with asyncio.TaskGroup() as tasks:
            stopping = tasks.create_task(made.stop())
            await rest()
            stopping.cancel()
        await gone(pid)


async def test_a_watch_that_is_cancelled_kills_at_once() -> None:
    """A crew that ends leaves no process behind."""
    rig = Rig()
    made = AgentProcess(
        "planner", python(SLEEP), clock=rig.clock, spawn=rig.spawn, exited=Exits()
    )
    await made.start()
    pid = pid_of(made)
    await rest()
    await rig.end()
    await gone(pid)
    assert made.pid is None
    await made.stop()


async def test_a_program_that_cannot_be_started_says_why() -> None:
    """As a failed attempt, which is tried again."""
    async with process(Program(("/nowhere/agent",), {})) as (made, _):
        with pytest.raises(UnwellError, match=r"cannot be started: .*/nowhere/agent"):
            await made.start()
        with pytest.raises(UnwellError, match="cannot be started"):
            await made.check()


async def test_a_process_has_the_environment_it_is_given(tmp_path: Path) -> None:
    """And nothing of the bus's own, which may hold keys."""
    up = tmp_path / "up"
    code = "import os, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(repr(os.environ))"
    async with process(python(code, str(up))) as (made, _):
        await made.start()
        found = await content(up)
    assert "'SOLE': 'one'" in found
    assert "HOME" not in found


@pytest.mark.parametrize(
    "program", [Program((), {}), Program(("",), {}), Program(("x",), {}, grace_s=-1)]
)
def test_a_process_that_could_not_work_is_refused(program: Program) -> None:
    """Before anything is started."""
    given: dict[str, Any] = {"clock": SystemClock(), "spawn": print, "exited": print}
    with pytest.raises(ConfigurationError, match="it needs a program"):
        AgentProcess("planner", program, **given)
