"""The first page a reader opens is finished."""

import re

import pytest

from tests.tidy.repository import ROOT

README = ROOT / "README.md"
# Words in capitals that stand where a text is still to be written.
PLACEHOLDER = re.compile(
    r"\b(?:FIGURES?|TODO|TBD|TBA|FIXME|XXX+|PLACEHOLDER|LOREM|WIP)\b"
)


def placeholders(text: str) -> list[str]:
    """Return the words of a text that only keep a place, in order."""
    return PLACEHOLDER.findall(text)


def test_the_readme_has_no_placeholder() -> None:
    """Nobody is shown a word that stands for a text to come."""
    text = README.read_text(encoding="utf-8")
    assert text.startswith("# "), "not the page that was meant"
    assert placeholders(text) == []


@pytest.mark.parametrize("word", ["FIGURES", "TODO", "TBD", "FIXME", "XXX"])
def test_a_placeholder_is_seen(word: str) -> None:
    """The test above can fail, wherever on the page the word stands."""
    assert placeholders(f"## Measured\n\n{word}\n") == [word]
    assert placeholders(f"| floor | {word}: per second |") == [word]


def test_a_plain_word_is_no_placeholder() -> None:
    """Figures may be spoken of, and names in capitals stay."""
    assert placeholders("The figures; JSON, MCP, LICENSE, TODOS, a todo list.") == []
