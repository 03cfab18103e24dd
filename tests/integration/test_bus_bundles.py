"""A whole bus on bundles: from a signed file, and from a server that publishes anew."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus import Accepted, Bus, Denied
from bus.config import Settings
from bus.config.governing import BundleKeySettings, BundleSettings, PolicySettings
from bus.core.errors import PolicyLoadError
from policy.bundles import archive, build
from policy.bundles.archive import Entry
from tests.fakes import policies
from tests.fakes.bundles import manifest, packed, pair
from tests.fakes.bundleserver import BundleHost, serving, until

ENGINES = ("embedded", "isolated")
BARRED = policies.authz(
    'decision := {"allow": input.action != "publish", '
    '"reasons": ["closed for today"], "obligations": []}'
)


def bundle(text: str, revision: str) -> bytes:
    """Return a bundle of one policy, with agents."""
    agents = {
        "agents": {
            "planner": {"tenant": "acme", "roles": []},
            "worker": {"tenant": "acme", "roles": []},
        }
    }
    return archive.write(
        (
            Entry("authz.rego", text.encode()),
            Entry("data.json", msgspec.json.encode(agents)),
            manifest(revision=revision, roots=["assent/authz", "agents"]),
        )
    )


async def said(bus: Bus) -> Any:
    """Return what becomes of a message."""
    return await bus.agent("planner").publish("a", 1)


async def nothing(body: Any) -> None:
    """Handle."""
    del body


def run(
    settings: Settings, program: Callable[[Bus], Coroutine[Any, Any, None]]
) -> None:
    """Run a program as its own: it makes its bus, then its loop runs."""

    async def whole(bus: Bus) -> None:
        async with bus:
            await program(bus)

    try:
        asyncio.run(whole(Bus(settings=settings)))
    finally:
        gc.collect()  # an engine is let go of by the thread that made it


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_bundle_that_is_published_comes_into_force_while_the_bus_runs(
    engine: Any, tmp_path: Path
) -> None:
    """A bad one leaves what was; the last good one is taken at the next start."""
    host = BundleHost(bundle(policies.ALLOW_ALL, "one"))
    revisions: list[str] = []

    async def first(bus: Bus) -> None:
        await bus.agent("worker").subscribe("a", nothing).ready()
        assert isinstance(await said(bus), Accepted)
        before = bus.revision
        host.publish(packed(Entry("authz.rego", b"package assent.authz\nnope")))
        asked = len(host.asked)
        await until(lambda: len(host.asked) > asked)
        assert isinstance(await said(bus), Accepted)
        assert bus.revision == before
        host.publish(bundle(BARRED, "two"))
        await until(lambda: bus.revision != before)
        denied = await said(bus)
        assert isinstance(denied, Denied)
        assert denied.reasons == ("closed for today",)
        revisions.append(bus.revision)
        kept = tmp_path / "last-good.tar.gz"
        while await asyncio.to_thread(kept.read_bytes) != bundle(BARRED, "two"):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)

    async def second(bus: Bus) -> None:
        assert bus.revision == revisions[0]
        assert isinstance(await said(bus), Denied)

    async with serving(host):
        settings = Settings(
            policy=PolicySettings(engine=engine),
            bundle=BundleSettings(
                url=host.url,
                poll_seconds=0.02,
                last_good_file=tmp_path / "last-good.tar.gz",
            ),
        )
        await asyncio.to_thread(run, settings, first)
    await asyncio.to_thread(run, settings, second)  # the server is gone


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_first_bundle_that_does_not_load_is_neither_taken_nor_kept(
    engine: Any, tmp_path: Path
) -> None:
    """Whichever engine has to load it; the last good one is in force instead."""
    bad = bundle(policies.authz("decision := {} if nosuch.fn(1)"), "two")
    good = bundle(policies.ALLOW_ALL, "one")
    host, kept = BundleHost(good), tmp_path / "last-good.tar.gz"
    async with serving(host):
        settings = Settings(
            policy=PolicySettings(engine=engine),
            bundle=BundleSettings(url=host.url, last_good_file=kept),
        )
        await asyncio.to_thread(run, settings, _accepted)
        host.publish(bad)
        for _ in range(2):
            await asyncio.to_thread(run, settings, _accepted)
            assert await asyncio.to_thread(kept.read_bytes) == good
        await asyncio.to_thread(kept.unlink)
        with pytest.raises(PolicyLoadError, match=r"no function nosuch\.fn"):
            await asyncio.to_thread(run, settings, _accepted)
        assert not await asyncio.to_thread(kept.exists)


async def _accepted(bus: Bus) -> None:
    await bus.agent("worker").subscribe("a", nothing).ready()
    assert isinstance(await said(bus), Accepted)


def test_with_a_key_only_what_it_signed_is_taken(tmp_path: Path) -> None:
    """Unsigned, or signed by another: the start stops with the reason."""
    signing, public = pair("ES256")
    other, _ = pair("ES256", number=1)
    pem, place = tmp_path / "key.pem", tmp_path / "bundle.tar.gz"
    pem.write_bytes(public[signing.id].pem)
    content = bundle(policies.ALLOW_ALL, "one")
    settings = Settings(
        bundle=BundleSettings(files=(place,)),
        bundle_keys=(BundleKeySettings(id=signing.id, algorithm="ES256", file=pem),),
    )
    for bad in (content, build.sign(content, other)):
        place.write_bytes(bad)
        with pytest.raises(PolicyLoadError, match="sign"):
            Bus(settings=settings)
    place.write_bytes(build.sign(content, signing))
    run(settings, _accepted)
