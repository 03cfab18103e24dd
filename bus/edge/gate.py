"""What every door asks: the agent that a caller is, on the bus behind it.

Rule: identity goes in here and nowhere else. A caller acts as its own agent only, and an
agent that policy data gave to another tenant since is not that agent.
"""

from bus.agent import Agent
from bus.app import Bus
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.errors import UnknownAgentError
from bus.edge.caller import Caller


class Gate:
    """The bus as doors see it."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    def agent(self, caller: Caller) -> Agent:
        """Return the agent that the caller is.

        Raises:
            UnauthenticatedError: policy data know no such agent of that tenant any more.
            DeniedError: policy does not let it connect.
        """
        try:
            agent = self.bus.agent(caller.agent)
        except UnknownAgentError as error:
            raise UnauthenticatedError(
                f"{caller.credential} is for an agent that policy data do not name"
            ) from error
        if agent.tenant != caller.tenant:
            raise UnauthenticatedError(
                f"{caller.credential} is for another tenant than the agent's"
            )
        return agent

    def note(self, caller: Caller, event: str, subject: str, detail: str) -> None:
        """Record what a caller did beside messages, and by which credential."""
        by = f"{detail}; by {caller.credential}" if caller.credential else detail
        self.bus.note(event, caller.tenant, caller.agent, subject, by)
