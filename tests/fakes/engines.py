"""Every engine that can decide for a bus, made ready for one bundle.

A new engine joins every contract by a line in ENGINES.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.ports import Authorizer
from policy import loading
from policy.authorizer import EmbeddedAuthorizer
from policy.bundle import Bundle, Origin
from policy.isolation.governance import InWorker
from policy.isolation.terms import Terms
from policy.keeping import Keeping
from policy.opa.governance import AtServer
from policy.pacing import Steps
from tests.fakes import policies
from tests.fakes.awaited import Tasks
from tests.fakes.messages import NOW_NS
from tests.fakes.opa_process import running_opa

BUILT_IN: Final = Origin(policies.data()).read()  # here, because reading blocks
DEADLINE_S: Final = 30.0  # of a machine that others use as well


class Given:
    """A source with one bundle, that of the test."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def read(self) -> Bundle:
        """Return it."""
        return self._bundle

    def building(
        self, bundle: Bundle, before: loading.Policy | None = None
    ) -> Steps[loading.Policy]:
        """Make a policy of it."""
        return loading.building(bundle, before)

    def changed(self, revision: str) -> bool:
        """Tell whether it is another."""
        return self._bundle.revision != revision


def built_in(data: dict[str, Any]) -> Bundle:
    """Return the built-in policy with other data."""
    return msgspec.structs.replace(BUILT_IN, data=data)


@asynccontextmanager
async def embedded(bundle: Bundle) -> AsyncIterator[Authorizer]:
    """Yield an authorizer in the loop."""
    yield EmbeddedAuthorizer(Given(bundle), now_ns=lambda: NOW_NS)


@asynccontextmanager
async def isolated(bundle: Bundle) -> AsyncIterator[Authorizer]:
    """Yield an authorizer over a worker process."""
    tasks = Tasks()
    terms = Terms(deadline_s=DEADLINE_S, wait_s=DEADLINE_S, load_s=DEADLINE_S)
    made = InWorker(Given(bundle), terms, now_ns=lambda: NOW_NS, keeping=Keeping())
    try:
        await made.open(tasks.spawn, logged=False)
        yield made.authorizer
    finally:
        await made.close()
        await tasks.cancel()


@asynccontextmanager
async def opa(bundle: Bundle) -> AsyncIterator[Authorizer]:
    """Yield an authorizer over a real OPA server."""
    tasks = Tasks()
    place = Path(await asyncio.to_thread(tempfile.mkdtemp))
    try:
        files = await asyncio.to_thread(_written, place, bundle)
        async with running_opa(*files) as process:
            address = msgspec.structs.replace(process.address, deadline_s=DEADLINE_S)
            made = await asyncio.to_thread(
                AtServer, address, now_ns=lambda: NOW_NS, keeping=Keeping()
            )
            try:
                await made.open(tasks.spawn, logged=False)
                yield made.authorizer
            finally:
                await made.close()
                await tasks.cancel()
    finally:
        await asyncio.to_thread(shutil.rmtree, place)


def _written(place: Path, bundle: Bundle) -> list[str]:
    (place / "data.json").write_text(bundle.data_json)
    for number, file in enumerate(bundle.sources):
        (place / f"{number}.rego").write_text(file.text)
    return [str(path) for path in sorted(place.iterdir())]


Ready = Callable[[Bundle], AbstractAsyncContextManager[Authorizer]]
ENGINES: Final[dict[str, Ready]] = {
    "embedded": embedded,
    "isolated": isolated,
    "opa": opa,
}
