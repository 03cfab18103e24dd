"""A bus that is elsewhere: entered like the one in this process, with one agent's name.

async with bus.connect("wss://host/ws", token=token) as remote:
    outcome = await remote.agent().publish("tasks.new", task)
"""

import asyncio
import secrets
import ssl
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypedDict, TypeVar, Unpack

from bus.adapters.clock import SystemClock
from bus.core import serverframes as told
from bus.core.decision import Principal
from bus.core.edgelimits import (
    CLIENT_PATIENCE_S,
    CLIENT_PATIENCE_S_MAX,
    CLIENT_PREFETCH_MAX,
)
from bus.core.errors import (
    BusAlreadyStartedError,
    BusNotStartedError,
    LimitExceededError,
    UnknownAgentError,
    UsageError,
)
from bus.core.limits import DRAIN_S, DRAIN_S_MAX, GRACE_S, IDLE_CHECK_S
from bus.core.validation import check_seconds
from bus.crew import Crew
from bus.remote.address import Trust, address, tls
from bus.remote.agent import RemoteAgent
from bus.remote.greeting import greeted
from bus.remote.handling import handling
from bus.remote.line import Line
from bus.remote.link import Phase
from bus.remote.parts import Ways
from bus.remote.subscription import Gap
from bus.remote.takers import Takers
from bus.spec import SubscribeOptions

F = TypeVar("F", bound=Callable[..., Awaitable[object]])
_NAME_BYTES: Final = 9


class ConnectOptions(TypedDict, total=False):
    """How to connect.

    `token` is the credential; without one, the client's `certificate` and `key` (PEM
    files) are. `ca` is a PEM file of who may vouch for the node, the system's by default;
    `insecure` allows a plain address of another machine. With `resend` (the default) what
    a node with a store may have had is sent again under a dedup name. `prefetch`
    deliveries of each subscription wait here beside those in handlers' hands. A node that
    is away is looked for without end; calls wait for it `patience` seconds. `on_gap` is
    called where messages may have been missed.
    """

    token: str
    ca: str | Path
    certificate: str | Path
    key: str | Path
    insecure: bool
    resend: bool
    prefetch: int
    patience: float
    on_gap: Callable[[Gap], None]


def connect(url: str, **options: Unpack[ConnectOptions]) -> "RemoteBus":
    """Return a bus that is elsewhere, to enter with `async with` or to await.

    Raises:
        ConfigurationError: an address that is none, or a plain one of another machine.
        UsageError: no such option, or not of its type.
    """
    return RemoteBus(url, options)


