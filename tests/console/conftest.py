"""A browser, a node with a fleet at work, and pages that are signed in.

Rule: a page that logs an error, breaks the Content-Security-Policy or throws has failed,
whatever else its test looked at. Screenshots are kept below build/screenshots.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    async_playwright,
    expect,
)

import hatch_build
from bus.edge.http import console
from tests.console.seen import Problems
from tests.parts import absent, require

ROOT = Path(__file__).parents[2]
AXE = ROOT / "bus" / "console" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = ROOT / "build" / "screenshots"
WIDE: ViewportSize = {"width": 1280, "height": 800}
START_S = 30.0
WAIT_MS = 10_000


class Fleet(msgspec.Struct):
    """A node with a fleet at work, in a process of its own."""

    process: asyncio.subprocess.Process
    url: str
    tokens: dict[str, str]
    message: str

    async def tell(self, line: str) -> None:
        """Have the node do something, and wait until it is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n".encode())
        assert await self.process.stdout.readline() == b"done\n"


@asynccontextmanager
async def fleet_at_work(
    folder: Path, agents: int, rate: int, *programs: str
) -> AsyncIterator[Fleet]:
    """Run a node until the block is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.console.nodechild"),
        *(str(folder), str(agents), str(rate), *programs),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            told = json.loads(await process.stdout.readline())
        yield Fleet(process, told["url"], told["tokens"], told["message"])
    finally:
        process.stdin.close()
        await process.wait()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Debian's browser; the console has to be built as well."""
    path = require("chromium")
    stamp = console.built() / "source"
    current = stamp.is_file() and stamp.read_text().strip()
    if current != hatch_build.fingerprint() or not AXE.is_file():
        absent("the console of this source is not built: make console")
    SHOTS.mkdir(parents=True, exist_ok=True)
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A browser for all tests of this process."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        expect.set_options(timeout=WAIT_MS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(
    chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """A small fleet at work, for all tests of this process."""
    del chromium  # without a browser no node is needed
    folder = tmp_path_factory.mktemp("fleet")
    async with fleet_at_work(folder, 20, 40) as running:
        yield running


async def sign_in(page: Page, token: str) -> None:
    """Sign in as a person does."""
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Fleet", level=1).wait_for()


@asynccontextmanager
async def visitor(
    browser: Browser, url: str, **options: Any
) -> AsyncIterator[tuple[Page, Problems]]:
    """Open the console in a browser of its own; what it complains of fails the test."""
    context: BrowserContext = await browser.new_context(
        **{
            "viewport": WIDE,
            "base_url": url,
            "reduced_motion": "reduce",
            **options,
        }
    )
    context.set_default_timeout(WAIT_MS)
    page = await context.new_page()
    problems = Problems(page)
    try:
        await problems.watch()
        await page.goto("/")
        yield page, problems
        assert problems.found == []
    finally:
        await context.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def admitted(browser: Browser, fleet: Fleet) -> AsyncIterator[BrowserContext]:
    """A browser in which an admin has signed in, for all tests of this process."""
    async with visitor(browser, fleet.url) as (page, problems):
        problems.expect("/v1/session")
        await sign_in(page, fleet.tokens["admin"])
        yield page.context


@pytest_asyncio.fixture(loop_scope="session")
async def visit(admitted: BrowserContext) -> AsyncIterator[tuple[Page, Problems]]:
    """The console of an admin, at the fleet, and what the browser complains of."""
    page = await admitted.new_page()
    problems = Problems(page)
    await problems.watch()
    await page.goto("/")
    await page.get_by_role("heading", name="Fleet", level=1).wait_for()
    yield page, problems
    await page.evaluate("localStorage.clear()")
    await page.close()
    assert problems.found == []


@pytest.fixture
def page(visit: tuple[Page, Problems]) -> Page:
    """The console of an admin, at the fleet."""
    return visit[0]


@pytest.fixture
def problems(visit: tuple[Page, Problems]) -> Problems:
    """What the browser complains of in that page."""
    return visit[1]
