"""`assent demo` as a user sees it, and what it reports when something goes wrong."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bus.adapters import audit
from bus.cli.output import CHECK_FAILED, OK, WRONG_USAGE
from bus.cli.survey import files, run, view
from bus.cli.survey.files import Listing
from tests.command import RUN, Ended, assent, environment
from tests.fakes.calls import called
from tests.parts import require

COLUMNS = 80
ATTEMPTS = 12
FRAMES = ("--seconds-per-frame", "0.05")
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "50"}


def demo(folder: Path, *arguments: str, **environ: str) -> Ended:
    """Call the demonstration in `folder`; with an environment, in its own process."""
    if environ:
        return assent(folder, "demo", *arguments, **environ)
    return called(folder, "demo", *arguments)


def told(folder: Path, *arguments: str) -> Any:
    """Run it and return the document it prints, having ended well."""
    done = demo(folder, "--json", *arguments)
    assert (done.code, done.err) == (OK, "")
    return done.document


def story(plan: run.Plan) -> run.Story:
    """Run the demonstration in this process."""
    return run.demonstrate(plan, view.Silent())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose measures are known."""
    made = tmp_path / "checkout"
    (made / "pkg").mkdir(parents=True)
    (made / "pkg" / "a.py").write_text("class A:\n    def f(self): ...\n\n\nx = 1\n")
    (made / "pkg" / "b.py").write_text("async def g(): ...")
    (made / "broken.py").write_text("def (:\n")
    (made / "note.md").write_text("# T\n" + "w" * 99 + "\n")
    (made / "blob.bin").write_bytes(b"\x7fELF\0\n")
    return made


def test_the_fleet_measures_every_file_and_the_intruder_is_kept_out(
    folder: Path,
) -> None:
    """The figures are those of the folder, and each attempt has a reason."""
    document = told(folder)
    kinds = {kind.pop("kind"): kind for kind in document["report"]["kinds"]}
    assert kinds["py"] == {
        "files": 3, "binary": 0, "size": 63, "lines": 7, "functions": 2, "classes": 1,
    }  # fmt: skip
    assert (kinds["bin"]["files"], kinds["bin"]["binary"]) == (1, 1)
    assert document["report"]["longest_line"] == {"amount": 99, "path": "note.md"}
    assert len(document["attempts"]) == ATTEMPTS
    assert all(a["refused"] and a["reason"] for a in document["attempts"])
    codes = {attempt["by"] for attempt in document["attempts"]}
    assert {"denied", "no_responders", "unknown_key", "stamp_mismatch"} <= codes
    assert document["ok"] is True
    assert {check["state"] for check in document["checks"]} == {"ok"}


def test_counts_reconcile_with_the_work_that_was_done(folder: Path) -> None:
    """Five files make five tasks, five results, a question, its answer and a notice."""
    document = told(folder)
    messages = document["messages"]
    assert messages["accepted"] == 5 + 5 + 1 + 1 + 1
    assert messages["delivered"] == messages["accepted"] - 1  # the changed notice
    assert messages["refused"] == 2  # that one, and the forged one
    assert 0 < document["cache_hit_ratio"] < 1


def test_an_empty_folder_is_surveyed_too(tmp_path: Path) -> None:
    """Nothing to do is no fault, however long it may take."""
    document = told(tmp_path, "--seconds", "60")
    assert document["files"]["surveyed"] == 0
    assert document["rounds"] == 1


def test_git_says_which_files_there_are(folder: Path) -> None:
    """Ignored files are left out, deleted ones and links are counted."""
    git = require("git")
    (folder / ".gitignore").write_text("*.bin\n")
    (folder / "link").symlink_to("note.md")
    subprocess.run([git, "init", "-q"], cwd=folder, check=True)
    subprocess.run([git, "add", "."], cwd=folder, check=True)
    (folder / "note.md").unlink()
    found = files.find(folder)
    assert found.source == "git ls-files"
    assert set(found.files) == {".gitignore", "broken.py", "pkg/a.py", "pkg/b.py"}
    assert found.no_files == 2


def test_without_git_the_folders_are_walked_and_it_is_said_why(
    folder: Path, tmp_path: Path
) -> None:
    """Folders that tools make are not entered."""
    for name in (".venv", "__pycache__", "node_modules"):
        (folder / name).mkdir()
        (folder / name / "x.py").write_text("")
    done = demo(folder, "--json", PATH=str(tmp_path))
    document = done.document
    assert document["files"]["source"] == "a walk (git is not installed)"
    assert document["files"]["surveyed"] == 5
    assert "not a git repository" in files.find(folder).source


