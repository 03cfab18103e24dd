"""Every module imports on its own, in a fresh interpreter, and the root imports fast."""

import ast
import subprocess
import sys

import pytest

import bus
from tests.tidy.repository import PACKAGES, ROOT, module_name, sources

# Others' modules are loaded once; each of ours is then imported by a child that has
# imported nothing of ours before. What imports without a word is printed.
ALONE = """
import importlib, os, sys
import aiohttp.web, cachetools, cryptography, mcp.server, msgspec, prometheus_client
import regorus, rich.console, rich.table, typer
for module in sys.argv[1:]:
    here, there = os.pipe()
    if not os.fork():
        os.dup2(there, 2)
        importlib.import_module(module)
        sys.stderr.flush()
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as told:
        said = told.read()
    if os.wait()[1] == 0 and not said:
        print(module)
    else:
        print(module, said, file=sys.stderr)
"""
# What an embedded bus has no use for: a server, a terminal, a metrics endpoint.
HEAVY = ("aiohttp", "prometheus_client", "rich", "typer")


def fresh(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that has imported nothing of ours."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(180)  # hundreds of imports, on a machine that others use
def test_every_module_imports_alone() -> None:
    """No module depends on another having been imported first."""
    modules = [module_name(p) for p in sources(*PACKAGES) if p.stem != "__main__"]
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, *modules],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.split() == modules, ended.stderr


@pytest.mark.parametrize("what", ["import bus", "from bus import Bus, Agent, Message"])
def test_an_embedded_bus_loads_no_server_and_no_terminal(what: str) -> None:
    """`import bus` is cheap because it does not load what only `assent` needs."""
    ending = fresh(f"{what}\nimport sys\nprint(*set({HEAVY}) & set(sys.modules))")
    assert ending.returncode == 0, ending.stderr
    assert ending.stdout.split() == []


def test_every_public_name_is_what_the_stub_says() -> None:
    """The table that Python reads and the stub that a type checker reads agree."""
    stub = ast.parse((ROOT / "bus" / "__init__.pyi").read_text())
    told = {
        alias.name: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(told) == set(bus.__all__) <= set(dir(bus))
    for name, module in told.items():
        ending = fresh(f"import bus, {module}\nassert bus.{name} is {module}.{name}")
        assert ending.returncode == 0, ending.stderr


def test_an_unknown_name_of_the_root_is_an_attribute_error() -> None:
    """A misspelt name fails as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Bsu'"):
        getattr(bus, "Bsu")  # noqa: B009 - a type checker refuses the plain form
