"""The built-in rules pass their own tests, on both engines."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bus.core.errors import PolicyLoadError
from policy import tester
from policy.bundle import BUILT_IN
from tests.parts import require

FOLDERS = [BUILT_IN, BUILT_IN.parent / "tests"]
OPA_S_MAX = 60
RULE = re.compile(r"^(?!package|import|#)\S", re.MULTILINE)


@pytest.mark.parametrize(
    "result", tester.run_tests(FOLDERS), ids=lambda result: f"{result.name}"
)
def test_every_rego_test_passes_on_the_embedded_engine(result: tester.RuleTest) -> None:
    """The engine in force gives the answers that the rules' author meant."""
    assert result.ending == "passed", f"{result.file}:{result.line}: {result.detail}"


def test_every_rule_of_the_built_in_policy_is_needed(tmp_path: Path) -> None:
    """Without any one of its bodies some test fails."""
    folders = [tmp_path / folder.name for folder in FOLDERS]
    for source, copy in zip(FOLDERS, folders, strict=True):
        shutil.copytree(source, copy)
    assert not _fails(folders)
    untested = []
    for path in folders[0].glob("*.rego"):
        whole = path.read_text()
        parts = whole.split("\n\n")
        for number, part in enumerate(parts):
            if RULE.search(part):
                path.write_text("\n\n".join(parts[:number] + parts[number + 1 :]))
                if not _fails(folders):
                    untested.append(part)
        path.write_text(whole)
    assert not untested, "\n".join(untested)


def _fails(folders: list[Path]) -> bool:
    try:
        results = tester.run_tests(folders)
    except PolicyLoadError:
        return True
    return any(result.ending != "passed" for result in results)


@pytest.mark.integration
@pytest.mark.timeout(OPA_S_MAX)
@pytest.mark.parametrize(
    "command", [["fmt", "--fail", "--list"], ["check", "--strict"], ["test"]]
)
def test_opa_itself_agrees(command: list[str]) -> None:
    """Formatted, strict, and the same tests pass: the rules are Rego, not a dialect."""
    done = subprocess.run(
        [require("opa"), *command, *map(str, FOLDERS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
