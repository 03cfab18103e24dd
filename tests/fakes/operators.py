"""Operators for tests: what they ask of a running node over HTTP, and a node to ask it of.

async with operated() as desk:
    status, answer = await desk.get("operator", "/v1/agents")
    status, answer = await desk.post("admin", "/v1/policy/evaluate", agent="planner")
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bus.config.governing import PolicySettings
from bus.core.edgeerrors import UnauthenticatedError
from bus.edge.operations import Operation
from bus.edge.operator import tomltext
from policy.bundle import BUILT_IN, read_folder
from tests.fakes.nodes import Running, data, running_node

TRIES = 200
"""Looks for something that comes about on its own, each after a moment."""


class Desk:
    """A running node, and clients of it that are kept."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.node = running.node
        self.bus = running.node.bus
        self.office = running.node.office
        self._clients: dict[str, aiohttp.ClientSession] = {}

    def client(self, agent: str) -> aiohttp.ClientSession:
        """Return an agent's client, the same one each time."""
        if agent not in self._clients:
            self._clients[agent] = self.running.client(agent)
        return self._clients[agent]

    async def get(self, agent: str, path: str, /, **query: Any) -> tuple[int, Any]:
        """Ask; return the status and what was answered."""
        given = {name: str(value) for name, value in query.items()}
        async with self.client(agent).get(path, params=given) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, agent: str, path: str, /, **body: Any) -> tuple[int, Any]:
        """Order; return the status and what was answered."""
        async with self.client(agent).post(path, json=body) as answer:
            return answer.status, await answer.json(content_type=None)

    async def put(
        self, agent: str, path: str, etag: str | None, /, **body: Any
    ) -> tuple[int, Any]:
        """Put, made from what `etag` names; return the status and what was answered."""
        headers = {} if etag is None else {"If-Match": f'"{etag}"'}
        client = self.client(agent)
        async with client.put(path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def let_in(self, agent: str) -> bool:
        """Tell whether an agent's token lets it in now."""
        try:
            await self.running.caller(agent)
        except UnauthenticatedError:
            return False
        return True

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that comes about on its own."""
        for _ in range(TRIES):
            if holds():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it did not come about")

    def operation(self, name: str) -> Operation:
        """Return an operation by its name."""
        found = {one.name: one for one in self.office.operations()}
        return found[name]

    async def events(self) -> list[tuple[str, str, str, str]]:
        """Return event, tenant, agent and detail of all that is recorded so far."""
        await self.bus.audit.flush()
        return [(r[0], r[3], r[4], r[7]) for r in self.office.tap.late]

    async def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            await client.close()


@asynccontextmanager
async def operated(
    policy_data: Mapping[str, Any] | Path | None = None, **sections: Any
) -> AsyncIterator[Desk]:
    """Run a node until the block is left."""
    async with running_node(policy_data, **sections) as running:
        desk = Desk(running)
        try:
            yield desk
        finally:
            await desk.close()


HOLDS = """package assent.authz

obligations contains {"type": "hold", "reason": "a person looks first"} if {
	input.action == "publish"
	startswith(input.message.subject, "risky.")
}
"""


def written_policy(folder: Path, *, toml: bool = False) -> tuple[Path, Path]:
    """Write rules that hold what is on `risky.>`, and data; return folder and data file.

    The data are those of `tests.fakes.nodes.data`.
    """
    rules = folder / "rules"
    rules.mkdir()
    for source in read_folder(BUILT_IN):
        (rules / source.name).write_text(source.text)
    (rules / "holds.rego").write_text(HOLDS)
    file = folder / ("data.toml" if toml else "data.json")
    if toml:
        file.write_text(tomltext.written(data()))
    else:
        file.write_bytes(msgspec.json.encode(data()))
    return rules, file


@asynccontextmanager
async def governed(
    folder: Path, *, toml: bool = False, **sections: Any
) -> AsyncIterator[Desk]:
    """Run a node under rules and data in files of a folder."""
    rules, file = await asyncio.to_thread(written_policy, folder, toml=toml)
    policy = PolicySettings(folder=rules, watch=False)
    async with operated(file, policy=policy, **sections) as desk:
        yield desk


def write_json(path: Path, content: Any) -> None:
    """Write a file; blocks."""
    path.write_bytes(msgspec.json.encode(content))
