"""Removing a consumer, for the agent whose it is.

Rule: what waits for it goes with it, so nobody else may do that, and nobody by the way.
"""

from bus.core.edgeerrors import ConflictError, ForbiddenError, NotFoundError
from bus.edge.caller import Caller, Scope
from bus.edge.gate import Gate
from bus.edge.governinganswers import Forget, Forgotten
from bus.edge.operations import Operation
from bus.host import Host


class Forgetting:
    """Removes consumers of one bus."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._host: Host = gate.bus._host  # noqa: SLF001 - no agent finds a consumer by name

    async def forget(self, caller: Caller, given: Forget) -> Forgotten:
        """Remove a consumer of the caller's own, with all that is kept for it.

        Raises:
            NotFoundError: nothing is kept under that name.
            ForbiddenError: it is another agent's.
            ConflictError: others subscribe to it as well.
        """
        agent = self._gate.agent(caller)
        self._host.require_open()
        await agent.connected()
        ledger = self._host.ledger
        if ledger is None:
            raise NotFoundError("nothing is kept here: this bus has no store")
        consumer = ledger.consumers.named(agent.tenant, given.name)
        if consumer is None:
            raise NotFoundError(f"nothing is kept for a consumer {given.name!r}")
        if consumer.row.agent != agent.name:
            raise ForbiddenError(f"consumer {given.name!r} is another agent's")
        if len(consumer.members) > 1:
            raise ConflictError(f"consumer {given.name!r} has other members")
        left = max(consumer.pending, 0)
        for member in tuple(consumer.members):
            await self._host.detach(member, 0.0)
        ledger.forget(agent.tenant, given.name)
        return Forgotten(name=given.name, left=left)


def operations(gate: Gate) -> tuple[Operation, ...]:
    """Return the operation that removes a consumer."""
    return (
        Operation(
            name="forget_consumer",
            method="DELETE",
            path="/v1/consumers/{name}",
            summary="Remove a consumer of the caller's own, with what waits for it",
            scope=Scope.AGENT,
            asks=Forget,
            answers=Forgotten,
            run=Forgetting(gate).forget,
            writes=True,
            errors=("denied", "not_started", "not_found", "forbidden", "conflict"),
        ),
    )
