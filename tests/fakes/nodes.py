"""Nodes for tests: a real node on a free port of loopback, and tokens to reach it.

async with running_node() as running:
    headers = running.bearer("planner")                      # an AGENT token
    async with running.client("planner") as client:          # aiohttp, headers set
        async with client.get("/readyz") as answer: ...
    running.node.bus, running.node.identity, running.node.connections, running.url

Agents: those of `tests.fakes.buses.DATA` (planner, critic, worker, intern of acme, spy of
globex), and `operator` (OPERATOR) and `admin` (ADMIN) of acme, `globex-operator` of globex.
`running.token(agent)` is the text of its token, of the scope above; AGENT for the others.
"""

import copy
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bus.adapters.clock import SystemClock
from bus.adapters.tokens import TokenRow
from bus.config import Settings
from bus.config.edge import HttpSettings, NodeSettings
from bus.config.settings import BusSettings
from bus.edge import tokens
from bus.edge.caller import Caller, Presented, Scope
from bus.edge.node import Node
from bus.ports import Clock
from tests.fakes.buses import DATA, DRAIN_S

SCOPES = {
    "planner": Scope.AGENT,
    "critic": Scope.AGENT,
    "worker": Scope.AGENT,
    "intern": Scope.AGENT,
    "spy": Scope.AGENT,
    "operator": Scope.OPERATOR,
    "globex-operator": Scope.OPERATOR,
    "admin": Scope.ADMIN,
}
"""What the tokens of a running node are good for, by agent."""

EVERYTHING = {
    "publish": [{"subject": ">"}],
    "request": [{"subject": ">"}],
    "subscribe": [">", "$DEAD.>", "$SYS.>"],
    "cooldown": [">"],
    "release": [">"],
    "chaos": [">"],
}


def data() -> dict[str, Any]:
    """Return policy data of two tenants with agents, operators and an admin."""
    made = copy.deepcopy(DATA)
    made["roles"]["operator"] = copy.deepcopy(EVERYTHING)
    made["agents"] |= {
        "operator": {"tenant": "acme", "roles": ["operator"]},
        "admin": {"tenant": "acme", "roles": ["operator"]},
        "globex-operator": {"tenant": "globex", "roles": ["operator"]},
    }
    return made


def settings(**sections: Any) -> Settings:
    """Return settings of a node on a free port that drains briefly, with nothing on disk.

    A section that is given replaces the one here.
    """
    usual: dict[str, Any] = {
        "bus": BusSettings(drain_seconds=DRAIN_S),
        "http": HttpSettings(port=0),
        "node": NodeSettings(folder=None),
    }
    return Settings(**{**usual, **sections})


def new_node(
    policy_data: Mapping[str, Any] | Path | None = None,
    given: Settings | None = None,
    clock: Clock | None = None,
) -> Node:
    """Return a node that is not started; making one reads files."""
    return Node(
        given or settings(),
        policy_data=data() if policy_data is None else policy_data,
        clock=clock,
        version="0.0.0",
    )


class Running:
    """A node that runs, with what tests need to reach it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._texts: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Where the node is, without a slash at the end."""
        return self.node.url

    async def add_token(
        self, agent: str, scope: Scope = Scope.AGENT, **changes: Any
    ) -> str:
        """Make a token of an agent and return its text; `changes` are fields of its row."""
        minted = tokens.mint()
        principal = self.node.bus.authorizer.principal(agent)
        row = TokenRow(
            id=minted.id,
            digest=minted.digest,
            agent=agent,
            tenant=principal.tenant,
            roles=principal.roles,
            scope=scope.value,
            label="a test's",
            made_by="a test",
            created_ns=SystemClock().now_ns(),
        )
        await self.node.tokens.add(msgspec.structs.replace(row, **changes))
        return minted.text

    async def add_tokens(self) -> None:
        """Make the tokens that `token` returns, of the agents that policy data name."""
        for agent, scope in SCOPES.items():
            if agent in self.node.bus.authorizer.bundle.data.get("agents", {}):
                self._texts[agent] = await self.add_token(agent, scope)

    def token(self, agent: str) -> str:
        """Return the text of an agent's token."""
        return self._texts[agent]

    def bearer(self, agent: str) -> dict[str, str]:
        """Return the header that shows an agent's token."""
        return {"Authorization": f"Bearer {self.token(agent)}"}

    async def caller(self, agent: str) -> Caller:
        """Return the caller that an agent's token makes."""
        shown = self.node.identity.authenticate
        return await shown(presented(self.token(agent)))

    def client(self, agent: str | None = None, **options: Any) -> aiohttp.ClientSession:
        """Return a client of the node, with an agent's token or without any."""
        headers = {} if agent is None else self.bearer(agent)
        return aiohttp.ClientSession(self.url, headers=headers, **options)


def presented(bearer: str, address: str = "192.0.2.1") -> Presented:
    """Return what a peer shows."""
    return Presented(address=address, bearer=bearer)


@asynccontextmanager
async def running_node(
    policy_data: Mapping[str, Any] | Path | None = None,
    *,
    clock: Clock | None = None,
    **sections: Any,
) -> AsyncIterator[Running]:
    """Run a node on a free port until the block is left; see above for what it has."""
    node = new_node(policy_data, settings(**sections), clock)
    async with node:
        running = Running(node)
        await running.add_tokens()
        yield running
