"""Fixtures every test gets."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

# For a long search: `pytest tests/stateful --hypothesis-profile=deep --timeout=0`.
settings.register_profile("deep", max_examples=5_000, deadline=None, print_blob=True)

# A program makes its bus, and reads its policy, before its loop runs; tests need not.
LOOKS_AT_FILES = ("run", "copied", "open_raw")
MAKES_BUSES = ("new_bus", "_authorizer", "validator", "reload")


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Fail any test that blocks the event loop."""
    with blockbuster_ctx() as guard:
        # A process is started in 0.3 ms, as by asyncio, which may do it as well.
        guard.functions["os.read"].can_block_in("policy/isolation/launch.py", {"start"})
        for function in guard.functions.values():
            function.can_block_in("tests/fakes/buses.py", MAKES_BUSES)
            # The SQLite store of repeatable tests works in the loop.
            function.can_block_in("stores/sqlite/running.py", "_step")
            # Tests of its files look at them where they stand.
            function.can_block_in("tests/fakes/stores.py", LOOKS_AT_FILES)
            # Coverage's own lock, for which the loop and a thread of ours may compete.
            function.can_block_in("coverage/collector.py", "lock_data")
        yield guard
