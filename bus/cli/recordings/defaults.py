"""Policy data for a replay where nobody gave any: what an administrator would write.

Rule: it is made from names only, of agents, tenants and tools. Reading tools are for
everybody with the role `assistant-reader`; those with effects need the role
`assistant-operator`; what is no tool is granted to nobody.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from bus.cli.recordings.formats import Action
from bus.cli.recordings.verbs import judge, tool_of
from bus.core.errors import MalformedMessageError

Role = Literal["reader", "operator"]
READER: Final = "assistant-reader"
OPERATOR: Final = "assistant-operator"
RECEIVER: Final = "tool-receiver"
RECEIVER_PREFIX: Final = "tools:"
_ROLES: Final[dict[str, list[str]]] = {
    "reader": [READER],
    "operator": [READER, OPERATOR],
}
_TYPES: Final = ("command", "task_request")


class Rules(msgspec.Struct, frozen=True):
    """What the default data grants, and the roles that recorded agents got.

    `reading` and `effect` have each tool with the word of its name that decided.
    """

    roles: list[str]
    reading: dict[str, str]
    effect: dict[str, str]


def receiver(tenant: str) -> str:
    """Return the name of the agent that receives the requests of a tenant."""
    return RECEIVER_PREFIX + tenant


def rules(actions: Sequence[Action], role: Role) -> Rules:
    """Judge every tool that occurs, by the token of its subject."""
    names = sorted({t for a in actions if (t := tool_of(a.subject)) is not None})
    judged = {name: judge(name) for name in names}
    return Rules(
        _ROLES[role],
        {name: j.word for name, j in judged.items() if j.reads},
        {name: j.word for name, j in judged.items() if not j.reads},
    )


def policy_data(actions: Sequence[Action], found: Rules) -> dict[str, Any]:
    """Return policy data for the agents and tools of a recording.

    Raises:
        MalformedMessageError: an agent in two tenants, or with a receiver's name.
    """
    tenants: dict[str, str] = {}
    for action in actions:
        known = tenants.setdefault(action.agent, action.tenant)
        if known != action.tenant:
            raise MalformedMessageError(
                f"agent {action.agent!r} is recorded in two tenants, {known!r} and "
                f"{action.tenant!r}; an agent has one"
            )
        if action.agent.startswith(RECEIVER_PREFIX):
            raise MalformedMessageError(
                f"agent {action.agent!r}: names that begin with "
                f"{RECEIVER_PREFIX!r} are those of the receiving agents"
            )
    receivers = {
        receiver(tenant): {"tenant": tenant, "roles": [RECEIVER]}
        for tenant in sorted(set(tenants.values()))
    }
    return {
        "tenants": {tenant: {} for tenant in sorted(set(tenants.values()))},
        "agents": {
            **{
                agent: {"tenant": tenant, "roles": found.roles}
                for agent, tenant in sorted(tenants.items())
            },
            **receivers,
        },
        "roles": {
            READER: {"publish": _grants(found.reading)},
            OPERATOR: {"publish": _grants(found.effect)},
            RECEIVER: {"subscribe": [">"]},
        },
    }


def _grants(tools: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {"subject": f"tool.{tool}.request", "types": list(_TYPES)} for tool in tools
    ]
