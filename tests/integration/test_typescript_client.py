"""The TypeScript client of the recipes: checked by its compiler and run on Node."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from bus.testing import TestBus
from tests.fakes.buses import Background, new_bus
from tests.fakes.faces import opened
from tests.parts import absent, require
from tests.tidy.repository import ROOT

RECIPE = ROOT / "docs" / "recipes" / "typescript"
COMPILER = ROOT / "bus" / "console" / "node_modules" / ".bin" / "tsc"
FLAGS = ("--strict", "--noUncheckedIndexedAccess", "--target", "es2022")
MODULES = ("--module", "es2022", "--moduleResolution", "bundler", "--lib", "es2022,dom")
LINES_MAX = 400
GLOBAL_SINCE = 22  # Node has a WebSocket of its own, without a flag
RUN_S = 40


def test_it_is_one_small_file_without_dependencies() -> None:
    """What is copied into a project has to be read first."""
    lines = (RECIPE / "assent.ts").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LINES_MAX
    assert not [line for line in lines if line.startswith("import")]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the client in JavaScript; its types are checked."""
    if not COMPILER.exists():
        absent("the TypeScript compiler is not there: 'npm ci' in bus/console")
    folder = tmp_path_factory.mktemp("recipe")
    done = subprocess.run(
        [COMPILER, *FLAGS, *MODULES, "--outDir", folder, RECIPE / "example.ts"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


@pytest.fixture(scope="module")
def node() -> list[str]:
    """Return how Node is called so that it has a WebSocket."""
    program = require("node")
    told = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    )
    old = int(told.stdout.lstrip("v").split(".")[0]) < GLOBAL_SINCE
    return [program, "--no-warnings", *(["--experimental-websocket"] if old else [])]


async def test_it_speaks_with_a_bus(built: Path, node: list[str]) -> None:
    """Publishes, requests, handles, is hung up on, and goes on."""
    said: list[str] = []
    async with new_bus() as bus, opened(bus) as door, Background() as background:
        ticking = background.run(_tick(bus))
        process = await asyncio.create_subprocess_exec(
            *node,
            built / "example.js",
            door.url,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(RUN_S):
                assert process.stdout is not None
                while line := await process.stdout.readline():
                    said.append(line.decode().strip())
                    if said[-1] == "ready to be hung up on":
                        door.hang_up()
                ended = await process.wait()
        except TimeoutError:
            pytest.fail(f"it went no further than {said}")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert ticking.cancelled()
    assert said == [
        "refused",
        "published",
        "answered",
        "ready to be hung up on",
        "done",
    ]
    assert ended == 0


async def _tick(bus: TestBus) -> None:
    """Let time pass for the bus, so that what is due again is delivered."""
    while True:
        await bus.advance(0.01)
        await asyncio.sleep(0.01)
