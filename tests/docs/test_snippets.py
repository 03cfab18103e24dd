"""What the documentation shows is run as it stands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks_of
from tests.docs.runner import commands
from tests.tidy.repository import ROOT, files

PAGES = [
    p
    for p in files()
    if p == ROOT / "README.md"
    or (p.suffix == ".md" and p.is_relative_to(ROOT / "docs"))
]
# Other words for what is run as `python` or `console`: under them nothing would be.
REFUSED = {"py", "python3", "pycon", "sh", "bash", "shell", "zsh"}
PAGE_S_MAX = 120

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def run(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the blocks of a page in `folder`, the commands of this environment first."""
    scripts = str(Path(sys.executable).parent)
    environment = {
        "PATH": os.pathsep.join((scripts, os.defpath)),
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.runner", str(page)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(PAGE_S_MAX)
@by_page
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """A reader who copies what a page shows gets no error."""
    done = run(page, tmp_path)
    assert done.returncode == 0, f"\n{done.stdout}{done.stderr}"


@by_page
def test_a_block_that_is_not_run_says_why(page: Path) -> None:
    """An exception has a reason of at least three words."""
    for block in blocks_of(page):
        place = f"{page.name}:{block.line}"
        if block.mark == "not run":
            assert len(block.detail.split()) >= 3, place
        else:
            assert block.language not in REFUSED, f"{place}: say python or console"


def test_a_wrong_page_fails(tmp_path: Path) -> None:
    """The test above can fail: each kind of fault is seen, with its line."""
    wrong = {
        "```python\nx = 1\nassert x == 2\n```\n": "line 3",
        "```console\n$ python -c 'raise SystemExit(3)'\n```\n": "ended with 3, not 0",
        "```console\n$ curl example\n```\n": "only assent and python are run",
        "<!-- compared -->\n```console\n$ python -c 'print(1)'\n2\n```\n": "but it is",
        "```toml\na = \n```\n": "not toml",
        "```python\nx = 1\n": "never closed",
    }
    page = tmp_path / "wrong.md"
    for text, said in wrong.items():
        page.write_text(text)
        done = run(page, tmp_path)
        assert done.returncode != 0, text
        assert said in done.stdout + done.stderr


def test_blocks_share_a_namespace_and_may_await(tmp_path: Path) -> None:
    """A page reads as one program; `new namespace` starts another."""
    page = tmp_path / "right.md"
    page.write_text(
        "<!-- file: names.txt -->\n```text\nplanner\n```\n"
        "```python\nimport asyncio\nname = open('names.txt').read()\n```\n"
        "```python\nawait asyncio.sleep(0)\nassert name == 'planner\\n'\n```\n"
        "<!-- new namespace -->\n```python\nassert 'name' not in globals()\n```\n"
        "<!-- compared -->\n```console\n$ python -c 'print(1 + \\\n  1)'\n2\n```\n"
        "<!-- not run: it needs a cluster -->\n```console\n$ kubectl apply\n```\n"
    )
    done = run(page, tmp_path)
    assert (done.returncode, done.stdout) == (0, "5 blocks\n"), done.stderr


def test_marks_and_lines_are_read(tmp_path: Path) -> None:
    """A block knows its first line, its language and its mark."""
    page = tmp_path / "page.md"
    page.write_text("# T\n\n<!-- not run: -->\n\n````python\n```\n````\n")
    assert blocks_of(page) == [Block(6, "python", "```\n", "not run", "")]


def test_a_console_block_is_split_into_commands() -> None:
    """Lines that begin with a dollar are commands, what follows is their output."""
    text = "$ assent a \\\n  b\nx\ny\n$ assent c\n"
    assert commands(text) == [("assent a    b", "x\ny\n"), ("assent c", "")]


def test_a_fence_that_is_never_closed_is_refused(tmp_path: Path) -> None:
    """What would swallow the rest of the page is an error, not a long block."""
    page = tmp_path / "page.md"
    page.write_text("# T\n\n````python\nx = 1\n```\n")
    with pytest.raises(ValueError, match=r"page\.md:3: the fence is never closed"):
        blocks_of(page)
