"""What ships for operators: alert rules, their tests, a dashboard, and a page on all of it."""

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from bus.config.keeping import StoreSettings
from tests.fakes.nodes import running_node
from tests.parts import require

FOLDER = Path(__file__).parents[2] / "docs" / "operations"
NAME = re.compile(r"\bassent_[a-z_]+")
FAMILY = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    found: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return found


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    document = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def expressions(found: object) -> list[str]:
    """Return every expression and query in a document."""
    if isinstance(found, list):
        return [text for item in found for text in expressions(item)]
    if not isinstance(found, dict):
        return []
    own = [found[key] for key in ("expr", "definition") if key in found]
    return own + [text for item in found.values() for text in expressions(item)]


def exported(text: str) -> set[str]:
    """Return the names of the series that a scrape may have."""
    names: set[str] = set()
    for family, kind in FAMILY.findall(text):
        parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        names |= {family + part for part in parts}
    return names


async def scraped(folder: Path) -> str:
    """Return what a node with a store exports."""
    store = StoreSettings(kind="sqlite", file=folder / "messages.sqlite")
    async with (
        running_node(store=store) as running,
        aiohttp.ClientSession() as client,
        client.get(f"{running.url}/metrics") as answer,
    ):
        assert answer.status == 200
        return await answer.text()


async def test_every_expression_is_about_metrics_that_a_node_exports(
    tmp_path: Path,
) -> None:
    """Those of the dashboard and of the alerts, against a live scrape."""
    known = exported(await scraped(tmp_path))
    asked = expressions(await asyncio.to_thread(dashboard))
    asked += expressions(await asyncio.to_thread(rules))
    names = {name for text in asked for name in NAME.findall(text)}
    assert len(names) > 20
    assert names - known == set()
    assert all(NAME.search(text) or "up{" in text for text in asked)


def test_the_dashboard_is_whole() -> None:
    """Each panel has a title, a description, a place of its own and what it shows."""
    document = dashboard()
    assert document["schemaVersion"] >= 39  # Grafana 11
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & own, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= own
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["targets"]
            assert panel["datasource"]["uid"] == "${datasource}"


def test_every_alert_says_where_it_is_explained() -> None:
    """Each has a section of its own on the page, and the page no section of another."""
    page = (FOLDER / "index.md").read_text()
    headings = re.findall(r"^## (Assent\w+)$", page, re.MULTILINE)
    assert [rule["alert"] for rule in rules()] == headings
    for rule in rules():
        anchor = f"index.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook"] == anchor
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_every_alert_is_tested() -> None:
    """By name, in the file that promtool runs."""
    tests = (FOLDER / "alerts_test.yaml").read_text()
    names = {rule["alert"] for rule in rules()}
    assert {name for name in names if not re.search(rf"\b{name}\b", tests)} == set()


@pytest.mark.integration
@pytest.mark.parametrize(
    "words", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts_test.yaml")]
)
def test_promtool_agrees(words: tuple[str, ...]) -> None:
    """The rules are right, and do what their tests say."""
    ended = promtool(FOLDER, *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.integration
def test_promtool_would_have_said_something(tmp_path: Path) -> None:
    """Its tests fail where an alert is weaker than it was."""
    for name in ("alerts.yaml", "alerts_test.yaml"):
        text = (FOLDER / name).read_text()
        weaker = text.replace("assent_health_score < 0.7", "assent_health_score < 0.1")
        (tmp_path / name).write_text(weaker)
    assert promtool(tmp_path, "test", "rules", "alerts_test.yaml").returncode == 1


def promtool(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run it in a folder."""
    return subprocess.run(
        [require("promtool"), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
