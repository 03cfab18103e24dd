"""The areas of the policy library: rules that are put in force beside the built-in ones.

Rule: an area is in force where it is named, with data of its own that is checked to the
last name; data of an area that is not in force is refused, not ignored.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET

from bus.core.errors import PolicyLoadError, ProtocolError
from bus.core.limits import POLICY_DATA_BYTES_MAX, RATE_PER_S_MIN
from bus.core.message import MESSAGE_TYPES
from bus.core.subject import parse_pattern
from bus.core.suggest import hint
from policy import areadata, data as policy_data, slicing, source
from policy.engine import Engine
from policy.evaluation import EvaluationError
from policy.forms import FormError, fit
from policy.sliced import SlicedData, keys
from policy.source import Source

FOLDER: Final = Path(__file__).with_name("rego")
SHARED: Final = FOLDER / "library"
POWERS: Final = FOLDER / "constitutional" / "powers.toml"
CONSTITUTIONAL: Final = "constitutional"
FORMS: Final[Mapping[str, type[msgspec.Struct]]] = {
    CONSTITUTIONAL: areadata.Powers,
    "rbac": areadata.Rbac,
    "multitenant": areadata.Multitenant,
    "ratelimit": areadata.Ratelimit,
    "compliance": areadata.Compliance,
    "audit": areadata.Audit,
    "resources": areadata.Resources,
    "routing": areadata.Routing,
    "timebased": areadata.Timebased,
}
NAMES: Final = tuple(FORMS)
_ROLE_FIELDS: Final = frozenset({"exempt_roles", "readers", "wide_roles"})
_CLOCK: Final = Source("clock", "package clock\n\nread := time.clock([0, input])\n")

Data = Mapping[str, Any]
Problem = tuple[str, str]
"""(place, what is wrong there)"""


def section(area: str) -> str:
    """Return the name of the part of the data that an area reads."""
    return "powers" if area == CONSTITUTIONAL else area


def check_names(areas: Sequence[str]) -> None:
    """Return if each is an area, named once.

    Raises:
        PolicyLoadError: with the area that was probably meant.
    """
    for area in areas:
        if area not in FORMS:
            raise PolicyLoadError(f"there is no area {area!r}{hint(area, NAMES)}")
    if len(set(areas)) < len(areas):
        raise PolicyLoadError(f"an area is named twice: {', '.join(areas)}")


def folders(areas: Sequence[str]) -> list[Path]:
    """Return where the rules of the areas are."""
    return [SHARED, *(FOLDER / area for area in areas)] if areas else []


def data_files(areas: Sequence[str]) -> list[Path]:
    """Return the files of data that areas bring along."""
    return [POWERS] if CONSTITUTIONAL in areas else []


def completed(data: SlicedData, areas: Sequence[str]) -> SlicedData:
    """Return the data, with the default powers where they are needed and it has none.

    Raises:
        PolicyLoadError: the file of the built-in one cannot be read.
    """
    name = section(CONSTITUTIONAL)
    if CONSTITUTIONAL not in areas or name in data:
        return data
    text = source.read(str(POWERS), POWERS, bytes_max=POLICY_DATA_BYTES_MAX)
    return slicing.joined(data, policy_data.read(str(POWERS), text))


def check_data(name: str, data: Data, areas: Sequence[str]) -> None:
    """Return if the data is what the built-in policy and the areas expect.

    Raises:
        PolicyLoadError: a part is missing or not in force, a field is unknown or of the
            wrong type, a name is not valid or refers to nothing.
    """
    parts = {section(area): area for area in NAMES}
    for part, area in parts.items():
        if part in data and area not in areas:
            raise PolicyLoadError(
                f"{part}: the area {area} is not in force; name it in policy.areas",
                file=name,
            )
        if part not in data and area in areas:
            raise PolicyLoadError(
                f"the area {area} is in force and needs {part}", file=name
            )
    policy_data.check_built_in(name, data, parts)
    for area in areas:
        for place, problem in _problems(area, data):
            raise PolicyLoadError(f"{place}: {problem}", file=name)


def _problems(area: str, data: Data) -> Iterator[Problem]:
    part = section(area)
    try:
        read = fit(data[part], FORMS[area])
    except FormError as error:
        yield (f"{part}.{error.place}" if error.place else part), error.problem
        return
    yield from _problems_within(part, data[part], data.get("roles", {}))
    check = _CHECKS.get(area)
    if check is not None:
        yield from check(read, data)


def _problems_within(place: str, value: Any, roles: Iterable[str]) -> Iterator[Problem]:
    """Yield what is wrong with the patterns, types and lists of roles in an area."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _problems_within(f"{place}.{index}", inner, roles)
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        where = f"{place}.{key}"
        if key == "subject":
            yield from _problems_of_pattern(where, inner)
        elif key == "types" and _names_only(inner):
            yield from _unknown(where, "message type", inner, MESSAGE_TYPES)
        elif key in _ROLE_FIELDS or (key == "roles" and _names_only(inner)):
            yield from _unknown(where, "role", inner, roles)
        else:
            yield from _problems_within(where, inner, roles)


