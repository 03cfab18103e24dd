"""Stages and strategies by name: the built-in ones and those that other packages bring.

Rule: a name means one thing. A package that takes the name of a built-in one, or the
name that another package has, is refused when that name is asked for.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, Literal, Protocol, cast

import msgspec

from bus.core.errors import BusError, ConfigurationError
from bus.core.suggest import hint
from bus.ports import Processor, Strategy
from processors.stages.enrich import Enrich
from processors.stages.rate_limit import RateLimit
from processors.stages.redact import Redact
from processors.strategies.broadcast import Broadcast
from processors.strategies.competing import Competing
from processors.strategies.direct import Direct
from processors.strategies.least_loaded import LeastLoaded
from processors.strategies.sticky import Sticky

Kind = Literal["stage", "strategy"]

BUILT_IN: Final[Mapping[Kind, Mapping[str, Any]]] = {
    "stage": {made.name: made for made in (Redact, Enrich, RateLimit)},
    "strategy": {
        made.name: made for made in (Direct, Broadcast, Competing, LeastLoaded, Sticky)
    },
}
GROUPS: Final[Mapping[Kind, str]] = {
    "stage": "assent.processors",
    "strategy": "assent.strategies",
}
_METHODS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "stage": ("process",),
    "strategy": ("fixed", "plan"),
}


class Point(Protocol):
    """An entry point, as `importlib.metadata` has it: that is loaded when one is needed."""

    @property
    def name(self) -> str:
        """What it is asked for by."""

    @property
    def dist(self) -> Any:
        """The distribution that brings it, if that is known."""

    def load(self) -> Any:
        """Return what it names."""


class Part(msgspec.Struct, frozen=True):
    """A stage or strategy that can be had: its name and the distribution it is from."""

    name: str
    distribution: str


def stage(name: str, options: Mapping[str, Any] | None = None) -> Processor:
    """Make the stage called `name`.

    Raises:
        ConfigurationError: no such stage, options that it does not take, or a
            package that cannot be loaded.
    """
    return cast("Processor", _make("stage", name, options or {}))


def strategy(name: str, options: Mapping[str, Any] | None = None) -> Strategy:
    """Make the strategy called `name`; raises like `stage`."""
    return cast("Strategy", _make("strategy", name, options or {}))


def installed(kind: Kind) -> list[Part]:
    """Return what can be had, sorted by name; what is refused on use is in it too."""
    parts = [Part(name, "assent") for name in BUILT_IN[kind]]
    parts += [Part(point.name, _owner(point)) for point in points(kind)]
    return sorted(parts, key=lambda part: (part.name, part.distribution))


@cache
def points(kind: Kind) -> tuple[Point, ...]:
    """Return the entry points of a kind, as they were when first asked for."""
    # Reading every installed package's metadata takes milliseconds: once a process.
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and rarely needed

    return tuple(entry_points(group=GROUPS[kind]))


def _make(kind: Kind, name: str, options: Mapping[str, Any]) -> object:
    found = [point for point in points(kind) if point.name == name]
    owners = ", ".join(sorted(_owner(point) for point in found))
    factory = BUILT_IN[kind].get(name)
    if factory is not None:
        if found:
            raise ConfigurationError(
                f"{kind} {name!r} is built in, but {owners} brings one of that name; "
                "uninstall it or let it take another name"
            )
        return factory(decode_options(factory.Options, options, f"{kind} {name!r}"))
    if not found:
        raise _unknown(kind, name)
    if len(found) > 1:
        raise ConfigurationError(f"{kind} {name!r} is brought by each of {owners}")
    return _foreign(kind, found[0], options)


def _foreign(kind: Kind, point: Point, options: Mapping[str, Any]) -> object:
    what = f"{kind} {point.name!r} of {_owner(point)}"
    try:
        factory = point.load()
    except Exception as error:  # somebody else's code: it may raise anything
        raise ConfigurationError(f"{what} cannot be loaded: {error!r}") from error
    declared = getattr(factory, "Options", None)
    if not (isinstance(declared, type) and issubclass(declared, msgspec.Struct)):
        raise ConfigurationError(f"{what} has no `Options`, a msgspec.Struct")
    decoded = decode_options(declared, options, what)
    try:
        made = factory(decoded)
    except BusError:
        raise
    except Exception as error:
        raise ConfigurationError(f"{what} cannot be made: {error!r}") from error
    missing = [m for m in _METHODS[kind] if not callable(getattr(made, m, None))]
    if missing:
        raise ConfigurationError(f"{what} has no method {missing[0]!r}")
    if getattr(made, "name", None) != point.name:
        raise ConfigurationError(
            f"{what} calls itself {getattr(made, 'name', None)!r}; "
            "it must have the name it is installed under"
        )
    return made


def decode_options(
    declared: type[msgspec.Struct], options: Mapping[str, Any], what: str
) -> msgspec.Struct:
    """Return `options` as the struct that `what` declares.

    Raises:
        ConfigurationError: an unknown, missing or ill-typed option, named.
    """
    known = declared.__struct_encode_fields__
    for option in options:
        if option not in known:
            raise ConfigurationError(
                f"{what} has no option {option!r}{hint(str(option), known)}; "
                f"it takes {_listed(known)}"
            )
    try:
        return msgspec.convert(dict(options), declared)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{what}: {error}") from error


def _unknown(kind: Kind, name: str) -> ConfigurationError:
    names = [part.name for part in installed(kind)]
    return ConfigurationError(
        f"no {kind} is called {name!r}{hint(name, names)}; installed: {_listed(names)}"
    )


def _owner(point: Point) -> str:
    return point.dist.name if point.dist is not None else "an unnamed package"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
