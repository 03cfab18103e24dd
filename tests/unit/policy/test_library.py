"""Each area of the library passes its truth table on both engines, and needs all of it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bus.core.errors import PolicyLoadError
from policy import areas, tester
from policy.bundle import BUILT_IN
from tests.parts import require
from tests.tidy.repository import ROOT

OPA_S_MAX = 60
RULE = re.compile(r"^(?!package|import|#)\S", re.MULTILINE)
CONDITION = re.compile(r"^\t(?![\t\])}])")
CASE = re.compile(r"count\(_wrong\) == 0|count\(wrong\) == 0")

by_area = pytest.mark.parametrize("area", areas.NAMES)


def folders(area: str) -> list[Path]:
    """Return what an area's tests need: the built-in rules, what areas share, itself."""
    return [BUILT_IN, areas.SHARED, areas.FOLDER / area]


def fails(where: list[Path]) -> bool:
    """Tell whether a test below the folders fails, or nothing below them loads."""
    try:
        results = tester.run_tests(where)
    except PolicyLoadError:
        return True
    return any(result.ending != "passed" for result in results)


def test_there_is_a_folder_for_every_area_and_no_other() -> None:
    """An area that is not in the list would be in no test."""
    others = {"assent", "tests", "examples", areas.SHARED.name}
    found = {place.name for place in areas.FOLDER.iterdir() if place.is_dir()}
    assert found - others == set(areas.NAMES)


@by_area
def test_the_tests_of_an_area_pass_on_the_embedded_engine(area: str) -> None:
    """The engine in force gives the answers that the truth table has."""
    results = tester.run_tests(folders(area))
    assert not [(r.name, r.detail, r.printed) for r in results if r.ending != "passed"]


@by_area
def test_an_area_has_a_truth_table(area: str) -> None:
    """Cases in a table, of which those that are wrong are named."""
    text = (areas.FOLDER / area / f"{area}_test.rego").read_text()
    assert CASE.search(text)
    assert "some note, case in" in text


@pytest.mark.integration
@pytest.mark.timeout(OPA_S_MAX)
@pytest.mark.parametrize(
    "command", [["fmt", "--fail", "--list"], ["check", "--strict"], ["test"]]
)
@by_area
def test_opa_agrees_on_an_area(area: str, command: list[str]) -> None:
    """Formatted, strict, and the same tests pass."""
    run_opa(command, folders(area))


@pytest.mark.integration
@pytest.mark.timeout(OPA_S_MAX)
def test_opa_agrees_on_all_areas_together() -> None:
    """And the built-in policy's own tests hold while all areas are loaded."""
    places = [areas.FOLDER / area for area in areas.NAMES]
    run_opa(["test"], [BUILT_IN, BUILT_IN.with_name("tests"), areas.SHARED, *places])


def run_opa(command: list[str], where: list[Path]) -> None:
    """Run OPA over folders; it must be content."""
    done = subprocess.run(
        [require("opa"), *command, *map(str, where)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(OPA_S_MAX)
@by_area
def test_every_line_of_an_area_is_needed(area: str, tmp_path: Path) -> None:
    """Without any one rule, or condition of a rule, its truth table fails."""
    rules = tmp_path / area / f"{area}.rego"
    copied = copies(folders(area), tmp_path)
    rules.with_name("joined.rego").unlink()
    assert not untested(rules, copied)


@pytest.mark.timeout(OPA_S_MAX)
def test_every_rule_that_areas_share_is_needed(tmp_path: Path) -> None:
    """By an area that each stands for."""
    rules = tmp_path / areas.SHARED.name / "questions.rego"
    named = [areas.FOLDER / area for area in ("audit", "rbac", "ratelimit")]
    copied = copies([BUILT_IN, areas.SHARED, *named], tmp_path)
    assert not untested(rules, copied)


def copies(where: list[Path], into: Path) -> list[Path]:
    """Copy folders below another; return the copies."""
    return [Path(shutil.copytree(place, into / place.name)) for place in where]


def untested(rules: Path, where: list[Path]) -> list[str]:
    """Return the bodies and lines of a file without which no test fails."""
    assert not fails(where)
    whole = rules.read_text()
    found = []
    for between, pattern in (("\n\n", RULE), ("\n", CONDITION)):
        parts = whole.split(between)
        for number, part in enumerate(parts):
            if pattern.search(part):
                rules.write_text(between.join(parts[:number] + parts[number + 1 :]))
                if not fails(where):
                    found.append(part)
    rules.write_text(whole)
    return found


@by_area
def test_an_area_has_a_page(area: str) -> None:
    """That says what it decides."""
    assert (ROOT / "docs" / "policies" / f"{area}.md").is_file()
