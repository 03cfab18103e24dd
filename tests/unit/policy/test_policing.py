"""Settings that do not go together stop the start, and say what to unset."""

from pathlib import Path
from typing import Any, Final

import pytest

from bus.adapters.clock import SystemClock
from bus.config import Secret, Settings
from bus.config.governing import (
    BundleKeySettings,
    BundleSettings,
    DecisionLogSettings,
    IsolatedSettings,
    OpaSettings,
    PolicySettings,
)
from bus.core.errors import ConfigurationError, PolicyLoadError
from bus.policing import decision_log, governance, policy_source
from policy.authorizer import EmbeddedAuthorizer
from policy.bundles.files import BundleFiles
from policy.governance import InLoop
from policy.isolation.governance import InWorker
from policy.loading import PolicyFiles
from tests.fakes import policies

CLOCK: Final = SystemClock()
FILE: Final = Path("somewhere.json")
AT_SERVER: Final = {
    "policy": PolicySettings(engine="opa"),
    "opa": OpaSettings(url="http://127.0.0.1:1"),
}
KEYS: Final = (BundleKeySettings("k", "EdDSA", Path("key.pem")),)
BUNDLES: Final = BundleSettings(files=(Path("bundle.tar.gz"),))
UNUSED: Final = "set, and nothing uses it with these settings"


def refusal(data: Any = None, **sections: Any) -> str:
    """Return why settings are refused."""
    with pytest.raises(ConfigurationError) as refused:
        governance(Settings(**sections), data, CLOCK)
    return str(refused.value)


@pytest.mark.parametrize("engine", ["embedded", "isolated"])
@pytest.mark.parametrize(
    "named",
    [
        {"url": "http://127.0.0.1:1"},
        {"token": Secret("x")},
        {"ca_file": FILE},
        {"cert_file": FILE, "key_file": FILE},
        {"deadline_seconds": 0.5},
        {"connections": 7},
    ],
    ids="+".join,
)
def test_a_server_is_not_named_for_an_engine_of_ours(engine: Any, named: Any) -> None:
    """Whoever named it believes that it decides."""
    told = refusal({}, policy=PolicySettings(engine=engine), opa=OpaSettings(**named))
    assert told == f"{', '.join(f'opa.{name}' for name in named)}: {UNUSED}"


@pytest.mark.parametrize("engine", ["embedded", "opa"])
@pytest.mark.parametrize(
    "named",
    [{"deadline_seconds": 0.5}, {"wait_seconds": 0.5}, {"memory_bytes": 1 << 29}],
    ids="+".join,
)
def test_a_worker_is_not_bounded_where_there_is_none(engine: Any, named: Any) -> None:
    """Whoever bounded it believes that policy cannot hold up the bus."""
    told = refusal(
        {},
        policy=PolicySettings(engine=engine),
        isolated=IsolatedSettings(**named),
    )
    assert told == f"{', '.join(f'isolated.{name}' for name in named)}: {UNUSED}"


def test_a_server_has_to_be_named() -> None:
    """There is none by default."""
    told = refusal(policy=PolicySettings(engine="opa"))
    assert told == "opa.url: policy.engine is opa, and no server is named"


@pytest.mark.parametrize(
    ("data", "sections", "names"),
    [
        ({}, {}, "policy_data"),
        (None, {"policy": PolicySettings(engine="opa", data=FILE)}, "policy.data"),
        (None, {"policy": PolicySettings(engine="opa", folder=FILE)}, "policy.folder"),
        (
            None,
            {"policy": PolicySettings(engine="opa", areas=("rbac",))},
            "policy.areas",
        ),
        (None, {"bundle": BUNDLES}, "bundle.files"),
        (None, {"bundle": BundleSettings(url="http://127.0.0.1:1/b")}, "bundle.url"),
        (None, {"bundle_keys": KEYS}, "bundle_keys"),
        (
            {},
            {"policy": PolicySettings(engine="opa", data=FILE), "bundle": BUNDLES},
            "policy_data, policy.data, bundle.files",
        ),
    ],
)
def test_a_server_has_its_own_policy(data: Any, sections: Any, names: str) -> None:
    """What is named beside it would decide nothing."""
    told = refusal(data, **{**AT_SERVER, **sections})
    assert told == (
        f"policy.engine is opa: the server has its own policy; unset {names}"
    )


@pytest.mark.parametrize("engine", ["embedded", "isolated"])
@pytest.mark.parametrize(
    ("data", "policy", "names"),
    [
        ({}, {}, "policy_data"),
        (None, {"data": FILE}, "policy.data"),
        (None, {"folder": FILE}, "policy.folder"),
        (None, {"areas": ("rbac",)}, "policy.areas"),
        (
            "x.json",
            {"data": FILE, "folder": FILE},
            "policy_data, policy.data, policy.folder",
        ),
    ],
)
def test_a_bundle_has_its_own_policy(
    engine: Any, data: Any, policy: Any, names: str
) -> None:
    """What is named beside it would decide nothing."""
    told = refusal(data, policy=PolicySettings(engine=engine, **policy), bundle=BUNDLES)
    assert told == f"a bundle has its own policy and data; unset {names}"


