"""Fixtures every test gets."""

from asyncio import constants
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

from policy import loading
from tests.fakes.parsing import ParsedOnce

# For a long search: `pytest tests/stateful --hypothesis-profile=deep --timeout=0`.
settings.register_profile("deep", max_examples=5_000, deadline=None, print_blob=True)

# A handle of asyncio's debug mode knows where it was made; one frame of that is enough,
# and the eight others took a quarter of the time of all tests with a loop.
vars(constants)["DEBUG_STACK_DEPTH"] = 1

# What is about policy itself reads its rules each time; a bus only needs to have some.
READS_RULES = frozenset({"policy", "contract", "crash", "fuzz", "docs"})

# A program makes its bus, and reads its policy, before its loop runs; tests need not.
LOOKS_AT_FILES = ("run", "copied", "open_raw")
MAKES_NODES = ("new_node", "add_token")
MAKES_BUSES = ("new_bus", "_authorizer", "validator", "reload")


@pytest.fixture(scope="session")
def parsed_once() -> ParsedOnce:
    """What rules were parsed last, of this process."""
    return ParsedOnce(loading.PolicyFiles.building)


@pytest.fixture(autouse=True)
def rules_are_parsed_once(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    parsed_once: ParsedOnce,
) -> None:
    """Make buses as by a reload that changes only data, where rules are the same."""
    if READS_RULES.isdisjoint(request.path.parts):
        monkeypatch.setattr(loading.PolicyFiles, "building", parsed_once.building)


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[BlockBuster | None]:
    """Fail any test that blocks the event loop; in `tidy` there is none to block."""
    if "tidy" in request.path.parts:
        yield None
        return
    with blockbuster_ctx() as guard:
        # A process is started in 0.3 ms, as by asyncio, which may do it as well.
        guard.functions["os.read"].can_block_in("policy/isolation/launch.py", {"start"})
        for function in guard.functions.values():
            function.can_block_in("tests/fakes/buses.py", MAKES_BUSES)
            function.can_block_in("tests/fakes/nodes.py", MAKES_NODES)
            function.can_block_in("tests/fakes/messaging.py", {"new_served_bus"})
            # The SQLite store of repeatable tests works in the loop.
            function.can_block_in("stores/sqlite/running.py", "_step")
            # Tests of its files look at them where they stand.
            function.can_block_in("tests/fakes/stores.py", LOOKS_AT_FILES)
            # Coverage's own lock, for which the loop and a thread of ours may compete.
            function.can_block_in("coverage/collector.py", "lock_data")
        yield guard
