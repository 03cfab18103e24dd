"""A real OPA server, as a process of the test's own.

Rule: it listens on a free port or a socket of its own, says nothing, and is gone when
the test ends, whichever way.
"""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from bus.core.policylimits import OPA_ANSWER_BYTES_MAX, OPA_DEADLINE_S
from policy.bundle import BUILT_IN
from policy.evaluation import EvaluationError
from policy.opa.address import ServerAddress
from policy.opa.client import Request, open_http
from tests.parts import require

READY_S: Final = 20.0
TURN_S: Final = 0.02


class OpaProcess:
    """A server that can be stopped and started again where it was."""

    def __init__(self, address: ServerAddress, arguments: list[str]) -> None:
        self.address = address
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return self.address.url

    async def start(self) -> None:
        """Start it and wait until it answers."""
        program = await asyncio.to_thread(require, "opa")
        self._process = await asyncio.create_subprocess_exec(
            program,
            "run",
            "--server",
            "--log-level=error",
            "--disable-telemetry",
            *self._arguments,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(READY_S):
            while not await self._answers():
                assert self._process.returncode is None, "OPA ended by itself"
                await asyncio.sleep(TURN_S)

    async def stop(self) -> None:
        """Kill it, as a crash would."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()

    async def _answers(self) -> bool:
        http = await open_http(self.address)
        try:
            url = http.url("/health")
            await http.send(Request(url, OPA_DEADLINE_S, OPA_ANSWER_BYTES_MAX))
        except EvaluationError:
            return False
        finally:
            await http.close()
        return True


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running_opa(
    *arguments: str, address: ServerAddress | None = None
) -> AsyncIterator[OpaProcess]:
    """Yield a server started with `arguments`, on a free port unless told where."""
    if address is None:
        address = ServerAddress(url=f"http://127.0.0.1:{free_port()}")
    where = address.url if address.socket is None else f"unix://{address.socket}"
    listen = where if address.socket else f"{address.host}:{address.port}"
    process = OpaProcess(address, [f"--addr={listen}", *arguments])
    try:
        await process.start()
        yield process
    finally:
        await process.stop()


BUILT_IN_POLICY: Final = tuple(str(path) for path in sorted(BUILT_IN.glob("*.rego")))
"""The files of the built-in policy, as OPA is given them."""
