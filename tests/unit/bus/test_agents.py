"""Who there is, and who may connect: policy alone says so."""

import pytest

from bus.core.errors import (
    DeniedError,
    LimitExceededError,
    UnknownAgentError,
)
from bus.core.limits import AGENTS_MAX
from tests.fakes.buses import PartsBus, data, lower_bound, new_bus


async def test_an_unknown_agent_is_refused_with_a_suggestion() -> None:
    """Only the policy data says who there is."""
    async with new_bus() as bus:
        with pytest.raises(UnknownAgentError, match="planner"):
            bus.agent("planer")


async def test_a_disabled_agent_cannot_be_had() -> None:
    """It is as unknown as any other name."""
    policy = data()
    policy["agents"]["critic"]["enabled"] = False
    async with new_bus(policy) as bus:
        with pytest.raises(UnknownAgentError):
            bus.agent("critic")


async def test_an_agent_of_a_disabled_tenant_may_not_connect() -> None:
    """Connecting is authorised, and the refusal recorded."""
    policy = data()
    policy["tenants"]["globex"]["enabled"] = False
    async with PartsBus(policy) as bus:
        with pytest.raises(DeniedError, match="globex"):
            bus.agent("spy")
        assert bus.audit.events() == ["denied"]


async def test_an_agent_says_who_it_is() -> None:
    """Name, tenant and roles are policy's, and one agent is one object."""
    async with new_bus() as bus:
        planner = bus.agent("planner")
        assert planner is bus.agent("planner")
        assert (planner.name, planner.tenant) == ("planner", "acme")
        assert planner.roles == ("all",)
        assert "planner" in repr(planner)


async def test_agents_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a new agent is refused; known ones stay."""
    assert AGENTS_MAX > 0
    lower_bound(monkeypatch, "AGENTS_MAX", 1)
    async with new_bus() as bus:
        planner = bus.agent("planner")
        with pytest.raises(LimitExceededError):
            bus.agent("worker")
        assert bus.agent("planner") is planner
