"""An OPA server as the policy of a bus.

Rule: the server is asked who the agents are when the bus is made, so that one program
runs on every engine; whatever it cannot answer then stops the start.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from bus.core.breaker import State
from bus.core.errors import ConfigurationError, PolicyLoadError, UnavailableError
from bus.core.policylimits import OPA_READ_S
from policy.awaiting import AwaitedPolicy, AwaitingAuthorizer, Spawn
from policy.bundle import Bundle
from policy.evaluation import EvaluationError
from policy.fields import InputPlan
from policy.governance import Activate, spawn_with
from policy.keeping import Keeping
from policy.opa.address import ServerAddress
from policy.opa.server import OpaServer, connect
from policy.opa.source import ServerPolicy


class AtServer:
    """An OPA server: its policy is its own business, and it is asked over HTTP."""

    def __init__(
        self,
        address: ServerAddress,
        *,
        now_ns: Callable[[], int],
        keeping: Keeping,
    ) -> None:
        """Ask the server who the agents are, for at most OPA_READ_S.

        Raises:
            ConfigurationError: it does not answer, or has no valid policy.
        """
        self._address = address
        self._now_ns = now_ns
        self._read = _peek(address, now_ns)
        self._server: OpaServer | None = None
        self._spawned: Spawn | None = None
        self._overtaken = self._logged = False
        self.authorizer = AwaitingAuthorizer(
            self._read.agents,
            now_ns=now_ns,
            spawn=self._spawn,
            keeping=keeping,
            overtaken=self._note,
        )

    async def open(self, spawn: Spawn, *, logged: bool) -> None:
        """Connect, and read what the server's policy depends on."""
        self._spawned, self._logged = spawn, logged
        self._server = await connect(self._address, now_ns=self._now_ns)
        await self.renew()

    async def changed(self) -> bool:
        """Ask the server, or know it from an answer of its own."""
        if self._overtaken:
            return True
        return await self._connected().changed(self._read)

    async def renew(self) -> None:
        """Read the policy that the server has now."""
        server = self._connected()
        read = await server.read()
        if self._logged and read.masks:
            raise PolicyLoadError(
                "the server's policy masks decisions (package system.log), which this "
                "bus cannot do for it: use OPA's own decision log, or remove the rules"
            )
        self._overtaken = False
        self._read = read
        self.authorizer.put(
            AwaitedPolicy(
                revision=read.revision,
                engine=server,
                plan=InputPlan(read.dependencies.input),
                agents=read.agents,
                cacheable=not read.dependencies.volatile,
                told=read.known,
            )
        )

    async def follow(self, activate: Activate) -> bool:
        """Return False: the server is asked."""
        del activate
        return False

    def bundle(self) -> Bundle | None:
        """Return None: the files are the server's."""
        return None

    def health(self) -> tuple[bool, str]:
        """Tell whether the server is asked, or left alone by its breaker."""
        if self._server is None:
            return False, "not connected"
        state = self._server.breaker
        told = f"revision {self.authorizer.revision}, breaker {state.value}"
        return state is not State.OPEN, told

    async def close(self) -> None:
        """Close all connections."""
        if self._server is not None:
            await self._server.close()

    def _connected(self) -> OpaServer:
        if self._server is None:
            raise EvaluationError("not connected yet", kind="unavailable")
        return self._server

    def _note(self) -> None:
        self._overtaken = True

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        spawn_with(self._spawned, work, name)


def _peek(address: ServerAddress, now_ns: Callable[[], int]) -> ServerPolicy:
    """Return the server's policy; on a thread, because a loop may run on this one."""
    found: list[ServerPolicy | BaseException] = []

    async def read() -> ServerPolicy:
        server = await connect(address, now_ns=now_ns)
        try:
            return await server.read()
        finally:
            await server.close()

    def run() -> None:
        try:
            found.append(asyncio.run(asyncio.wait_for(read(), OPA_READ_S)))
        except BaseException as error:  # noqa: BLE001 - raised below, by who waits
            found.append(error)

    thread = threading.Thread(target=run, name="assent opa peek", daemon=True)
    thread.start()
    thread.join()
    (result,) = found
    if isinstance(result, PolicyLoadError | ConfigurationError):
        raise result
    if isinstance(result, UnavailableError | TimeoutError):
        raise ConfigurationError(
            f"policy.engine is opa, and the server at {address.url} does not answer: "
            f"{result}; start it there, or set opa.url to where it is"
        ) from result
    if isinstance(result, BaseException):
        raise result
    return result
