"""Policy data for tools and the tenant they act for: what an administrator would write.

Rule: it is made of the tools' descriptions and of the structure of the state they act
on. No task, no request and no call is an input of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from policy.toolcalls.arguments import Argument, arguments
from policy.toolcalls.knowledge import Knowledge, knowledge
from policy.toolcalls.naming import PUBLIC_MAIL, nouns
from policy.toolcalls.verbs import Effect, asks

ASSISTANT: Final = "assistant"
RECEIVER: Final = "tool-receiver"
_MONEY: Final = frozenset(["amount", "cost", "fee", "payment", "price", "sum", "total"])
_LITTLE: Final = frozenset(
    [
        "a",
        "an",
        "at",
        "by",
        "for",
        "from",
        "in",
        "into",
        "of",
        "on",
        "the",
        "to",
        "with",
    ]
)
_TURNS_TO_MONEY: Final = frozenset({"message", "create", "add"})


class Tool(msgspec.Struct, frozen=True):
    """A tool as its own description tells it. `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class Entry(msgspec.Struct, frozen=True):
    """What the policy reads of a tool.

    `asks` are the classes of effects of which a request has to ask for one, `nouns`
    what the tool is about.
    """

    subject: str
    effect: Effect
    asks: tuple[str, ...]
    nouns: tuple[str, ...]
    arguments: dict[str, Argument]
    parameters: dict[str, Any]


def policy_data(
    tenant: str,
    tools: Sequence[Tool],
    environment: Mapping[str, Any],
    subject_of: Mapping[str, str],
) -> dict[str, Any]:
    """Return the data for a tenant with one assistant; `subject_of` is by tool.

    The assistant's requests are those of its user, as a gateway in front of it says:
    role `assistant` carries them.
    """
    known = knowledge(environment)
    entries = {tool.name: _entry(tool, subject_of[tool.name], known) for tool in tools}
    meant = {a.of for entry in entries.values() for a in entry.arguments.values()}
    made: dict[str, Any] = {
        "public_mail": PUBLIC_MAIL,
        "tenants": {
            tenant: {
                "tools": entries,
                "own": known.own,
                "people": known.people,
                "names": known.names,
                "accounts": known.accounts,
                "domains": known.domains,
                "objects": {k: v for k, v in known.objects.items() if k in meant},
                "lookups": True,
            }
        },
        "agents": {
            f"assistant:{tenant}": {"tenant": tenant, "roles": [ASSISTANT]},
            f"tools:{tenant}": {"tenant": tenant, "roles": [RECEIVER]},
        },
        "roles": {
            ASSISTANT: {"tools": sorted(entries), "carries_request": True},
            RECEIVER: {"subscribe": [">"]},
        },
    }
    builtins: dict[str, Any] = msgspec.to_builtins(made)
    return builtins


def _entry(tool: Tool, subject: str, known: Knowledge) -> Entry:
    told = arguments(tool.name, tool.parameters, known.collections)
    classes = asks(tool.name, tool.description, tuple(told))
    effect: Effect = "act" if classes else "none"
    if not classes and any(argument.kind == "url" for argument in told.values()):
        effect = "fetch"
    if set(classes) & _TURNS_TO_MONEY and _is_payment(told):
        classes = ("money",)
    return Entry(
        subject=subject,
        effect=effect,
        asks=classes,
        nouns=tuple(dict.fromkeys(n for n in nouns(tool.name)[1:] if n not in _LITTLE)),
        arguments=told,
        parameters=tool.parameters,
    )


def _is_payment(told: Mapping[str, Argument]) -> bool:
    return any(argument.kind == "party" for argument in told.values()) and any(
        argument.kind == "number" and set(nouns(name)) & _MONEY
        for name, argument in told.items()
    )
