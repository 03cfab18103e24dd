"""The data that rules consult: who the agents are, and what their roles grant.

Rule: data is refused as a whole when one entry is wrong. Duplicate keys, numbers the
engine would round, unknown fields, names that refer to nothing: each has a reason.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, NoReturn, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bus.core.decision import Principal
from bus.core.document import DocumentError, parse_toml
from bus.core.errors import PolicyLoadError, ProtocolError
from bus.core.limits import (
    AGENTS_MAX,
    HEADERS_MAX,
    LINEAGE_DEPTH_MAX,
    PAYLOAD_BYTES_MAX,
    POLICY_DATA_BYTES_MAX,
    POLICY_NESTING_MAX,
    TTL_S_MAX,
)
from bus.core.message import MESSAGE_TYPES
from bus.core.names import check_name, check_tenant
from bus.core.subject import DEAD_PREFIX, parse_pattern
from bus.core.suggest import hint
from policy.forms import FormError, fit

T = TypeVar("T")

_INTEGER_MAX: Final = (1 << 64) - 1  # larger ones lose their last digits in the engine
_INTEGER_MIN: Final = -(1 << 63)


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
    if name.endswith(".toml"):
        try:
            found: Any = parse_toml(text, bytes_max=POLICY_DATA_BYTES_MAX)
        except DocumentError as error:
            raise PolicyLoadError(error.detail, file=name, line=error.line) from None
    elif name.endswith(".json"):
        found = _parse_json(name, text)
    else:
        raise PolicyLoadError("data is a .json or a .toml file", file=name)
    return accept(name, found)


def accept(name: str, data: object) -> dict[str, Any]:
    """Return data as an object of its own that the engine reads exactly as it is.

    Raises:
        PolicyLoadError: not an object, nested too deep, a value JSON cannot carry, or
            a number the engine would round.
    """
    if not isinstance(data, Mapping):
        raise PolicyLoadError("data is an object at the top", file=name)
    _check_tree(name, data)
    try:
        copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(data))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PolicyLoadError(str(error), file=name) from None
    return copied


def agents_of(name: str, data: Mapping[str, Any]) -> dict[str, Principal]:
    """Return the agents that are not disabled.

    Raises:
        PolicyLoadError: no agents, too many, or one whose name or tenant is not valid.
    """
    agents = _converted(name, data, Agents).agents
    if len(agents) > AGENTS_MAX:
        _refuse(name, f"{len(agents)} agents; {AGENTS_MAX} are allowed")
    for agent, told in agents.items():
        try:
            check_name("agent", agent)
            check_tenant(told.tenant)
        except ProtocolError as error:
            _refuse(name, f"agents.{agent}: {error}")
    return {
        agent: Principal(agent, told.tenant, told.roles)
        for agent, told in agents.items()
        if told.enabled
    }


def check_built_in(name: str, data: Mapping[str, Any]) -> None:
    """Return if the data is what the built-in policy expects, to the last field.

    Raises:
        PolicyLoadError: a field that is unknown or of the wrong type, a name that is
            not valid or refers to nothing, a pattern that may not be granted.
    """
    read = _converted(name, data, PolicyData)
    for place, problem in _problems(read):
        _refuse(name, f"{place}: {problem}")


def _problems(data: PolicyData) -> Iterator[tuple[str, str]]:
    for tenant in data.tenants:
        yield from _wrong(f"tenants.{tenant}", lambda t=tenant: check_tenant(t))
    for role, told in data.roles.items():
        yield from _problems_of_role(f"roles.{role}", told)
    for agent, known in data.agents.items():
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
    for action in ("subscribe", "cooldown", "release"):
        for pattern in getattr(role, action):
            yield from _problems_of_pattern(f"{place}.{action}", pattern)


def _problems_of_pattern(place: str, pattern: str) -> Iterator[tuple[str, str]]:
    yield from _wrong(place, lambda: parse_pattern(pattern))
    dead = place.endswith(".subscribe") and pattern.startswith(DEAD_PREFIX)
    if pattern.startswith("$") and not dead:
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


def _parse_json(name: str, text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in pairs:
            if key in made:
                _refuse(name, f"key {key!r} stands twice in one object")
            made[key] = value
        return made

    def no_constant(word: str) -> NoReturn:
        _refuse(name, f"{word} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    except json.JSONDecodeError as error:
        raise PolicyLoadError(error.msg, file=name, line=error.lineno) from None
    except (RecursionError, ValueError) as error:
        _refuse(name, f"cannot be read: {error}")


def _check_tree(name: str, data: object) -> None:
    level: list[object] = [data]
    for _ in range(POLICY_NESTING_MAX):
        below: list[object] = []
        for value in level:
            if isinstance(value, Mapping):
                below.extend(value.values())
                if not all(isinstance(key, str) for key in value):
                    _refuse(name, "a key is not a string")
            elif isinstance(value, list | tuple):
                below.extend(value)
            else:
                _check_leaf(name, value)
        level = below
        if not level:
            return
    _refuse(name, f"nested deeper than {POLICY_NESTING_MAX}")


def _check_leaf(name: str, value: object) -> None:
    match value:
        case None | bool() | str():
            return
        case int() if not _INTEGER_MIN <= value <= _INTEGER_MAX:
            _refuse(name, f"{value}: a number of more than 64 bits")
        case float() if not math.isfinite(value):
            _refuse(name, f"{value} is not a number that JSON can carry")
        case int() | float():
            return
        case _:
            _refuse(name, f"{value!r} is not a value that JSON can carry")


def _refuse(name: str, reason: str) -> NoReturn:
    raise PolicyLoadError(reason, file=name)
