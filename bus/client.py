"""The Python face: a bus to enter, agents to name, handlers to add.

async with bus:
    outcome = await bus.agent("planner").publish("tasks.new", task)
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar, Unpack

from bus.agent import Agent
from bus.core.errors import LimitExceededError, UnknownAgentError
from bus.core.limits import AGENTS_MAX, DRAIN_S, DRAIN_S_MAX
from bus.core.stats import Snapshot
from bus.core.validation import check_seconds
from bus.holds import HeldMessage
from bus.host import Host, Phase
from bus.letters import DeadLetter
from bus.parts import Parts
from bus.ports import Access, Strategy
from bus.spec import SubscribeOptions

F = TypeVar("F", bound=Callable[..., Awaitable[object]])


class BaseBus:
    """A bus over given parts. `bus.Bus` chooses them from settings."""

    def __init__(
        self, parts: Parts, *, broadcast: Strategy, drain_s: float = DRAIN_S
    ) -> None:
        self._host = Host(parts)
        self._broadcast = broadcast
        self._drain_s = drain_s
        self._agents: dict[str, Agent] = {}

    @property
    def running(self) -> bool:
        """Whether agents may publish now."""
        return self._host.open

    @property
    def phase(self) -> Phase:
        """Where the bus stands: new, running, draining or closed."""
        return self._host.phase

    def agent(self, name: str) -> Agent:
        """Return the agent `name`, who acts under its own identity only.

        Raises:
            UnknownAgentError: the policy data names no such agent.
            DeniedError: policy does not let it connect. Where policy must be waited
                for, the agent's first call does so, and is denied instead.
        """
        if not isinstance(name, str):
            raise UnknownAgentError(f"an agent's name is text, not {name!r}")
        known = self._agents.get(name)
        if known is not None:
            return known
        if len(self._agents) >= AGENTS_MAX:
            raise LimitExceededError(
                "agents", actual=len(self._agents) + 1, allowed=AGENTS_MAX
            )
        principal = self._host.parts.authorizer.principal(name)
        access = Access("connect", principal.id, principal.tenant)
        admitted = self._host.notes.admit_now(access) is not None
        agent = Agent(self._host, principal, self._broadcast, admitted=admitted)
        self._agents[name] = agent
        return agent

    def forget_changed(self) -> None:
        """Ask about every agent anew; forget handles that the data do not know any more.

        What such a handle does is decided under the data of now; `agent` makes a new
        one, or refuses.
        """
        for name, agent in list(self._agents.items()):
            agent.knock()
            try:
                known = self._host.parts.authorizer.principal(name)
            except UnknownAgentError:
                del self._agents[name]
                continue
            if (known.tenant, known.roles) != (agent.tenant, agent.roles):
                del self._agents[name]

    def subscriber(
        self, pattern: str, *, agent: str, **options: Unpack[SubscribeOptions]
    ) -> Callable[[F], F]:
        """Decorate an async function to handle, as `agent`, what matches `pattern`."""
        return self.agent(agent).subscriber(pattern, **options)

    @property
    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What was given up since the start, oldest first; `DEAD_LETTERS_KEPT_MAX` at most.

        What a store keeps of it: `Agent.dead_letters`.
        """
        return tuple(self._host.letters.kept)

    @property
    def held(self) -> tuple[HeldMessage, ...]:
        """What policy holds until an agent releases it, oldest first."""
        return self._host.holds.kept

    def now_ns(self) -> int:
        """Return the time of the bus's clock, in nanoseconds since the epoch."""
        return self._host.parts.clock.now_ns()

    def note(
        self, event: str, tenant: str, agent: str, subject: str, detail: str
    ) -> None:
        """Record what somebody did beside messages, in the audit record."""
        self._host.notes.told(event, tenant, agent, subject, detail)

    def stats(self) -> Snapshot:
        """Return everything counted so far."""
        return self._host.snapshot()

    async def __aenter__(self) -> Self:
        """Start; raises `BusAlreadyStartedError` the second time."""
        await self._host.start()
        return self

    async def close(self, *, drain: float | None = None) -> int:
        """Take no more, finish what is under way, stop.

        Returns how many deliveries were left after `drain` seconds (the bus's own by
        default); they are dead letters now, or stay kept where there is a store. Closing
        twice does nothing.
        """
        drain_s = self._drain_s if drain is None else drain
        return await self._host.stop(check_seconds("drain", drain_s, DRAIN_S_MAX))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close. A failure of the bus itself is raised; what the body raised stays."""
        del kind, trace
        await self.close()
        failure = self._host.failure
        if failure is not None:
            raise failure from error
