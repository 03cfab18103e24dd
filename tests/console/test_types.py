"""What the console believes of the node is what the node's own types say."""

import re

import msgspec
import pytest

from tests.console.typescript import FILE, Row, rows, source
from tests.fakes import nodes

CALLED = re.compile(r'call\(\s*(?:[^"()]*\?\s*)?"([A-Z]+ /v1/[^"]+)"')


class Inner(msgspec.Struct):
    """A part."""

    name: str


class Asked(msgspec.Struct):
    """What is asked."""

    needed: int
    left_out: str = ""


class Answered(msgspec.Struct):
    """What is answered."""

    parts: tuple[Inner, ...]
    by_name: dict[str, float | None]
    absent: str | msgspec.UnsetType = msgspec.UNSET
    there: bool = True


def test_the_types_are_those_of_the_node() -> None:
    """`python -m tests.console.typescript` writes them anew."""
    assert FILE.read_text(encoding="utf-8") == source(rows(nodes.new_node()))


def test_a_type_is_written_as_typescript_says_it() -> None:
    """What may be left out of a question is optional, what an answer always has is not."""
    text = source([Row("GET", "/v1/things", Asked, Answered)])
    assert "needed: number;\n  left_out?: string;" in text
    assert "parts: Inner[];" in text
    assert "by_name: Record<string, number | null>;" in text
    assert "absent?: string;\n  there: boolean;" in text
    assert '"GET /v1/things": { asks: Asked; answers: Answered };' in text


def test_two_types_of_one_name_are_seen() -> None:
    """One of them would be lost."""
    other = msgspec.defstruct("Answered", [("x", int)])
    with pytest.raises(AssertionError, match="two structs"):
        source(
            [Row("GET", "/v1/a", Asked, Answered), Row("GET", "/v1/b", Asked, other)]
        )


def test_all_that_the_console_calls_is_there() -> None:
    """The compiler says so as well; this says it where there is no npm."""
    known = FILE.read_text(encoding="utf-8")
    sources = sorted(FILE.parent.rglob("*.ts*"))
    called = {
        name for file in sources for name in CALLED.findall(file.read_text("utf-8"))
    }
    assert len(called) > 20
    assert {name for name in called if f'"{name}"' not in known} == set()
