"""A supervised agent process: started, looked at, started again, and ended with its own.

Rule: a process leads a group of its own, and nothing of the group outlives `stop`. It has
the environment it is given and no other: the bus's own may hold keys.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from bus.core.errors import ConfigurationError
from bus.core.recovering import Kind
from bus.core.recoverylimits import PROCESS_GRACE_S
from bus.ports import Clock
from bus.recovery.component import UnwellError
from bus.recovery.running import Spawn

_SIGNALS: Final = {number.value: number.name for number in signal.Signals}


class Program(msgspec.Struct, frozen=True):
    """What is run: `argv` with `environment`, and nothing else, in `folder`."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path | None = None
    grace_s: float = PROCESS_GRACE_S
    """From SIGTERM to SIGKILL."""


class _Life:
    """One process from start to end; `gone` is set once it was waited for."""

    __slots__ = ("gone", "process", "wanted")

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.gone = asyncio.Event()
        self.wanted = True  # its end would be news

    def signal_group(self, number: int) -> None:
        """Send a signal to everything in its group, if anything is left of it.

        A group keeps its number while any of it lives; where nothing does, there is
        nobody to signal until the system has given out every other number.
        """
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class AgentProcess:
    """Implements `Component` for a program. `exited` is told when it ends unasked.

    Standard input is empty; output goes where the bus's own goes.
    """

    def __init__(
        self,
        name: str,
        program: Program,
        *,
        clock: Clock,
        spawn: Spawn,
        exited: Callable[[str, BaseException], None],
    ) -> None:
        """`exited` is `Orchestrator.report`, or what comes to the same.

        Raises:
            ConfigurationError: there is no program to run, or a grace of less than none.
        """
        if not program.argv or not program.argv[0] or program.grace_s < 0:
            raise ConfigurationError(
                f"process {name}: it needs a program, and a grace of 0 s or more"
            )
        self.name = name
        self.kind = Kind.PROCESS
        self.action = "restart"
        self._program = program
        self._clock = clock
        self._spawn = spawn
        self._exited = exited
        self._life: _Life | None = None
        self._ended = ""
        self._stopped = False
        self._changing = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return None if self._life is None else self._life.process.pid

    async def start(self) -> None:
        """Start it unless it lives.

        Raises:
            UnwellError: it cannot be started.
        """
        self._stopped = False
        async with self._changing:
            if self._life is None:
                await self._begin()

    async def check(self) -> None:
        """Return if it lives."""
        if self._life is None:
            raise UnwellError(self._ended or "not started")

    async def recover(self) -> None:
        """Stop what is left of it, and start it again.

        Raises:
            UnwellError: it cannot be started, or is to be stopped.
        """
        async with self._changing:
            await self._finish()
            if self._stopped:
                raise UnwellError("stopped")
            await self._begin()

    async def stop(self) -> None:
        """End it and everything in its group: SIGTERM, and after the grace SIGKILL.

        It is not started again but by `start`. Cancelling this kills at once.
        """
        self._stopped = True
        async with self._changing:
            await self._finish()

    async def _begin(self) -> None:
        program = self._program
        try:
            process = await asyncio.create_subprocess_exec(
                *program.argv,
                stdin=subprocess.DEVNULL,
                env=dict(program.environment),
                cwd=program.folder,
                start_new_session=True,  # a group of its own; a Ctrl-C is the bus's alone
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._ended = f"cannot be started: {error}"
            raise UnwellError(self._ended) from error
        life = self._life = _Life(process)
        self._spawn(self._watch(life), f"assent process {self.name}")

    async def _watch(self, life: _Life) -> None:
        """Wait for its end; what it leaves behind in its group is killed."""
        try:
            status = await life.process.wait()
        except BaseException:
            life.signal_group(signal.SIGKILL)
            await life.process.wait()  # so that nothing of it is left
            raise
        finally:
            self._life = None
            life.gone.set()
        life.signal_group(signal.SIGKILL)
        self._ended = f"ended {_told_by(status)}"
        if life.wanted:
            self._exited(self.name, UnwellError(self._ended))

    async def _finish(self) -> None:
        life = self._life
        if life is None:
            return
        life.wanted = False
        life.signal_group(signal.SIGTERM)
        timer = self._clock.call_after(
            self._program.grace_s, lambda: life.signal_group(signal.SIGKILL)
        )
        try:
            await life.gone.wait()
        except asyncio.CancelledError:
            life.signal_group(signal.SIGKILL)
            raise
        finally:
            timer.cancel()


def _told_by(status: int) -> str:
    """Return how a process ended, in words."""
    if status >= 0:
        return f"with status {status}"
    return f"by {_SIGNALS.get(-status, f'signal {-status}')}"
