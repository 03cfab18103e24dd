"""What is in the repository may be read by anybody, and all of it can be reached."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.tidy.repository import PACKAGES, ROOT, files

# A letter in brackets keeps this file from holding what it looks for.
MACHINE = re.compile(
    r"(?<![\w.$~}/-])/(?:work|root|tmp|opt|home/\w+|Users/\w+)/[\w.]"
    r"|python[h]osted|py[p]i\.org|arti[f]actory|proxy\.[g]olang"
    r"|--[i]ndex-url|--[f]ind-links|BEGIN [A-Z ]*PRIVATE[ ]KEY"
)
ALLOWED = re.compile(r"--no-emit-(index-url|find-links)")
DOCS = ROOT / "docs"
# Examples are read as part of the page that shows them, the template by authors only.
UNLISTED = (DOCS / "examples", DOCS / "decisions" / "template.md")
PAGES = [
    p
    for p in files()
    if p.suffix == ".md"
    and p.is_relative_to(DOCS)
    and not any(p.is_relative_to(u) for u in UNLISTED)
]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s#]+)(?:#[^)\s]*)?\)")


def told(text: str) -> list[str]:
    """Return what in a text is true of one machine only, or secret."""
    return MACHINE.findall(ALLOWED.sub("", text))


def test_no_file_names_a_machine_a_registry_or_a_key() -> None:
    """A clone works anywhere and gives nothing away."""
    found: dict[str, list[str]] = {}
    for path in files():
        content = path.read_bytes()
        if b"\0" in content:
            continue
        if hits := told(content.decode("utf-8")):
            found[str(path.relative_to(ROOT))] = hits
    assert found == {}


@pytest.mark.parametrize(
    "text", ["see /" + "work/main", '"/' + 'tmp/x"', "py" + "pi.org/simple"]
)
def test_a_machine_path_is_seen(text: str) -> None:
    """The test above can fail."""
    assert told(text)


@pytest.mark.parametrize(
    "text", ["docs/work/x", "~/tmp/x", "$HOME/root/x", "/var/lib/x"]
)
def test_a_path_of_any_machine_is_not(text: str) -> None:
    """A path that is relative, or right everywhere, may be written."""
    assert not told(text)


def test_nothing_that_a_run_leaves_behind_is_in_the_repository() -> None:
    """Stores, keys, heads and locks are somebody's data, wherever a test was started."""
    left = re.compile(r"-(keys|head|lock|wal|shm)$|\.(db|sock|orig|rej)$")
    assert [str(path) for path in files() if left.search(path.name)] == []
    assert left.search("store.db-keys")


def test_every_page_is_reached_from_the_index() -> None:
    """No page is written that nobody finds."""
    index = ROOT / "docs" / "index.md"
    reached: set[Path] = set()
    waiting = [index]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += _children(page)
    assert set(PAGES) - reached == set()


def _children(page: Path) -> list[Path]:
    entries = [
        line.strip()
        for block in blocks_of(page)
        if block.language == "{toctree}"
        for line in block.text.splitlines()
        if line.strip() and not line.startswith(":")
    ]
    found: list[Path] = []
    for entry in entries:
        matches = [p for p in page.parent.glob(f"{entry}.md") if p != page]
        assert matches or "*" in entry, f"{page.name}: no page {entry}"
        found += matches
    return found


@pytest.mark.parametrize(
    "page",
    [p for p in files() if p.suffix == ".md"],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    """Links work when the page is read in the repository, not only when built."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_requirement_is_pinned_with_its_hashes() -> None:
    """What is installed is what was looked at, and only from its publisher."""
    for name in ("run", "dev", "bench"):
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        entries = re.split(r"\n(?=\w)", text.split("\n\n")[0])
        pinned = [e for e in entries if not e.startswith("#")]
        assert pinned
        for entry in pinned:
            assert re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+", entry), entry
            assert "--hash=sha256:" in entry, entry
        assert "://" not in text


def test_every_direct_dependency_is_pinned() -> None:
    """The pins were made from the dependencies as they are declared now."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = {
        "run": project["project"]["dependencies"],
        "dev": [d for d in project["dependency-groups"]["dev"] if isinstance(d, str)],
        "bench": project["project"]["optional-dependencies"]["bench"],
    }
    for name, wanted in declared.items():
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        for requirement in wanted:
            package = re.match(r"[\w-]+", requirement)
            assert package is not None
            assert re.search(rf"(?m)^{package[0]}(\[|==)", text), requirement


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(package: str) -> None:
    """Type checkers of users read our annotations."""
    assert (ROOT / package / "py.typed").is_file()