def _names_only(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _problems_of_pattern(place: str, pattern: str) -> Iterator[Problem]:
    try:
        parse_pattern(pattern)
    except ProtocolError as error:
        yield place, str(error)
        return
    if pattern.startswith("$"):
        yield place, f"{pattern!r} belongs to the bus"


def _problems_of_powers(powers: areadata.Powers, _: Data) -> Iterator[Problem]:
    for name, use in powers.permissions.items():
        place = f"powers.permissions.{name}"
        if not use.types and not use.actions:
            yield place, "nothing takes it: it has neither types nor actions"
        if use.judges and not use.types:
            yield place, "only messages judge, and it has no types"
    for role, power in powers.roles.items():
        place = f"powers.roles.{role}"
        yield from _unknown(place, "permission", power.permissions, powers.permissions)
        yield from _unknown(place, "role", power.validates, powers.roles)


def _problems_of_roles(rbac: areadata.Rbac, data: Data) -> Iterator[Problem]:
    named = [
        *rbac.inherits,
        *chain.from_iterable(rbac.inherits.values()),
        *chain.from_iterable(rbac.exclusive),
    ]
    yield from _unknown("rbac", "role", named, data.get("roles", {}))


def _problems_of_tenants(part: areadata.Multitenant, data: Data) -> Iterator[Problem]:
    yield from _unknown("multitenant.tenants", "tenant", part.tenants, data["tenants"])
    for tenant, told in part.tenants.items():
        for pattern in told.subjects:
            yield from _problems_of_pattern(f"multitenant.tenants.{tenant}", pattern)


def _problems_of_rates(part: areadata.Ratelimit, data: Data) -> Iterator[Problem]:
    named = {"agents": part.agents, "roles": part.roles, "tenants": part.tenants}
    for kind, rates in named.items():
        place = f"ratelimit.{kind}"
        yield from _unknown(place, kind[:-1], rates, keys(data, kind))
    others = [part.agent, part.tenant, *part.subjects]
    for rate in chain(others, *(rates.values() for rates in named.values())):
        if rate is not UNSET and 0 < rate.per_second < RATE_PER_S_MIN:
            problem = f"per_second is 0 or at least {RATE_PER_S_MIN}"
            yield "ratelimit", f"{rate.per_second}: {problem}"


def _problems_of_classes(part: areadata.Compliance, _: Data) -> Iterator[Problem]:
    levels = part.levels
    if len(set(levels)) < len(levels):
        yield "compliance.levels", "a class stands twice"
    named = [place.up_to for place in part.subjects]
    yield from _unknown("compliance.subjects", "class", named, levels)
    yield from _unknown("compliance.classes", "class", part.classes, levels)


def _problems_of_priorities(part: areadata.Resources, data: Data) -> Iterator[Problem]:
    named = chain.from_iterable(part.priorities.values())
    yield from _unknown("resources.priorities", "role", named, data.get("roles", {}))


def _problems_of_times(part: areadata.Timebased, _: Data) -> Iterator[Problem]:
    for index, rule in enumerate(part.rules):
        place = f"timebased.rules.{index}"
        if not _is_zone(rule.zone):
            yield f"{place}.zone", f"the engine knows no time zone {rule.zone!r}"
        for window in rule.open:
            if window.since >= window.until:
                problem = "ends before it begins; past midnight there is another window"
                yield f"{place}.open", f"{window.since} to {window.until} {problem}"


_CHECKS: Final[Mapping[str, Callable[[Any, Data], Iterator[Problem]]]] = {
    CONSTITUTIONAL: _problems_of_powers,
    "rbac": _problems_of_roles,
    "multitenant": _problems_of_tenants,
    "ratelimit": _problems_of_rates,
    "compliance": _problems_of_classes,
    "resources": _problems_of_priorities,
    "timebased": _problems_of_times,
}


def _is_zone(zone: str) -> bool:
    # The engine has a time zone database of its own, which is the one that counts.
    try:
        asked = msgspec.json.encode(zone).decode()
        return Engine([_CLOCK], "{}").evaluate("data.clock.read", asked) is not None
    except EvaluationError:
        return False


def _unknown(
    place: str, kind: str, named: Iterable[str], known: Iterable[str]
) -> Iterator[Problem]:
    for name in named:
        if name not in known:
            yield place, f"unknown {kind} {name!r}{hint(name, known)}"
