"""The demonstration's parts: what it lists, draws and says."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from bus.cli.checks import Check
from bus.cli.survey import files, measure, run, summary, view
from bus.cli.survey.files import Listing
from bus.cli.survey.intruder import Attempt
from bus.cli.survey.measure import Measure
from bus.cli.survey.work import KindTotal, Place, Report, Trouble

SLOW_GIT = "#!/bin/sh\nexec sleep 5\n"
MUTE_GIT = "#!/bin/sh\nexit 3\n"


def shown(story: run.Story, listing: Listing) -> str:
    """Return the summary as it goes into a pipe."""
    out = io.StringIO()
    summary.show(Console(file=out, width=80), listing, story, "not kept")
    return out.getvalue()


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[run.Story, str]:
    """A small survey, and what was drawn meanwhile."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "a.py").write_text("x = 1\n")
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60, height=20)
    listing = Listing(folder, ("a.py",), "told by the test")
    plan = run.Plan(listing, folder / "audit.log", seconds=0.2)
    return run.demonstrate(plan, view.Picture(console, 0.02)), out.getvalue()


def test_the_picture_shows_what_is_going_on(ended: tuple[run.Story, str]) -> None:
    """Frame after frame, in a narrow terminal too."""
    story, drawn = ended
    assert story.ok, story.checks
    assert drawn.count("messages/s") > 2
    for said in ("round", "of 1 files", "cache hits", "latency p99", "kept out"):
        assert said in drawn


def test_a_terminal_without_unicode_gets_no_bars(
    ended: tuple[run.Story, str], tmp_path: Path
) -> None:
    """What cannot be encoded is not drawn."""
    del ended
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    console = Console(file=out, force_terminal=True, width=80, height=20)
    plan = run.Plan(Listing(tmp_path, (), "told"), tmp_path / "audit.log")
    assert run.demonstrate(plan, view.Picture(console, 0.02)).ok
    assert b"messages/s" in raw.getvalue()


def test_a_summary_says_what_was_left_out_and_given_up(
    ended: tuple[run.Story, str], tmp_path: Path
) -> None:
    """Many types are summed, a failed check and an attempt let in stand out."""
    story, _ = ended
    kinds = [KindTotal(f"k{n}", files=1, size=n, lines=1) for n in range(20, 0, -1)]
    report = Report(
        kinds, [Place(5, "a")], Place(3, "b"), [Trouble("c", "cannot be read: x")], 7
    )
    attempts = [Attempt("intruder", "climb in", False, "", "it was accepted")]
    checks = [Check("some check", "failed", "1 is not 2")]
    bad = run.Story(report, 2, 1.0, attempts, story.snapshot, checks)
    assert not bad.ok
    text = shown(bad, Listing(tmp_path, (), "a walk (x)", 1, 2, 3))
    for said in ("12 more", "1 past the bound", "2 links", "3 folders", "and 6 more"):
        assert said in text
    assert "LET IN" in text
    assert "FAILED" in text
    assert summary.document(Listing(tmp_path, (), "x"), bad, "y")["ok"] is False


@pytest.mark.parametrize(
    ("script", "said"),
    [(SLOW_GIT, "git did not answer"), (MUTE_GIT, "did not say why")],
)
def test_a_git_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    """The folders are walked instead, and it is said why."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").write_text(script)
    (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setattr(files, "SURVEY_LIST_S", 0.2)
    found = files.find(tmp_path)
    assert said in found.source
    assert found.files == ("tools/git",)


def test_more_files_than_the_bound_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A walk that gets too long ends, and says that not all was reached."""
    for number in range(5):
        (tmp_path / f"{number}.txt").touch()
    (tmp_path / "sub").mkdir()
    monkeypatch.setattr(files, "SURVEY_FILES_MAX", 3)
    found = files.find(tmp_path)
    assert (len(found.files), found.left_out) == (3, 2)
    monkeypatch.setattr(files, "SURVEY_ENTRIES_MAX", 5)
    found = files.find(tmp_path)
    assert (found.files, found.unread) == ((), 2)


def test_large_files_are_measured_by_size_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And Python past its bound is not parsed."""
    (tmp_path / "a.py").write_text("def f(): ...\n")
    monkeypatch.setattr(measure, "SURVEY_SYNTAX_BYTES_MAX", 5)
    assert measure.measure(tmp_path, "a.py") == Measure(13, lines=1, longest=12)
    monkeypatch.setattr(measure, "SURVEY_FILE_BYTES_MAX", 5)
    assert measure.measure(tmp_path, "a.py") == Measure(13)


def test_what_is_no_file_any_more_is_an_error(tmp_path: Path) -> None:
    """A folder or a link that took the place of a file is not read."""
    (tmp_path / "link").symlink_to("/etc/hostname")
    for name in (".", "link", "gone"):
        with pytest.raises(OSError, match=r"."):
            measure.measure(tmp_path, name)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.PY", "py"),
        ("Makefile", "plain"),
        (".gitignore", "plain"),
        ("a.tar.gz", "gz"),
        ("a.b c", "plain"),
        ("a.>", "plain"),
        ("a.verylongsuffix", "plain"),
        ("x/.y/z.c++", "c++"),
    ],
)
def test_a_type_is_a_token_that_a_subject_can_have(path: str, kind: str) -> None:
    """Whatever a file is called."""
    assert measure.kind_of(path) == kind