class RemoteBus:
    """One agent's connection to a node. Get it from `connect`."""

    def __init__(self, url: str, options: ConnectOptions) -> None:
        for option in options:
            if option not in ConnectOptions.__annotations__:
                raise UsageError(f"connect has no option {option!r}")
        self._trust = Trust(
            ca=_path(options.get("ca")),
            certificate=_path(options.get("certificate")),
            key=_path(options.get("key")),
            insecure=bool(options.get("insecure", False)),
        )
        self._address = address(url, self._trust)
        self._context: ssl.SSLContext | None = None
        self._token = options.get("token")
        patience = options.get("patience", CLIENT_PATIENCE_S)
        clock = SystemClock()
        ways = Ways(
            dial=self._dial,
            clock=clock,
            draw=secrets.SystemRandom().random,
            patience_s=check_seconds("patience", patience, CLIENT_PATIENCE_S_MAX),
        )
        self._crew = Crew(self._failed)
        self._takers = Takers(
            ways, self._crew, prefetch=_prefetch(options.get("prefetch", 0))
        )
        self._takers.on_gap = options.get("on_gap")
        self._link = self._takers.link
        named = secrets.token_urlsafe(_NAME_BYTES)
        self._name = named if options.get("resend", True) else None
        self._agent: RemoteAgent | None = None
        self._failure: BaseException | None = None

    @property
    def running(self) -> bool:
        """Whether the agent may publish now; a lost line that is looked for counts."""
        return self._link.phase in {Phase.OPEN, Phase.AWAY}

    @property
    def connected(self) -> bool:
        """Whether there is a line to the node at this moment."""
        return self._link.phase is Phase.OPEN

    @property
    def lines(self) -> int:
        """How many lines there were: one more than lost ones that were made anew."""
        return self._link.lines

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """When messages may have been missed, oldest first; the last thousand."""
        return tuple(self._takers.gaps)

    @property
    def gap_count(self) -> int:
        """How many gaps there were."""
        return self._takers.gap_count

    def agent(self, name: str | None = None) -> RemoteAgent:
        """Return the agent that the credential is for.

        Raises:
            UnknownAgentError: `name` is another one's.
            BusNotStartedError: not connected yet.
        """
        if self._agent is None:
            raise BusNotStartedError("not connected: use 'async with bus.connect(...)'")
        if name is not None and name != self._agent.name:
            raise UnknownAgentError(
                f"the credential is for {self._agent.name!r}, not {name!r}"
            )
        return self._agent

    def subscriber(
        self,
        pattern: str,
        *,
        agent: str | None = None,
        **options: Unpack[SubscribeOptions],
    ) -> Callable[[F], F]:
        """Decorate an async function to handle what matches `pattern`."""
        return self.agent(agent).subscriber(pattern, **options)

    def __await__(self) -> Generator[Any, None, Self]:
        """Connect. Whoever awaits it has to `close` it, or to enter it."""
        return self._open().__await__()

    async def __aenter__(self) -> Self:
        """Connect, unless it has been awaited already."""
        return self if self._link.phase is not Phase.NEW else await self._open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close. A failure of the connection's own is raised; what the body raised stays."""
        del kind, trace
        await self.close()
        if self._failure is not None:
            raise self._failure from error

    async def close(self, *, drain: float | None = None) -> int:
        """Take no more, finish what is under way within `drain` seconds, hang up.

        Returns how many deliveries became dead letters by that; what is kept for durable
        subscriptions stays kept. Closing twice does nothing.

        Raises:
            UsageError: called from a handler.
        """
        if handling.get() is not None:
            raise UsageError("a handler cannot close the connection that runs it")
        drain_s = check_seconds(
            "drain", DRAIN_S if drain is None else drain, DRAIN_S_MAX
        )
        left = 0
        try:
            if self._link.phase is Phase.OPEN:
                left = await self._drain(drain_s)
        finally:
            self._takers.close()
            await self._link.close()
            await self._crew.end(GRACE_S)
        return left

    async def _drain(self, drain_s: float) -> int:
        """End the subscriptions and wait for what was asked, each for its time."""
        left = 0
        until = asyncio.get_running_loop().time() + drain_s
        removed = [
            self._takers.remove(sub, drain_s, forget=False) for sub in self._takers.all
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in removed]
        left = sum(task.result() for task in tasks)
        while self._link.busy and asyncio.get_running_loop().time() < until:
            await _pause()
        return left

    async def _open(self) -> Self:
        if self._link.phase is not Phase.NEW:
            raise BusAlreadyStartedError("a connection is opened once; make a new one")
        line = await self._link.open()
        connected = self._link.connected
        if connected is not None:
            principal = Principal(
                connected.agent, connected.tenant, tuple(connected.roles)
            )
            self._agent = RemoteAgent(self._takers, principal, self._name)
        self._crew.start(self._link.run(line), "assent connection")
        return self

    async def _dial(self, session: str | None) -> tuple[Line, told.Connected]:
        """Open a line and be let in; raises as `greeted`."""
        if self._context is None and self._address.secure:
            # It reads files, once.
            self._context = await asyncio.to_thread(tls, self._trust)
        who = None if self._agent is None else (self._agent.name, self._agent.tenant)
        return await greeted(
            self._address.socket, self._context, self._token, session, who
        )

    def _failed(self, error: BaseException) -> None:
        """Take nothing more: a part of the connection itself has failed."""
        self._failure = self._failure or error
        self._link.phase = Phase.CLOSED


async def _pause() -> None:
    await asyncio.sleep(IDLE_CHECK_S)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _prefetch(given: object) -> int:
    if type(given) is not int or given < 0:
        raise UsageError(f"prefetch is {given!r}; a whole number from 0")
    if given > CLIENT_PREFETCH_MAX:
        raise LimitExceededError("prefetch", actual=given, allowed=CLIENT_PREFETCH_MAX)
    return given
