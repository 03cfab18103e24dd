"""What is served of a built console, and what is not."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from yarl import URL

from bus.core.edgelimits import CONSOLE_BYTES_MAX, CONSOLE_FILES_MAX
from bus.edge.http import console, problems

PAGE = '<!doctype html><script type="module" src="assets/console-1.js"></script>'
SCRIPT = "export const text = 'ü';" * 50


def build(folder: Path) -> Path:
    """Write a small build, with a secret beside it, and return its folder."""
    made = folder / "dist"
    (made / "assets").mkdir(parents=True)
    (folder / "secret.txt").write_text("not for anybody")
    (made / "source").write_text("not for anybody")
    (made / "index.html").write_text(PAGE)
    (made / "assets" / "console-1.js").write_text(SCRIPT, encoding="utf-8")
    (made / "assets" / "console-1.css").write_text("body { margin: 0 }")
    (made / "assets" / "icon-1.svg").write_text("<svg/>")
    return made


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """The folder of a small build."""
    return build(tmp_path)


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[ClientSession]:
    """Serve the console of a folder."""
    app = web.Application(middlewares=[problems.answer])
    console.add_routes(app, folder)
    async with TestServer(app) as server:
        url = server.make_url("/")
        async with ClientSession(url, auto_decompress=False) as session:
            yield session


async def test_the_page_may_run_and_load_nothing_of_others(dist: Path) -> None:
    """Whatever a message holds, the browser runs only what came with the node."""
    async with served(dist) as client, client.get("/") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/html"
        rules = answer.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in rules
        assert "script-src 'self'" in rules
        assert "style-src 'self'" in rules
        assert "frame-ancestors 'none'" in rules
        assert "require-trusted-types-for 'script'" in rules
        assert not any("unsafe" in rule or "*" in rule for rule in rules)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("console-1.js", "text/javascript"),
        ("console-1.css", "text/css"),
        ("icon-1.svg", "image/svg+xml"),
    ],
)
async def test_what_the_page_names_is_kept_by_browsers(
    dist: Path, name: str, media_type: str
) -> None:
    """Its name changes with its content, so it is never asked for again."""
    async with served(dist) as client, client.get(f"/assets/{name}") as answer:
        assert answer.content_type == media_type
        assert "immutable" in answer.headers["Cache-Control"]
        assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize(
    ("accepts", "zipped"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
    ],
)
async def test_it_is_sent_compressed_to_who_takes_that(
    dist: Path, *, accepts: str, zipped: bool
) -> None:
    """The content is the same."""
    async with served(dist) as client:
        headers = {"Accept-Encoding": accepts}
        async with client.get("/assets/console-1.js", headers=headers) as answer:
            body = await answer.read()
            assert ("Content-Encoding" in answer.headers) is zipped
            assert (gzip.decompress(body) if zipped else body).decode() == SCRIPT


async def test_what_a_browser_has_is_not_sent_again(dist: Path) -> None:
    """An ETag that still holds is answered without a body, another with one."""
    async with served(dist) as client:
        async with client.get("/") as answer:
            tag = answer.headers["ETag"]
        async with client.get("/", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
            assert "Content-Security-Policy" in answer.headers
            assert await answer.read() == b""
        async with client.get("/", headers={"If-None-Match": 'W/"other"'}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../source",
        "/assets/..%2fsource",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets/..%5csource",
        "/assets//etc/passwd",
        "/assets/console-1.js%00.css",
        "/assets/",
        "/assets",
        "/assets/index.html",
        "/assets/CONSOLE-1.JS",
        "/assets/%252e%252e%252fsource",
        "/index.html",
        "/source",
        "/../secret.txt",
    ],
)
async def test_path_tricks_lead_nowhere(dist: Path, path: str) -> None:
    """Names are looked up and never opened."""
    app = web.Application(middlewares=[problems.answer])
    console.add_routes(app, dist)
    async with TestServer(app) as server, ClientSession() as client:
        trick = URL(f"http://127.0.0.1:{server.port}{path}", encoded=True)
        async with client.get(trick) as answer:
            assert answer.status == 404
            assert b"for anybody" not in await answer.read()


async def test_a_console_that_is_not_built_says_so(tmp_path: Path) -> None:
    """Who opens the node in a browser learns what to do; built, it is there."""
    async with served(tmp_path / "dist") as client:
        async with client.get("/") as answer:
            assert answer.status == 503
            assert answer.content_type == "text/plain"
            assert b"make console" in await answer.read()
        async with client.get("/assets/console-1.js") as answer:
            assert answer.status == 404
        await asyncio.to_thread(build, tmp_path)
        async with client.get("/") as answer:
            assert answer.status == 200


def link(assets: Path) -> None:
    """Put a link into a build."""
    (assets / "linked.js").symlink_to(assets.parents[1] / "secret.txt")


def foreign(assets: Path) -> None:
    """Put something into a build that no build makes."""
    (assets / "notes.txt").write_text("?")


def large(assets: Path) -> None:
    """Put a file into a build that is too large."""
    (assets / "console-2.js").write_bytes(b" " * (CONSOLE_BYTES_MAX + 1))


def many(assets: Path) -> None:
    """Put too many files into a build."""
    for number in range(CONSOLE_FILES_MAX):
        (assets / f"more-{number}.js").write_text("")


@pytest.mark.parametrize("spoil", [link, foreign, large, many])
async def test_what_is_no_console_is_not_served(
    dist: Path, spoil: Callable[[Path], None]
) -> None:
    """A link, a foreign file or too much of anything stops all of it."""
    await asyncio.to_thread(spoil, dist / "assets")
    async with served(dist) as client, client.get("/") as answer:
        assert answer.status == 500
        assert b"for anybody" not in await answer.read()


def test_the_folder_of_the_build_is_beside_the_source() -> None:
    """In a checkout and in a wheel alike."""
    assert console.built().parts[-3:] == ("bus", "console", "dist")
