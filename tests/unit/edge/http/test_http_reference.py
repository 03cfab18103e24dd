"""The reference says what the rows and the codes say."""

import re
from pathlib import Path
from typing import Any

import pytest

from bus.edge.http import described, openapi
from bus.edge.http.problems import CODES
from tests.fakes.messaging import Site, serving
from tests.tidy.repository import ROOT

PAGE = ROOT / "docs" / "reference" / "http-api.md"


def page(path: Path = PAGE) -> str:
    """Return the page's text."""
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text() -> str:
    """The page, read before any loop runs."""
    return page()


def rows_of(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Return method and path, and the summary, of each operation."""
    return {
        (f"{method.upper()} {path}", told["summary"])
        for path, item in document["paths"].items()
        for method, told in item.items()
    }


async def test_the_page_has_every_route(text: str) -> None:
    """And none that is not there."""
    shown = re.findall(
        r"^\| `((?:GET|POST) /v1\S+)` \| ([^|]+?) \|", text, re.MULTILINE
    )
    async with serving() as site:
        assert set(shown) == rows_of(site.document())


def test_the_page_has_every_code(text: str) -> None:
    """With its status and its title."""
    shown = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (.+) \|$", text, re.MULTILINE)
    assert {(code, int(status), title) for code, status, title in shown} == {
        (code, status, title) for code, (status, title) in CODES.items()
    }


async def test_the_document_says_what_a_client_must_know() -> None:
    """Security, refusals by status, examples, and what comes from a header."""
    async with serving() as site:
        document = site.document()
    publish = document["paths"]["/v1/messages"]["post"]
    assert document["openapi"] == "3.1.0"
    assert {"bearer", "session", "certificate"} == set(
        document["components"]["securitySchemes"]
    )
    assert {"400", "401", "403", "409", "413", "415", "429", "500", "503"} <= set(
        publish["responses"]
    )
    assert publish["requestBody"]["content"]["application/json"]["example"]
    headers = [one["name"] for one in publish["parameters"] if one["in"] == "header"]
    assert headers == ["Idempotency-Key"]
    body = document["components"]["schemas"]["PublishMessageBody"]
    assert "idempotency_key" not in body["properties"]
    assert body["additionalProperties"] is False
    assert not [name for name in document["components"]["schemas"] if "." in name]


async def test_every_example_is_of_an_operation() -> None:
    """So that none is left behind when one is renamed."""
    async with serving() as site:
        names = {row.name for row in site.door.operations}
        assert set(described.EXAMPLES) == names
        assert site.door.desk.operation("readTree").path.endswith("/tree")
        assert isinstance(site, Site)


def test_a_type_without_a_schema_is_refused() -> None:
    """Rather than described as anything."""
    with pytest.raises(NotImplementedError, match="no schema"):
        openapi.anything(Path)
    assert openapi.anything(object) == {"description": "Any JSON value."}