@pytest.mark.parametrize("engine", ["embedded", "isolated"])
def test_bundles_come_from_one_place(engine: Any) -> None:
    """Files or a server."""
    chosen = PolicySettings(engine=engine)
    both = BundleSettings(files=BUNDLES.files, url="http://127.0.0.1:1/b")
    assert refusal(policy=chosen, bundle=both) == (
        "bundle.files and bundle.url are both set; unset one"
    )


@pytest.mark.parametrize(
    "named",
    [
        {"token": Secret("x")},
        {"ca_file": FILE},
        {"poll_seconds": 99.0},
        {"wait_seconds": 3.0},
        {"last_good_file": FILE},
        {"lifecycle_file": FILE},
    ],
    ids="+".join,
)
def test_what_belongs_to_bundles_is_not_set_without_one(named: Any) -> None:
    """Nor are keys: a policy that nobody checks must not seem to be checked."""
    told = refusal({}, bundle=BundleSettings(**named))
    assert told == f"{', '.join(f'bundle.{name}' for name in named)}: {UNUSED}"
    assert refusal({}, bundle_keys=KEYS) == (
        "bundle_keys: no bundle is checked with them; set bundle.files or bundle.url"
    )


@pytest.mark.parametrize("engine", ["embedded", "isolated"])
def test_without_data_nobody_could_do_anything(engine: Any) -> None:
    """A bus that is up and denies everything would seem to work."""
    told = refusal(policy=PolicySettings(engine=engine))
    assert told.startswith("no policy data: nobody is known")
    assert "set policy.data to a JSON or TOML file" in told


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """With its name, be it of data, of a bundle or of a bundle's key."""
    gone = tmp_path / "gone"
    assert f"{gone}: cannot be read: No such file" in refusal(gone)
    assert f"{gone}: cannot be read: No such file" in refusal(str(gone))
    bundle = BundleSettings(files=(gone,))
    assert str(gone) in refusal(bundle=bundle)
    keys = (BundleKeySettings("k", "EdDSA", gone),)
    assert str(gone) in refusal(bundle=bundle, bundle_keys=keys)
    chosen = PolicySettings(folder=gone)
    assert f"{gone}: no such folder" in refusal(policy=chosen)


@pytest.mark.parametrize(
    "named",
    [
        {"rotate_bytes": 1 << 22},
        {"keep": 3},
        {"label": "mine"},
        {"spool": FILE},
        {"spool_bytes": 1 << 25},
        {"collector_token_file": FILE},
        {"collector_ca_file": FILE},
    ],
    ids="+".join,
)
def test_a_decision_log_that_goes_nowhere_is_no_log(named: Any) -> None:
    """Whoever set a part of it believes that decisions are logged."""
    with pytest.raises(ConfigurationError) as refused:
        logged(DecisionLogSettings(**named))
    told = ", ".join(f"decision_log.{name}" for name in named)
    assert str(refused.value) == f"{told}: {UNUSED}"


def test_a_collector_needs_a_place_where_decisions_wait() -> None:
    """While it is not there, they are kept and not dropped."""
    with pytest.raises(ConfigurationError, match=r"^decision_log\.spool: "):
        logged(DecisionLogSettings(collector_url="http://127.0.0.1:1"))


def test_what_goes_together_is_taken(tmp_path: Path) -> None:
    """Guard: the refusals above are not of everything."""
    made = governance(Settings(), policies.data(), CLOCK)
    assert isinstance(made, InLoop)
    assert isinstance(made.authorizer, EmbeddedAuthorizer)
    chosen = PolicySettings(engine="isolated")
    bounds = IsolatedSettings(deadline_seconds=0.5)
    settings = Settings(policy=chosen, isolated=bounds)
    assert isinstance(governance(settings, policies.data(), CLOCK), InWorker)
    assert isinstance(policy_source(Settings(), {}, CLOCK), PolicyFiles)
    assert isinstance(policy_source(Settings(bundle=BUNDLES), None, CLOCK), BundleFiles)
    assert logged(DecisionLogSettings()) is None
    assert logged(DecisionLogSettings(file=tmp_path / "log")) is not None


def test_a_policy_that_is_refused_stops_the_start(tmp_path: Path) -> None:
    """On the embedded engine when the bus is made, with file and line."""
    folder = policies.folder(tmp_path / "p", "package assent.authz\n\ndecision :=\n")
    with pytest.raises(PolicyLoadError, match=r"^authz\.rego:\d+: "):
        governance(Settings(policy=PolicySettings(folder=folder)), None, CLOCK)


def logged(given: DecisionLogSettings) -> object:
    """Return the decision log that settings make."""
    inner = EmbeddedAuthorizer(
        policy_source(Settings(), policies.data(), CLOCK), now_ns=CLOCK.now_ns
    )
    return decision_log(Settings(decision_log=given), inner, CLOCK)