def test_odd_files_are_no_obstacle(tmp_path: Path) -> None:
    """Names that are no text or control a terminal, pipes, links that go nowhere."""
    (tmp_path / "deep.py").write_text("(" * 5_000)
    (tmp_path / "new\nline.py").write_text("x = '\\d'\n")
    (tmp_path / "esc\x1b[2J.txt").write_text("x")
    (tmp_path / "[red]markup.md").write_text("x" * 300)
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff\xfe.py")).write_text("def f(): ...")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large.iso").open("wb") as large:
        large.truncate(20 << 20)
    document = told(tmp_path)
    assert (document["files"]["surveyed"], document["files"]["no_files"]) == (6, 2)
    assert document["report"]["lost"] == 0
    assert document["report"]["largest"][0] == {"amount": 20 << 20, "path": "large.iso"}
    for encoding in ("utf-8", "ascii"):
        done = demo(tmp_path, PYTHONIOENCODING=encoding)
        assert (done.code, done.err) == (OK, "")
        assert "\x1b" not in done.out
        assert "\\xff\\xfe.py" in done.out


def test_a_file_that_cannot_be_read_is_given_up_with_its_reason(tmp_path: Path) -> None:
    """It becomes a dead letter, which the aggregator counts; everything still agrees."""
    (tmp_path / "a.py").write_text("x = 1\n")
    listing = Listing(tmp_path, ("a.py", "gone.py"), "told by the test")
    ended = story(run.Plan(listing, tmp_path / "audit.log"))
    assert ended.ok, ended.checks
    assert ended.report.measured == 1
    assert ended.report.lost == 1
    assert ended.report.given_up[0].path == "gone.py"
    assert "cannot be read: No such file" in ended.report.given_up[0].reason


def test_an_attempt_that_gets_through_fails_the_demonstration(
    folder: Path, tmp_path: Path
) -> None:
    """Under data that lets the trainee give out tasks, the check says so."""
    data = json.loads(run.DATA.read_text())
    data["agents"]["trainee"]["roles"].append("planner")
    lax = tmp_path / "lax.json"
    lax.write_text(json.dumps(data))
    plan = run.Plan(files.find(folder), tmp_path / "audit.log", data=lax)
    ended = story(plan)
    assert not ended.ok
    failed = [check for check in ended.checks if check.state != "ok"]
    assert [check.name for check in failed] == ["intruder kept out"]
    assert "give out a task" in failed[0].text


def test_the_record_is_kept_where_asked_and_continued(
    folder: Path, tmp_path: Path
) -> None:
    """A second run adds to it, and each run reconciles with its own part."""
    kept = tmp_path / "audit.log"
    told(folder, "--audit", str(kept))
    once = audit.verify(kept).records
    told(folder, "--audit", str(kept), "--seconds", "0.3")
    assert audit.verify(kept).records > once


def test_a_record_that_was_changed_is_not_continued(
    folder: Path, tmp_path: Path
) -> None:
    """It ends with code 1, the file and the line."""
    kept = tmp_path / "audit.log"
    told(folder, "--audit", str(kept))
    kept.write_bytes(kept.read_bytes().replace(b"started", b"stopped", 1))
    done = demo(folder, "--audit", str(kept))
    assert done.code == CHECK_FAILED
    assert "line 2" in done.err
    assert str(kept) in done.err


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    """With code 2 and one line."""
    done = demo(tmp_path, "--folder", "none")
    assert (done.code, done.out) == (WRONG_USAGE, "")
    assert done.err == "assent: none: not a folder\n"


def test_a_pipe_gets_lines_that_fit(folder: Path) -> None:
    """No escape codes, and nothing but paths is wider than a terminal."""
    done = demo(folder, "--seconds", "1.3")
    assert (done.code, done.err) == (OK, "")
    assert "\x1b" not in done.out
    assert "round" in done.out.splitlines()[0]
    wide = [x for x in done.out.splitlines() if len(x.rstrip()) > COLUMNS]
    assert all("data.json" in line for line in wide)


def test_a_terminal_gets_a_picture_and_then_the_summary(folder: Path) -> None:
    """Drawn again and again, and taken away before the summary."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", RUN, "demo", *("--seconds", "0.5"), *FRAMES],
        cwd=folder,
        env={**environment(), **TERMINAL},
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
    ) as process:
        os.close(follower)
        drawn = b""
        while chunk := _read(leader):
            drawn += chunk
    os.close(leader)
    assert process.returncode == OK
    picture, _, summary = drawn.decode().partition("What the bus did")
    assert picture.count("messages/s") > 3
    assert "cache hits" in picture
    assert "intruder kept out" in picture
    assert "ok" in summary


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65_536)
    except OSError:
        return b""  # Linux says EIO when the other side is closed
