"""What tests look at in a page: what it complains of, and what axe finds."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from playwright.async_api import ConsoleMessage, Error, Page

AXE = Path(__file__).parents[2] / "bus/console/node_modules/axe-core/axe.min.js"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""


class Problems:
    """Errors of a page: in its console, thrown, of its policy, or a dialog it opened."""

    def __init__(self, page: Page) -> None:
        self.found: list[str] = []
        self._page = page
        self._expected: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", self._thrown)
        page.on("dialog", lambda dialog: self.found.append(f"dialog {dialog.message}"))

    async def watch(self) -> None:
        """Have the page tell what its policy refused."""
        await self._page.add_init_script(WATCH)

    def expect(self, *paths: str) -> None:
        """Let the browser say that requests of these paths failed."""
        self._expected += paths

    def _said(self, message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        known = any(path in url for path in self._expected)
        loading = message.text.startswith("Failed to load resource")
        if message.type == "error" and not (known and loading):
            self.found.append(f"{message.text} {url}")

    def _thrown(self, error: Error) -> None:
        self.found.append(f"thrown: {error}")


async def load_axe(page: Page) -> None:
    """Put axe into a page, past its Content-Security-Policy, as a debugger does."""
    await page.evaluate(AXE_TEXT)


AXE_TEXT = AXE.read_text(encoding="utf-8") if AXE.is_file() else ""


async def faults_of(page: Page, *rules: str) -> list[str]:
    """Return what axe finds wrong by WCAG 2.2 AA and good practice, or by `rules` only."""
    run = (
        f"axe.run({{ runOnly: {list(rules) or WCAG!r}, resultTypes: ['violations'] }})"
    )
    report: dict[str, Any] = await page.evaluate(run)
    return [told(violation) for violation in report["violations"]]


def told(violation: dict[str, Any]) -> str:
    """Return a violation in one line."""
    nodes: Iterable[dict[str, Any]] = violation["nodes"]
    where = "; ".join(str(node["target"]) for node in nodes)
    return f"{violation['id']}: {violation['help']}: {where}"


async def overflows(page: Page) -> bool:
    """Tell whether the page has to be scrolled sideways."""
    wide: bool = await page.evaluate(
        "[document.documentElement, document.querySelector('.page')]"
        ".some((one) => one && one.scrollWidth > one.clientWidth)"
    )
    return wide
