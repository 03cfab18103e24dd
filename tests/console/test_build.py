"""How the console comes into the wheel, and what is committed of it."""

import json
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

import hatch_build
from tests.parts import absent

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "bus" / "console"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one package, whose console is built; there is no npm."""
    for name in ("pyproject.toml", "hatch_build.py", ".gitignore", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    for package in ("bus", "policy", "processors"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    console = tmp_path / "bus" / "console"
    (console / "src").mkdir(parents=True)
    (console / "src" / "main.tsx").write_text("export {};")
    (console / "dist" / "assets").mkdir(parents=True)
    for name in ("build.js", "package.json", "package-lock.json", "tsconfig.json"):
        (console / name).write_text("{}")
    for name in ("index.html", "licenses.txt", "assets/console-1.js"):
        (console / "dist" / name).write_text(name)
    monkeypatch.setattr(hatch_build, "CONSOLE", console)
    monkeypatch.setattr(hatch_build, "DIST", console / "dist")
    monkeypatch.setattr(hatch_build, "STAMP", console / "dist" / "source")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (console / "dist" / "source").write_text(hatch_build.fingerprint())
    return tmp_path


def test_a_wheel_carries_what_was_built_and_no_source(checkout: Path) -> None:
    """Users of a wheel need no Node, and get nothing that only builders need."""
    (wheel,) = WheelBuilder(str(checkout)).build(directory=str(checkout / "out"))
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if "console" in name} == {
        "bus/console/dist/index.html",
        "bus/console/dist/licenses.txt",
        "bus/console/dist/assets/console-1.js",
    }


def test_a_source_archive_carries_both(checkout: Path) -> None:
    """So that whoever builds from it needs no npm either."""
    (archive,) = SdistBuilder(str(checkout)).build(directory=str(checkout / "out"))
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert "bus/console/src/main.tsx" in names
    assert "bus/console/dist/source" in names
    assert "bus/console/dist/assets/console-1.js" in names
    assert "hatch_build.py" in names


def test_a_wheel_without_the_console_of_its_source_is_not_made(checkout: Path) -> None:
    """And the builder is told what is missing."""
    (checkout / "bus/console/src/main.tsx").write_text("export { };")
    with pytest.raises(SystemExit, match="needs npm"):
        list(WheelBuilder(str(checkout)).build(directory=str(checkout / "out")))
    shutil.rmtree(checkout / "bus/console/dist")
    with pytest.raises(SystemExit, match="needs npm"):
        list(WheelBuilder(str(checkout)).build(directory=str(checkout / "out")))


def test_an_install_in_place_builds_nothing(checkout: Path) -> None:
    """A developer of the bus needs no npm."""
    shutil.rmtree(checkout / "bus/console/dist")
    made = WheelBuilder(str(checkout)).build(
        directory=str(checkout / "out"), versions=["editable"]
    )
    assert len(list(made)) == 1


def test_an_npm_that_fails_is_told(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing half built is taken for a console."""
    npm = checkout / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\nexit 3\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    (checkout / "bus/console/src/main.tsx").write_text("export { };")
    with pytest.raises(SystemExit, match=r"npm ci --ignore-scripts .* failed"):
        hatch_build.build()
    assert (checkout / "bus/console/dist/source").read_text() != (
        hatch_build.fingerprint()
    )


def test_what_was_built_from_this_source_is_not_built_again(checkout: Path) -> None:
    """Building twice costs nothing, and needs nothing."""
    del checkout
    assert hatch_build.build() is False


def test_npm_builds_and_the_build_is_stamped(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stamp says of which source it is."""
    true = shutil.which("true", path="/usr/bin:/bin")
    assert true is not None
    (checkout / "bin").mkdir()
    (checkout / "bin" / "npm").symlink_to(true)
    monkeypatch.setenv("PATH", str(checkout / "bin"))
    (checkout / "bus/console/src/main.tsx").write_text("export { };")
    assert hatch_build.build() is True
    assert hatch_build.build() is False


def test_packages_are_pinned_by_content_and_by_no_address() -> None:
    """Whoever installs takes them from where they always do, and gets just these."""
    lock = json.loads((CONSOLE / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: row for name, row in lock["packages"].items() if name}
    assert len(packages) >= 5
    for name, row in packages.items():
        assert "resolved" not in row, name
        assert row["integrity"].startswith("sha512-"), name
    wanted = json.loads((CONSOLE / "package.json").read_text(encoding="utf-8"))
    for versions in (wanted["dependencies"], wanted["devDependencies"]):
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", one) for one in versions.values())
    settings = (CONSOLE / ".npmrc").read_text(encoding="utf-8")
    assert "omit-lockfile-registry-resolved=true" in settings


def test_nothing_makes_html_of_text() -> None:
    """The policy of the page would refuse it; the source does not even ask."""
    makes = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
        r"|dangerouslySetInnerHTML|srcdoc|javascript:"
    )
    sources = sorted((CONSOLE / "src").rglob("*.ts*"))
    assert len(sources) > 20
    for file in sources:
        assert not makes.search(file.read_text(encoding="utf-8")), file


def test_what_is_built_is_whole_and_of_others_only_with_their_licence() -> None:
    """The page names what is there, and everything that is there."""
    dist = CONSOLE / "dist"
    if not (dist / "index.html").is_file():
        absent("the console is not built: make console")
    page = (dist / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r"assets/([\w.-]+)", page))
    assert named == {file.name for file in (dist / "assets").iterdir()}
    licences = (dist / "licenses.txt").read_text(encoding="utf-8")
    wanted = json.loads((CONSOLE / "package.json").read_text(encoding="utf-8"))
    for name in wanted["dependencies"]:
        assert name in licences
