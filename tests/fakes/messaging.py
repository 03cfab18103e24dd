"""The HTTP interface of messages over a real bus, on a free port of loopback.

async with serving() as site:
    async with site.client("planner") as client:
        async with client.post("/v1/messages", json={...}) as answer: ...

Who asks is told by `Authorization: Bearer AGENT`; scopes are those of `SCOPES`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiohttp import web

from bus.adapters.clock import SystemClock
from bus.app import Bus
from bus.config import Settings
from bus.config.governing import PolicySettings
from bus.config.keeping import StoreSettings
from bus.config.settings import AuditSettings, BusSettings
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.edgelimits import HTTP_REQUEST_BYTES_MAX
from bus.edge.caller import Caller, Scope
from bus.edge.connections import Connections
from bus.edge.gate import Gate
from bus.edge.http import described, openapi, problems
from bus.edge.http.messaging import Messaging
from bus.ports import Clock, Timer
from tests.fakes.buses import DRAIN_S, data

SCOPES = {"operator": Scope.OPERATOR, "admin": Scope.ADMIN}


def policy_data() -> dict[str, Any]:
    """Return the agents of two tenants, with an operator of one and an admin."""
    made = data()
    for name in SCOPES:
        made["agents"][name] = {"tenant": "acme", "roles": ["all"]}
    made["agents"]["boss"] = {"tenant": "globex", "roles": ["all"]}
    return made


class HurriedClock(SystemClock):
    """A clock that runs `speed` times as fast, so that what waits does so briefly."""

    def __init__(self, speed: int = 100) -> None:
        super().__init__()
        self._speed = speed
        self._begun_ns = super().now_ns()

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch, as if time ran faster."""
        return self._begun_ns + (super().now_ns() - self._begun_ns) * self._speed

    def call_after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call back after a part of `delay_s`."""
        return super().call_after(delay_s / self._speed, callback)


class Site:
    """A served bus: `url`, `bus`, and the door with its desk."""

    def __init__(self, bus: Bus, policy: dict[str, Any]) -> None:
        self.bus = bus
        self.connections = Connections()
        self.door = Messaging(Gate(bus), self.connections, self.who)
        self.url = ""
        self.policy = policy
        self._agents = policy["agents"]

    async def who(self, request: web.Request) -> Caller:
        """Return the caller whose name the request bears."""
        name = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if name not in self._agents:
            raise UnauthenticatedError("no such token")
        return Caller(
            agent=name,
            tenant=self._agents[name]["tenant"],
            scope=SCOPES.get(name, Scope.AGENT),
            credential=f"test token of {name}",
        )

    def application(self) -> web.Application:
        """Return the application, with its OpenAPI document."""
        app = web.Application(
            middlewares=[problems.answer], client_max_size=HTTP_REQUEST_BYTES_MAX
        )
        self.door.add_routes(app)
        openapi.add_route(app, self.document())
        return app

    def document(self) -> dict[str, Any]:
        """Return the OpenAPI document of the door."""
        return openapi.document(
            self.door.operations,
            version="0",
            examples=described.EXAMPLES,
            paths=self.door.paths,
            schemas=described.SCHEMAS,
        )

    def client(self, agent: str, **headers: str) -> aiohttp.ClientSession:
        """Return a client that acts as an agent."""
        named = {"Authorization": f"Bearer {agent}", **headers}
        return aiohttp.ClientSession(self.url, headers=named)


async def until(condition: Callable[[], bool]) -> None:
    """Return once something holds; fail where it does not within ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.001)


def new_served_bus(
    policy: dict[str, Any], settings: Settings, clock: Clock | None
) -> Bus:
    """Return a bus: its policy is read from files, as before a program's loop runs."""
    return Bus(policy, settings=settings, clock=clock)


@asynccontextmanager
async def serving(
    store: Literal["direct", "memory", "sqlite"] = "memory",
    *,
    audit: Path | None = None,
    **more: Any,
) -> AsyncIterator[Site]:
    """Serve a bus with a store of that kind until the block is left."""
    policy = policy_data()
    if more.pop("holding", False):
        policy["compliance"] = {
            "review": [{"subject": "payments.>", "reason": "money", "seconds": 60}]
        }
        more["policy"] = PolicySettings(areas=("compliance",))
    clock: Clock | None = more.pop("clock", None)
    settings = Settings(
        bus=BusSettings(drain_seconds=DRAIN_S),
        store=StoreSettings(kind=store),
        audit=AuditSettings(file=audit) if audit else AuditSettings(),
        **more,
    )
    bus = new_served_bus(policy, settings, clock)
    site = Site(bus, policy)
    async with bus:
        runner = web.AppRunner(
            site.application(),
            access_log=None,
            shutdown_timeout=1,
            auto_decompress=False,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield site
        finally:
            await runner.cleanup()
