"""The report says what was counted and what did not hold, and its exit code says so too."""

from pathlib import Path

import pytest

from tests.crash import report
from tests.crash.claims import SHOWN, Trial


def trial(*broken: str, accepted: int = 3) -> Trial:
    """Return a trial that has counted something."""
    made = Trial("kill -9")
    made.count("accepted", accepted)
    made.notes.append("a note")
    made.broken.extend(broken)
    return made


@pytest.mark.parametrize("broken", [(), ("one was lost",)])
def test_the_exit_code_is_that_of_the_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: tuple[str, ...]
) -> None:
    """Trials of one title are one section; what did not hold is in it, in full."""
    found = [trial(), trial(*broken, accepted=4_000)]
    monkeypatch.setattr(report, "trials", lambda **_: iter(found))
    page = tmp_path / "build" / "page.md"
    assert report.main(["--page", str(page)], lambda: 1_800_000_000 * 10**9) == len(
        broken
    )
    text = page.read_text()
    assert text.count("## kill -9") == 1
    assert "| accepted | 4,003 |" in text
    assert "Run on 2027-01-15" in text
    assert ("Every claim held." in text) == (not broken)
    assert ("one was lost" in text) == bool(broken)
    assert f"| claims that did not hold | {len(broken)} |" in text


def test_every_trial_says_what_it_claims() -> None:
    """A section without its claim shows nothing."""
    assert all(report.CLAIMS.values())
    assert report.merged([trial(), trial()])[0].title in report.CLAIMS


def test_a_simulation_of_a_few_seeds_is_counted() -> None:
    """The command that is run is the one a user has."""
    found = report.simulation(2)
    assert not found.broken, found.told
    assert found.counts["seeds"] == 2


def test_much_that_is_broken_is_counted_and_the_first_of_it_shown() -> None:
    """Nobody reads ten thousand lines."""
    found = trial(*map(str, range(SHOWN + 5)))
    assert found.told.endswith("\nand 5 more")
    assert found.told.count("\n") == SHOWN
    found.require("accepted", "kills")
    assert found.broken[-1] == "no kills: the trial shows nothing"
