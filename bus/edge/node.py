"""A node: a bus, who may reach it, and the doors it is reached by.

Rule: the endpoint is there before the bus and after it, so that whoever asks learns that
it is starting or draining. Stopping takes nothing new, tells those who are connected,
lets what is under way end within `bus.drain_seconds`, and then closes everything.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from bus.adapters import control
from bus.adapters.clock import SystemClock
from bus.adapters.metrics import Metrics
from bus.adapters.tokens import TokenFile
from bus.app import Bus
from bus.config import Settings
from bus.core.edgelimits import NODE_GRACE_S
from bus.core.errors import (
    AuditStalledError,
    BusAlreadyStartedError,
    ConfigurationError,
    UnknownAgentError,
)
from bus.crew import Crew
from bus.edge import doors, safety
from bus.edge.caller import Scope
from bus.edge.care import Care
from bus.edge.certificates import Certificates
from bus.edge.connections import Connections, Ending
from bus.edge.credentials import Parts, Prover
from bus.edge.defaults import ADMIN
from bus.edge.finding import finder
from bus.edge.gate import Gate
from bus.edge.granting import Wish, grant
from bus.edge.hooks.desk import Desk
from bus.edge.hooks.family import Bounds
from bus.edge.http.app import Application, application
from bus.edge.http.health import Check, Health, insider_of
from bus.edge.http.jwks import fetch_of
from bus.edge.http.serving import serve, url_of
from bus.edge.http.who import Who, who_of
from bus.edge.identity import Identity
from bus.edge.issuers import Issuers
from bus.edge.operator.office import Office
from bus.edge.sessions import Sessions
from bus.edge.tokens import Tokens
from bus.policing import PolicyData
from bus.ports import Clock

_LEAVING: Final = Ending("going_away", "the node stops")


class Node:
    """One process that agents, operators and browsers reach. Make it before the loop runs.

    async with Node(settings) as node:
        print(node.url)

    Raises:
        ConfigurationError: the settings cannot be honoured, or would not be safe.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        policy_data: PolicyData | None = None,
        clock: Clock | None = None,
        version: str = "",
    ) -> None:
        self.settings = settings or Settings()
        self._clock = clock or SystemClock()
        # What can be refused comes before what makes files.
        self._tls = safety.checked(self.settings)
        signed, certified = _provers(self.settings, self._clock)
        self.bus = Bus(policy_data, settings=self.settings, clock=self._clock)
        self.gate = Gate(self.bus)
        self.tokens = Tokens(
            TokenFile(self.settings.node.tokens_file), self._clock.now_ns
        )
        self.identity = self._identified(signed, certified)
        self.connections = Connections(
            self.settings.node.connections, self.settings.node.agent_connections
        )
        hooks = self.settings.hooks
        self.desk = Desk(self.gate, hooks.agents, Bounds(hooks.depth, hooks.fan_out))
        self.office = Office(
            self.gate,
            self.identity,
            self.connections,
            tokens=self.tokens,
            find=finder(self.gate),
            version=version,
        )
        self.version = version
        self._crew = Crew(self._failed)
        self._care = Care(
            self.identity,
            self.connections,
            lambda: self.bus.revision,
            self._clock.now_ns,
        )
        self._stack = AsyncExitStack()
        self._begun = False
        self.draining = False
        self.failed = asyncio.Event()
        self._failure: BaseException | None = None
        self.port = 0
        self._app = self._application(who_of(self.identity))

    def _identified(self, signed: Prover | None, certified: Prover | None) -> Identity:
        now_ns, bus = self._clock.now_ns, self.bus
        return Identity(
            Parts(
                tokens=self.tokens,
                sessions=Sessions(now_ns, self.settings.node.session_seconds),
                principal=lambda agent: bus.authorizer.principal(agent),  # noqa: PLW0108 - it may be another one later
                record=self._record,
                now_ns=now_ns,
                signed=signed,
                certified=certified,
            )
        )

    def _application(self, who: Who) -> Application:
        health = Health(
            checks=self.checks,
            render=Metrics(self.bus.stats, self.version).render,
            insider=insider_of(self.settings.http.metrics, who),
        )
        inside = doors.Inside(
            self.gate,
            self.identity,
            self.tokens,
            self.connections,
            who,
            self.desk,
            self.office,
            self._clock.now_ns,
            self._clock,
            self.version,
        )
        every = doors.of_node(inside)
        return application(health, every, ending=lambda: self.draining)

    def _record(self, event: str, agent: str, text: str) -> None:
        """Record an event of identity; what cannot be recorded is not looked at."""
        if self.bus.audit.full:
            raise AuditStalledError("the audit record has no room")
        self.bus.note(event, "", agent, "", text)

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch, by the clock of the bus."""
        return self._clock.now_ns()

    @property
    def url(self) -> str:
        """Where the node is reached; its port is known once it runs."""
        secure = self._tls is not None
        return url_of(self.settings.http.host, self.port, secure=secure)

    async def __aenter__(self) -> Self:
        """Begin to serve, then start the bus.

        Raises what keeps the address from being served or the bus from starting.
        """
        if self._begun:
            raise BusAlreadyStartedError("a node starts once; make a new one")
        self._begun = True
        http, enter = self.settings.http, self._stack.enter_async_context
        self._stack.push_async_callback(self.tokens.close)
        try:
            endpoint = serve(self._app, http.host, http.port, self._tls)
            self.port = await enter(endpoint)
            await enter(
                control.serve(self.settings.control.socket, self.bus.commands())
            )
            self._stack.push_async_callback(self._crew.end, NODE_GRACE_S)
            await enter(self.bus)
            self.desk.open()
            self._stack.push_async_callback(self._drained)
            self._stack.push_async_callback(self.office.close)
            self._crew.start(self.office.run(), "assent series")
            self._crew.start(self._care.watch(), "assent credentials")
            self._crew.start(self._care.look_after(), "assent connections")
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tell who is connected, drain, and close. A failure of the bus is raised."""
        await self._stack.__aexit__(kind, error, trace)
        if self._failure is not None and error is None:
            raise self._failure

    async def first_token(self) -> str | None:
        """Make a token for the admin if there is none of anybody; return its text.

        None if there are tokens, or if no agent is named for it and policy data have no
        `admin`.

        Raises:
            ConfigurationError: `node.admin` is an agent that policy data do not name.
        """
        named = self.settings.node.admin
        if self.tokens.held.tokens:
            return None
        try:
            principal = self.bus.authorizer.principal(named or ADMIN)
        except UnknownAgentError as error:
            if named is None:
                return None
            raise ConfigurationError(f"node.admin: {error}") from error
        wish = Wish(scope=Scope.ADMIN, label="the first one")
        now_ns = self._clock.now_ns()
        row, text = grant(principal, wish, made_by="assent up", now_ns=now_ns)
        if not await self.tokens.add(row, first=True):
            return None
        self.bus.note(
            "token_made", row.tenant, row.agent, "", f"token {row.id}, the first one"
        )
        return text

    async def _drained(self) -> None:
        """Stop the bus while its doors are still there, so that what is out is settled."""
        self.draining = True
        self.connections.drain(self.settings.bus.drain_seconds)
        try:
            await self.bus.close()
        finally:
            self.connections.end(lambda _: True, _LEAVING)

    def checks(self) -> Mapping[str, Check]:
        """Return each check by name."""

        def check(name: str) -> Check:
            return lambda: self.bus.health()[name]

        found: dict[str, Check] = {name: check(name) for name in self.bus.health()}
        found["credentials read"] = lambda: self._care.health
        return found

    def _failed(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.failed.set()


def _provers(
    settings: Settings, clock: Clock
) -> tuple[Issuers | None, Certificates | None]:
    """Return what proves JWTs and certificates, where the settings name any."""
    issuers, certificates = settings.issuers, settings.certificates
    return (
        Issuers(issuers, fetch_of, clock.now_ns) if issuers else None,
        Certificates(certificates) if certificates else None,
    )
