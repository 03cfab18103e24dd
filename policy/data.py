"""The data that rules consult: who the agents are, and what their roles grant.

Rule: data is refused as a whole when one entry is wrong. Duplicate keys, numbers the
engine would round, unknown fields, names that refer to nothing: each has a reason.
"""

from collections.abc import Container, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bus.core.decision import Principal
from bus.core.document import DocumentError, parse_toml
from bus.core.errors import PolicyLoadError, ProtocolError, UnknownAgentError
from bus.core.limits import (
    AGENTS_MAX,
    HEADERS_MAX,
    LINEAGE_DEPTH_MAX,
    PAYLOAD_BYTES_MAX,
    POLICY_DATA_BYTES_MAX,
    POLICY_SUGGESTIONS_SEARCHED_MAX,
    TTL_S_MAX,
)
from bus.core.message import MESSAGE_TYPES
from bus.core.names import check_name, check_tenant
from bus.core.policylimits import POLICY_SLICE_BYTES
from bus.core.subject import DEAD_PREFIX, SYSTEM_PREFIX, parse_pattern
from bus.core.suggest import hint
from policy import slicing, values
from policy.forms import FormError, fit
from policy.pacing import Steps, breathe, exhaust
from policy.sliced import SlicedData, parts

T = TypeVar("T")

_TOLD: Final = (DEAD_PREFIX, SYSTEM_PREFIX)
_NO_OBJECT: Final = "data is an object at the top"


class Agent(msgspec.Struct, frozen=True):
    """What every policy's data says of an agent. More fields are the policy's own."""

    tenant: str
    roles: tuple[str, ...] = ()
    enabled: bool = True


class Agents(msgspec.Struct, frozen=True):
    """The part of the data that the bus itself reads, whatever the policy."""

    agents: dict[str, Agent]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the built-in policy's data: nothing unknown."""


class Limits(_Strict, frozen=True):
    """Bounds on a message, past which the bus refuses it."""

    body_bytes: Annotated[int, Meta(ge=0, le=PAYLOAD_BYTES_MAX)] | UnsetType = UNSET
    depth: Annotated[int, Meta(ge=0, le=LINEAGE_DEPTH_MAX)] | UnsetType = UNSET


class Grant(_Strict, frozen=True):
    """A pattern of subjects and, where given, the only message types allowed there."""

    subject: str
    types: Annotated[list[str], Meta(min_length=1)] | UnsetType = UNSET


class Role(_Strict, frozen=True):
    """What a role grants, and what it obliges the bus to do."""

    publish: list[Grant] = []
    request: list[Grant] = []
    subscribe: list[str] = []
    cooldown: list[str] = []
    release: list[str] = []
    chaos: list[str] = []
    limits: Limits = Limits()
    ttl_seconds: Annotated[float, Meta(gt=0, le=TTL_S_MAX)] | UnsetType = UNSET
    redact_headers: Annotated[list[str], Meta(max_length=HEADERS_MAX)] = []


class Tenant(_Strict, frozen=True):
    """A tenant; none of a disabled one's agents may do anything."""

    enabled: bool = True


class StrictAgent(_Strict, frozen=True):
    """An agent as the built-in policy knows it."""

    tenant: str
    roles: list[str] = []
    enabled: bool = True


class _StrictAgents(_Strict, frozen=True):
    """Some agents of the built-in policy."""

    agents: dict[str, StrictAgent]


class PolicyData(_Strict, frozen=True):
    """All data of the built-in policy."""

    agents: dict[str, StrictAgent]
    tenants: dict[str, Tenant]
    roles: dict[str, Role] = {}
    limits: Limits = Limits()


def parse(name: str, text: str) -> dict[str, Any]:
    """Parse a data file by the ending of its name: `.json` or `.toml`.

    Raises:
        PolicyLoadError: does not parse, a key twice, or a value the engine would change.
    """
    return dict(read(name, text))


def read(name: str, text: str) -> SlicedData:
    """Parse a data file as `parse` does, and keep it as text in slices."""
    if name.endswith(".json"):
        return slicing.of_json(name, text)
    if not name.endswith(".toml"):
        raise PolicyLoadError("data is a .json or a .toml file", file=name)
    try:
        found: Any = parse_toml(text, bytes_max=POLICY_DATA_BYTES_MAX)
    except DocumentError as error:
        raise PolicyLoadError(error.detail, file=name, line=error.line) from None
    return sliced(name, found)


def accept(name: str, data: object) -> dict[str, Any]:
    """Return data as an object of its own that the engine reads exactly as it is.

    Raises:
        PolicyLoadError: not an object, nested too deep, a value JSON cannot carry, or
            a number the engine would round.
    """
    if not isinstance(data, Mapping):
        values.refuse(name, _NO_OBJECT)
    values.check(name, data, cut=False)
    try:
        copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(data))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PolicyLoadError(str(error), file=name) from None
    return copied


def sliced(name: str, data: object) -> SlicedData:
    """Return data as `accept` does, as text in slices."""
    if not isinstance(data, Mapping):
        values.refuse(name, _NO_OBJECT)
    return slicing.of_mapping(name, data)


