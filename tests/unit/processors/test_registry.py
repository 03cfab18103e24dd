"""The registry: a name means one thing, and mistakes are named."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.core.errors import ConfigurationError, KeyRingError
from processors import registry

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "assent-example-plugin"
Install = Callable[..., None]
FACTORIES = {"stage": registry.stage, "strategy": registry.strategy}


@pytest.mark.parametrize("kind", ["stage", "strategy"])
def test_every_built_in_is_listed(kind: registry.Kind) -> None:
    """`installed` tells what can be had and from where."""
    listed = {p.name for p in registry.installed(kind) if p.distribution == "assent"}
    assert listed == set(registry.BUILT_IN[kind])


def test_an_unknown_name_comes_with_a_suggestion() -> None:
    """And with what is installed."""
    with pytest.raises(ConfigurationError, match="did you mean 'redact'") as caught:
        registry.stage("redcat")
    assert "enrich, rate_limit, redact" in str(caught.value)
    with pytest.raises(ConfigurationError, match="did you mean 'least_loaded'"):
        registry.strategy("leastloaded")


@pytest.mark.parametrize(
    ("kind", "name", "options", "said"),
    [
        ("stage", "redact", {"header": ["a"]}, "did you mean 'headers'"),
        ("stage", "redact", {"headers": "a"}, "Expected `array`"),
        ("stage", "rate_limit", {"per": "agent"}, "rate_per_s"),
        ("stage", "rate_limit", {"per": "x", "rate_per_s": 1, "burst": 1}, "per"),
        ("strategy", "direct", {"x": 1}, "it takes nothing"),
    ],
)
def test_a_wrong_option_is_named(
    kind: str, name: str, options: dict[str, Any], said: str
) -> None:
    """Unknown, missing and ill-typed options each say what they are."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        FACTORIES[kind](name, options)
    assert said in str(caught.value)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, built and installed into a folder of its own."""
    source = tmp_path_factory.mktemp("source")
    for path in EXAMPLE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = source / path.relative_to(EXAMPLE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    target = tmp_path_factory.mktemp("site")
    wheel = f"""
import os, sys
os.chdir({str(source)!r})
from hatchling import build
print(build.build_wheel({str(target)!r}))
"""
    name = _run(wheel, []).strip()
    unpack = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])"
    _run(unpack, [], str(target / name), str(target))
    return target


@pytest.mark.timeout(60)
def test_the_example_package_is_found_and_works(example: Path) -> None:
    """Installed beside Assent, both its parts are made and used through the registry."""
    said = _run(
        """
import json
from bus.core.errors import ConfigurationError
from processors import registry
from tests.fakes.processing import Taker, message
stage = registry.stage("debounce", {"quiet_s": 1})
strategy = registry.strategy("standby", {"prefer": "b"})
try:
    registry.stage("debounce", {"quiet": 1})
except ConfigurationError as error:
    unknown = str(error)
try:
    registry.stage("debounce", {"quiet_s": 0})
except ConfigurationError as error:
    bound = str(error)
sent = message()
print(json.dumps({
    "first": stage.process(sent, 0) is sent,
    "second": stage.process(sent, 5 * 10**8).reason,
    "third": stage.process(sent, 10**9) is sent,
    "plan": [t.name for t in strategy.plan(sent, (Taker("x", "a"), Taker("y", "b")))],
    "unknown": unknown,
    "bound": bound,
    "listed": [p.distribution for p in registry.installed("stage") if p.name == "debounce"],
}))
""",
        [example],
    )
    assert json.loads(said) == {
        "first": True,
        "second": "the last one was 500 ms ago",
        "third": True,
        "plan": ["y"],
        "unknown": "stage 'debounce' of assent-example-plugin has no option 'quiet'; "
        "did you mean 'quiet_s'?; it takes names_max, quiet_s",
        "bound": "stage 'debounce' of assent-example-plugin: "
        "Expected `float` > 0.0 - at `$.quiet_s`",
        "listed": ["assent-example-plugin"],
    }


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put folders with installed packages on the path for one test."""

    def prepend(*sites: Path) -> None:
        for site in sites:
            monkeypatch.syspath_prepend(site)
        registry.points.cache_clear()

    yield prepend
    registry.points.cache_clear()
    for name in ("first", "second"):
        sys.modules.pop(name, None)


def plugin(folder: Path, distribution: str, name: str, source: str) -> Path:
    """Lay out an installed package with one stage."""
    site = folder / distribution
    meta = site / f"{distribution}-1.dist-info"
    meta.mkdir(parents=True)
    meta.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n"
    )
    meta.joinpath("entry_points.txt").write_text(
        f"[assent.processors]\n{name} = {distribution}:Made\n"
    )
    site.joinpath(f"{distribution}.py").write_text(source)
    return site


GOOD = """
import msgspec
class Made:
    class Options(msgspec.Struct): pass
    name = "mine"
    def __init__(self, options): pass
    def process(self, message, now_ns): return message
"""


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("redact", GOOD, "built in, but first brings one"),
        ("other", GOOD, "it must have the name it is installed under"),
        ("mine", GOOD.replace("class Options(msgspec.Struct)", "class O"), "`Options`"),
        ("mine", GOOD.replace("def process", "def handle"), "no method 'process'"),
        ("mine", "1 / 0", "cannot be loaded: ZeroDivisionError"),
        ("mine", "", "cannot be loaded: AttributeError"),
        ("mine", GOOD.replace("options): pass", "options): 1 / 0"), "cannot be made"),
    ],
)
def test_a_package_that_breaks_the_rules_is_refused(
    tmp_path: Path, install: Install, name: str, source: str, said: str
) -> None:
    """Each with its name and what is wrong, as a configuration error."""
    install(plugin(tmp_path, "first", name, source))
    with pytest.raises(ConfigurationError, match=name) as caught:
        registry.stage(name)
    assert said in str(caught.value)


def test_a_package_that_keeps_the_rules_is_used(
    tmp_path: Path, install: Install
) -> None:
    """And listed with its distribution; what it refuses itself is passed on."""
    source = GOOD.replace("name = ", "made = ", 1) + "    name = 'mine'\n"
    install(plugin(tmp_path, "first", "mine", source))
    assert registry.stage("mine").name == "mine"
    assert registry.Part("mine", "first") in registry.installed("stage")


def test_what_a_package_says_of_its_options_is_passed_on(
    tmp_path: Path, install: Install
) -> None:
    """A typed error of the package's own is not wrapped."""
    source = "from bus.core.errors import KeyRingError\n" + GOOD.replace(
        "options): pass", "options): raise KeyRingError('no mine')"
    )
    install(plugin(tmp_path, "first", "mine", source))
    with pytest.raises(KeyRingError, match=r"^no mine$"):
        registry.stage("mine")


def test_two_packages_with_one_name_are_refused(
    tmp_path: Path, install: Install
) -> None:
    """Which one would run is not left to the order of a path."""
    install(*(plugin(tmp_path, d, "mine", GOOD) for d in ("first", "second")))
    with pytest.raises(ConfigurationError, match="brought by each of first, second"):
        registry.stage("mine")


def _run(code: str, sites: list[Path], *arguments: str) -> str:
    paths = f"import sys; sys.path[:0] = {[str(ROOT), *map(str, sites)]!r}\n"
    done = subprocess.run(
        [sys.executable, "-c", paths + code, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout
