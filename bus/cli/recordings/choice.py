"""Which policy and data a replay runs under: those that were named, or the default.

Rule: the default data is made only where none was named and none lies with the policy.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from bus.cli.recordings import defaults
from bus.cli.recordings.formats import Action
from bus.cli.recordings.summary import Used
from bus.core.errors import ConfigurationError
from policy.bundle import DATA_NAMES

_ROLES: Final = ("reader", "operator")


class Asked(msgspec.Struct, frozen=True):
    """What the command line says."""

    data: Path | None
    policy: Path | None
    role: str | None


class Chosen(msgspec.Struct, frozen=True):
    """What to run under, and how to say so."""

    data: Mapping[str, Any] | Path
    used: Used


def choose(asked: Asked, actions: Sequence[Action]) -> Chosen:
    """Return the policy data for a recording.

    Raises:
        ConfigurationError: an unknown role, or a role beside data that has its own.
        MalformedMessageError: the recording allows of no default data.
    """
    if asked.role is not None and asked.role not in _ROLES:
        raise ConfigurationError(f"role {asked.role!r} is none of {', '.join(_ROLES)}")
    policy = "built-in" if asked.policy is None else str(asked.policy)
    file = asked.data or _beside(asked.policy)
    if file is not None:
        if asked.role is not None:
            raise ConfigurationError(
                f"--role is for the default data; in {file} each agent has its roles"
            )
        return Chosen(file, Used(policy, str(file), None))
    role = cast("defaults.Role", asked.role or "reader")
    found = defaults.rules(actions, role)
    data = defaults.policy_data(actions, found)
    told = "default, from the tools' names; --data FILE replaces it"
    return Chosen(data, Used(policy, told, found))


def _beside(policy: Path | None) -> Path | None:
    if policy is None:
        return None
    places = [policy / name for name in DATA_NAMES]
    return next((place for place in places if place.exists()), None)
