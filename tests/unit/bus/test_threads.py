"""A bus belongs to one thread; letting go of it may happen on any."""

import gc
import sys
import threading
from typing import Any

import pytest

from tests.fakes.buses import new_bus


def test_a_bus_let_go_of_is_collected_on_any_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The collector runs where it runs, in the record's writer too: no complaint."""
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    gc.collect()
    gc.disable()
    try:
        bus: Any = new_bus()
        bus.itself = bus  # a cycle: only the collector ends it
        del bus
        thread = threading.Thread(target=gc.collect)
        thread.start()
        thread.join()
    finally:
        gc.enable()
    assert unraisable == []