def principal_of(agents: Mapping[str, Principal], agent: str) -> Principal:
    """Return who `agent` is.

    Raises:
        UnknownAgentError: the data has no such agent, or it is disabled.
    """
    known = agents.get(agent)
    if known is None:
        names = islice(agents, POLICY_SUGGESTIONS_SEARCHED_MAX)
        raise UnknownAgentError(
            f"the policy data has no enabled agent {agent!r}{hint(agent, names)}"
        )
    return known


def agents_of(name: str, data: Mapping[str, Any]) -> dict[str, Principal]:
    """Return the agents that are not disabled.

    Raises:
        PolicyLoadError: no agents, too many, or one whose name or tenant is not valid.
    """
    return exhaust(reading_agents(name, data))


def reading_agents(name: str, data: Mapping[str, Any]) -> Steps[dict[str, Principal]]:
    """Do as `agents_of`, some agents in a step."""
    enabled: dict[str, Principal] = {}
    count = 0
    for part in _agent_parts(name, data):
        agents = _converted(name, {"agents": part}, Agents).agents
        count += len(agents)
        for agent, told in agents.items():
            try:
                check_name("agent", agent)
                check_tenant(told.tenant)
            except ProtocolError as error:
                values.refuse(name, f"agents.{agent}: {error}")
            if told.enabled:
                enabled[agent] = Principal(agent, told.tenant, told.roles)
        yield
    if count > AGENTS_MAX:
        values.refuse(name, f"{count} agents; {AGENTS_MAX} are allowed")
    return enabled


def check_built_in(
    name: str, data: Mapping[str, Any], without: Container[str] = ()
) -> None:
    """Return if the data is what the built-in policy expects, to the last field.

    Sections named in `without` are somebody else's.

    Raises:
        PolicyLoadError: a field that is unknown or of the wrong type, a name that is
            not valid or refers to nothing, a pattern that may not be granted.
    """
    rest = {
        section: data[section]
        for section in data
        if section not in without and section != "agents"
    }
    few: Mapping[str, Any] = {"agents": {}} if "agents" in data else {}
    read = _converted(name, {**rest, **few}, PolicyData)
    for place, problem in _problems(read):
        values.refuse(name, f"{place}: {problem}")
    for part in _agent_parts(name, data):
        agents = _converted(name, {"agents": part}, _StrictAgents).agents
        for place, problem in _problems_of_agents(agents, read):
            values.refuse(name, f"{place}: {problem}")


def _agent_parts(name: str, data: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the agents, some at a time; or once what stands in their place."""
    if "agents" not in data:
        _converted(name, {}, Agents)  # says that they are missing
    for part in parts(data, "agents"):
        yield part
        breathe(POLICY_SLICE_BYTES)


def _problems(data: PolicyData) -> Iterator[tuple[str, str]]:
    for tenant in data.tenants:
        yield from _wrong(f"tenants.{tenant}", lambda t=tenant: check_tenant(t))
    for role, told in data.roles.items():
        yield from _problems_of_role(f"roles.{role}", told)


def _problems_of_agents(
    agents: Mapping[str, StrictAgent], data: PolicyData
) -> Iterator[tuple[str, str]]:
    for agent, known in agents.items():
        if known.tenant not in data.tenants:
            near = hint(known.tenant, data.tenants)
            yield f"agents.{agent}", f"unknown tenant {known.tenant!r}{near}"
        for role in known.roles:
            if role not in data.roles:
                yield (
                    f"agents.{agent}",
                    f"unknown role {role!r}{hint(role, data.roles)}",
                )


def _problems_of_role(place: str, role: Role) -> Iterator[tuple[str, str]]:
    for action, grants in (("publish", role.publish), ("request", role.request)):
        for grant in grants:
            yield from _wrong(
                f"{place}.{action}", lambda g=grant: parse_pattern(g.subject)
            )
            if grant.subject.startswith("$"):
                yield f"{place}.{action}", f"{grant.subject!r} belongs to the bus"
            for kind in grant.types or ():
                if kind not in MESSAGE_TYPES:
                    near = hint(kind, MESSAGE_TYPES)
                    yield f"{place}.{action}", f"unknown message type {kind!r}{near}"
    for action in ("subscribe", "cooldown", "release", "chaos"):
        for pattern in getattr(role, action):
            yield from _problems_of_pattern(f"{place}.{action}", pattern)


def _problems_of_pattern(place: str, pattern: str) -> Iterator[tuple[str, str]]:
    yield from _wrong(place, lambda: parse_pattern(pattern))
    told = place.endswith(".subscribe") and pattern.startswith(_TOLD)
    if pattern.startswith("$") and not told:
        yield place, f"{pattern!r} belongs to the bus"


def _wrong(place: str, check: Any) -> Iterator[tuple[str, str]]:
    try:
        check()
    except ProtocolError as error:
        yield place, str(error)


def _converted(name: str, data: Mapping[str, Any], form: type[T]) -> T:
    try:
        return fit(data, form)
    except FormError as error:
        raise PolicyLoadError(str(error), file=name) from None
