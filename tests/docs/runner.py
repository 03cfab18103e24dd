"""Run the code blocks of one Markdown file in the current directory, in order.

Its Python blocks are one program: they share the module `__main__` and one event
loop, and may await at the top level. Console blocks are commands of `assent` and
`python`. The first fault ends the run with the file and the line it is at.
"""

import ast
import asyncio
import inspect
import json
import subprocess
import sys
import tomllib
import types
from pathlib import Path

from tests.docs.blocks import Block, blocks_of

COMMAND_S_MAX = 60
PROGRAMS = ("assent", "python")


def run_file(path: Path) -> int:
    """Run every block of the file that is to be run; return how many were."""
    count = 0
    namespace = _namespace()
    with asyncio.Runner() as runner:
        for block in blocks_of(path):
            if block.mark == "not run":
                continue
            if block.mark == "new namespace":
                namespace = _namespace()
            if block.mark == "file":
                Path(block.detail).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                _run_python(path, block, namespace, runner)
            elif block.language == "console":
                _run_console(path, block)
            else:
                _read(path, block)
            count += 1
    return count


def _namespace() -> types.ModuleType:
    """Return a fresh `__main__`: types defined in blocks are looked up there."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    return module


def _run_python(
    path: Path, block: Block, namespace: types.ModuleType, runner: asyncio.Runner
) -> None:
    # Blank lines before the text make the lines of a traceback those of the page.
    code = compile(
        "\n" * (block.line - 1) + block.text,
        str(path),
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )
    ending = eval(code, namespace.__dict__)  # noqa: S307 - running the page is the test
    if inspect.iscoroutine(ending):
        runner.run(ending)


def _run_console(path: Path, block: Block) -> None:
    for number, (command, shown) in enumerate(commands(block.text)):
        place = f"{path.name}:{block.line}, command {number + 1}"
        if command.split(maxsplit=1)[0] not in PROGRAMS:
            sys.exit(f"{place}: only {' and '.join(PROGRAMS)} are run: {command}")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],  # noqa: S607 - the reader's shell
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        expected = int(block.detail) if block.mark == "exits" else 0
        if done.returncode != expected:
            sys.exit(
                f"{place}: `{command}` ended with {done.returncode}, not {expected}\n"
                f"{done.stdout}{done.stderr}"
            )
        if block.mark == "compared" and done.stdout.strip() != shown.strip():
            sys.exit(f"{place}: the page shows\n{shown}\nbut it is\n{done.stdout}")


def commands(text: str) -> list[tuple[str, str]]:
    """Split a console block into (command, output shown after it)."""
    found: list[tuple[str, str]] = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif found:
            command, shown = found[-1]
            found[-1] = (command, f"{shown}{line}\n")
    return found


def _read(path: Path, block: Block) -> None:
    """Check that a block of data is what it says it is."""
    try:
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)
    except ValueError as error:
        sys.exit(f"{path.name}:{block.line}: not {block.language}: {error}")


if __name__ == "__main__":
    print(run_file(Path(sys.argv[1])), "blocks")  # noqa: T201 - for the test to read
