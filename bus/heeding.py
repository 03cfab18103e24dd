"""Which settings of policy and its log are heeded, by what the settings choose.

Rule: one table says who uses what; whatever else is set stops the start, by its name.
"""

from collections.abc import Mapping
from typing import Any, Final

from bus.config import Settings
from bus.config.governing import (
    BundleSettings,
    DecisionLogSettings,
    IsolatedSettings,
    OpaSettings,
)
from bus.core.errors import ConfigurationError

_SOURCE: Final = frozenset({"url", "token", "ca_file", "last_good_file"})
_POLLS: Final = frozenset({"poll_seconds", "wait_seconds"})
_LOG_FILE: Final = frozenset({"file", "rotate_bytes", "keep"})
_COLLECTOR: Final = frozenset(
    {
        "collector_url",
        "collector_token_file",
        "collector_ca_file",
        "spool",
        "spool_bytes",
    }
)
HEEDED: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "isolated": {
        "embedded": frozenset(),
        "isolated": frozenset(IsolatedSettings.__struct_fields__),
        "opa": frozenset(),
    },
    "opa": {
        "embedded": frozenset(),
        "isolated": frozenset(),
        "opa": frozenset(OpaSettings.__struct_fields__),
    },
    "bundle": {
        "none": frozenset(),
        "files": frozenset({"files", "lifecycle_file"}),
        "url": _SOURCE | _POLLS | {"lifecycle_file"},
        "url, not watched": _SOURCE | {"lifecycle_file"},
    },
    "decision_log": {
        "none": frozenset(),
        "file": _LOG_FILE | {"label"},
        "collector": _COLLECTOR | {"label"},
        "both": _LOG_FILE | _COLLECTOR | {"label"},
    },
}
"""Of each section, the fields that each choice uses."""


def check_engine(settings: Settings, *, data_given: bool) -> None:
    """Check the sections of engines; `data_given` tells of `Bus(policy_data=...)`.

    Raises:
        ConfigurationError: one is set that the engine chosen does not use.
    """
    engine = settings.policy.engine
    _check("isolated", settings.isolated, engine)
    if engine != "opa":
        _check("opa", settings.opa, engine)
        return
    named = {
        **_own_policy(settings, data_given=data_given),
        "bundle.files": settings.bundle.files,
        "bundle.url": settings.bundle.url is not None,
        "bundle_keys": settings.bundle_keys,
    }
    _refuse_beside("policy.engine is opa: the server has its own policy", named)
    _check("bundle", settings.bundle, "none")


def check_source(settings: Settings, *, data_given: bool) -> None:
    """Check where an engine of ours has its policy from; `data_given` as above.

    Raises:
        ConfigurationError: what is set for bundles does not go together, or with that.
    """
    given = settings.bundle
    source = _source_of(given, watched=settings.policy.watch)
    if source != "none":
        own = _own_policy(settings, data_given=data_given)
        _refuse_beside("a bundle has its own policy and data", own)
        if given.files and given.url is not None:
            raise ConfigurationError(
                "bundle.files and bundle.url are both set; unset one"
            )
    _check("bundle", given, source)
    if source == "none" and settings.bundle_keys:
        raise ConfigurationError(
            "bundle_keys: no bundle is checked with them; set bundle.files or "
            "bundle.url"
        )


def check_decision_log(given: DecisionLogSettings) -> None:
    """Check the section; raise `ConfigurationError` if a part of it does nothing."""
    if given.collector_url is not None:
        chosen = "collector" if given.file is None else "both"
    else:
        chosen = "none" if given.file is None else "file"
    _check("decision_log", given, chosen)
    if given.collector_url is not None and given.spool is None:
        raise ConfigurationError(
            "decision_log.spool: a collector needs a folder where decisions wait"
        )


def _source_of(given: BundleSettings, *, watched: bool) -> str:
    if given.files:
        return "files"
    if given.url is None:
        return "none"
    return "url" if watched else "url, not watched"


def _own_policy(settings: Settings, *, data_given: bool) -> Mapping[str, object]:
    chosen = settings.policy
    return {
        "policy_data": data_given,
        "policy.data": chosen.data is not None,
        "policy.folder": chosen.folder is not None,
        "policy.areas": chosen.areas,
    }


def _refuse_beside(why: str, named: Mapping[str, object]) -> None:
    wrong = [name for name, is_set in named.items() if is_set]
    if wrong:
        raise ConfigurationError(f"{why}; unset {', '.join(wrong)}")


def _check(section: str, given: Any, chosen: str) -> None:
    """Raise if anything of a section is set that the choice does not heed."""
    default, heeded = type(given)(), HEEDED[section][chosen]
    wrong = [
        name
        for name in given.__struct_fields__
        if name not in heeded and getattr(given, name) != getattr(default, name)
    ]
    if wrong:
        told = ", ".join(f"{section}.{name}" for name in wrong)
        raise ConfigurationError(
            f"{told}: set, and nothing uses it with these settings"
        )
