"""The stores, for the suites that run over all of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus.storing import Store
from tests.fakes.storekit import STORES, Shelf


@pytest.fixture(params=STORES)
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    """A place for each store there is; what stands there is open."""
    place = Shelf(request.param, tmp_path)
    await place.store.open()
    yield place
    await place.store.close()


@pytest.fixture
def store(shelf: Shelf) -> Store:
    """Each store there is, new and open."""
    return shelf.store
