"""Every field of every section of policy: heeded, or refused by its name."""

import inspect
from pathlib import Path
from typing import Any, Final

import pytest

from bus.config import Secret, Settings, governing
from bus.config.governing import (
    BundleKeySettings,
    BundleSettings,
    DecisionLogSettings,
    IsolatedSettings,
    OpaSettings,
    PolicySettings,
)
from bus.config.sections import Section
from bus.core.errors import ConfigurationError
from bus.heeding import check_decision_log, check_engine, check_source
from bus.policing import log_settings

FILE: Final = Path("somewhere")
URL: Final = "http://127.0.0.1:1"
UNUSED: Final = "set, and nothing uses it with these settings"
SET: Final[dict[str, dict[str, Any]]] = {
    "isolated": {"deadline_seconds": 0.5, "wait_seconds": 0.5, "memory_bytes": 1 << 29},
    "opa": {
        "url": URL,
        "token": Secret("x"),
        "ca_file": FILE,
        "cert_file": FILE,
        "key_file": FILE,
        "deadline_seconds": 0.5,
        "connections": 7,
    },
    "bundle": {
        "files": (FILE,),
        "url": URL,
        "token": Secret("x"),
        "ca_file": FILE,
        "poll_seconds": 99.0,
        "wait_seconds": 3.0,
        "last_good_file": FILE,
        "lifecycle_file": FILE,
    },
    "decision_log": {
        "file": FILE,
        "rotate_bytes": 1 << 22,
        "keep": 3,
        "label": "mine",
        "collector_url": URL,
        "collector_token_file": FILE,
        "collector_ca_file": FILE,
        "spool": FILE,
        "spool_bytes": 1 << 25,
    },
}
MADE: Final[dict[str, Any]] = {
    "isolated": IsolatedSettings,
    "opa": OpaSettings,
    "bundle": BundleSettings,
    "decision_log": DecisionLogSettings,
}
ENGINES: Final = ("embedded", "isolated", "opa")
CHOOSING: Final = {"files", "url", "file", "collector_url"}
OF_URL: Final = {"token", "ca_file", "last_good_file", "lifecycle_file"}
# What each choice is made by, and what it uses besides.
BUNDLES: Final[dict[str, tuple[set[str], set[str]]]] = {
    "none": (set(), set()),
    "files": ({"files"}, {"lifecycle_file"}),
    "url": ({"url"}, OF_URL | {"poll_seconds", "wait_seconds"}),
    "url, not watched": ({"url"}, OF_URL),
}
OF_COLLECTOR: Final = {"collector_token_file", "collector_ca_file", "spool_bytes"}
LOGS: Final[dict[str, tuple[set[str], set[str]]]] = {
    "none": (set(), set()),
    "file": ({"file"}, {"rotate_bytes", "keep", "label"}),
    "collector": ({"collector_url", "spool"}, OF_COLLECTOR | {"label"}),
    "both": (
        {"file", "collector_url", "spool"},
        OF_COLLECTOR | {"rotate_bytes", "keep", "label"},
    ),
}


def section(name: str, *fields: str) -> Any:
    """Return a section with these fields set."""
    return MADE[name](**{field: SET[name][field] for field in fields})


def refused(check: Any, settings: Any, name: str, field: str, heeded: set[str]) -> None:
    """Assert that a field is refused by its name exactly if nothing heeds it."""
    if field in heeded:
        check(settings)
        return
    with pytest.raises(ConfigurationError) as told:
        check(settings)
    assert str(told.value) == f"{name}.{field}: {UNUSED}"


def fields(name: str, choices: dict[str, tuple[set[str], set[str]]]) -> list[Any]:
    """Return every choice with every field that does not make it another one."""
    return [
        pytest.param(choice, field, id=f"{choice}-{field}")
        for choice, (by, _) in choices.items()
        for field in SET[name]
        if field in by or field not in CHOOSING
    ]


def test_no_section_and_no_field_is_left_out() -> None:
    """A new one has to be put in the table, and here."""
    known = {*MADE.values(), PolicySettings, BundleKeySettings}
    found = {
        made
        for _, made in inspect.getmembers(governing, inspect.isclass)
        if issubclass(made, Section) and made is not Section
    }
    assert found == known
    for name, made in MADE.items():
        default = made()
        assert set(SET[name]) == set(made.__struct_fields__)
        assert all(getattr(default, f) != value for f, value in SET[name].items())


@pytest.mark.parametrize("name", ["isolated", "opa"])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_heeds_its_own_section(engine: Any, name: str) -> None:
    """All of it, and nothing of another's."""
    for field in SET[name]:
        chosen = PolicySettings(engine=engine)
        settings = Settings(policy=chosen, **{name: section(name, field)})
        heeded = {field} if engine == name else set()
        refused(
            lambda s: check_engine(s, data_given=False), settings, name, field, heeded
        )


@pytest.mark.parametrize(("choice", "field"), fields("bundle", BUNDLES))
def test_a_source_heeds_what_it_uses(choice: str, field: str) -> None:
    """Of a section that serves files and a server."""
    by, used = BUNDLES[choice]
    chosen = PolicySettings(watch=choice != "url, not watched")
    settings = Settings(policy=chosen, bundle=section("bundle", *by, field))
    refused(
        lambda s: check_source(s, data_given=False),
        settings,
        "bundle",
        field,
        by | used,
    )


@pytest.mark.parametrize("field", SET["bundle"])
def test_a_server_of_decisions_has_its_own_bundles(field: str) -> None:
    """Nothing of bundles is heeded here."""
    settings = Settings(
        policy=PolicySettings(engine="opa"), bundle=section("bundle", field)
    )
    with pytest.raises(ConfigurationError, match=rf"bundle\.{field}"):
        check_engine(settings, data_given=False)


@pytest.mark.parametrize(("choice", "field"), fields("decision_log", LOGS))
def test_a_log_heeds_what_it_uses(choice: str, field: str) -> None:
    """Whoever set the rest believes that it does something."""
    by, used = LOGS[choice]
    given = section("decision_log", *by, field)
    refused(check_decision_log, given, "decision_log", field, by | used)


@pytest.mark.parametrize("engine", ["embedded", "isolated"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("allow_ttl_seconds", 1.0),
        ("deny_ttl_seconds", 1.0),
        ("cache_entries", 9),
        ("watch", False),
        ("data", FILE),
        ("folder", FILE),
        ("areas", ("rbac",)),
    ],
)
def test_engines_of_ours_heed_what_is_said_of_policy(
    engine: Any, field: str, value: Any
) -> None:
    """Files and data only where there is no bundle."""
    chosen = PolicySettings(**{"engine": engine, field: value})
    check_engine(Settings(policy=chosen), data_given=False)
    check_source(Settings(policy=chosen), data_given=False)
    bundled = Settings(policy=chosen, bundle=section("bundle", "files"))
    if field not in {"data", "folder", "areas"}:
        check_source(bundled, data_given=False)
        return
    with pytest.raises(ConfigurationError, match=f"unset policy.{field}$"):
        check_source(bundled, data_given=False)


def test_what_is_heeded_arrives() -> None:
    """The log is told every field of its section."""
    names = set(SET["decision_log"]) - {"collector_ca_file", "collector_token_file"}
    made = log_settings(Settings(decision_log=section("decision_log", *names)))
    assert (made.file.path, made.file.rotate_bytes, made.file.keep) == (
        FILE,
        1 << 22,
        3,
    )
    assert made.labels["id"] == "mine"
    assert (made.collector.url, made.collector.spool) == (URL, FILE)
    assert made.collector.spool_bytes == 1 << 25
