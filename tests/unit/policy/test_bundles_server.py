"""The policy from a server: followed while it answers, and kept when it does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bus.core.errors import (
    ConfigurationError,
    PolicyLoadError,
    PolicyUnavailableError,
)
from policy.authorizer import EmbeddedAuthorizer
from policy.bundle import Bundle
from policy.bundles import opening, server
from policy.bundles.archive import Entry
from policy.bundles.download import LONG_POLLING, Remote
from policy.bundles.lastgood import LastGood
from policy.bundles.lifecycle import Lifecycle
from policy.bundles.server import BundleServer
from policy.bundles.states import Event
from policy.loading import Policy
from policy.pacing import Steps
from tests.fakes.bundles import AUTHZ, GOOD, packed, pair, signed
from tests.fakes.bundleserver import BundleHost, replying, serving, until
from tests.fakes.messages import NOW_NS

KEYS = pair()[1]
OTHER = signed(Entry("authz.rego", AUTHZ.content + b"# other\n"), *GOOD[1:])
NOT_A_POLICY = signed(Entry("x.rego", b"package x\n"))


@pytest.fixture
async def host(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BundleHost]:
    """Return a server with a signed bundle; failures are tried again at once."""
    monkeypatch.setattr(server, "BUNDLE_RETRY_S_BASE", 0.001)
    async with serving(BundleHost(signed())) as running:
        yield running


def revision(content: bytes) -> str:
    """Return the revision of a bundle."""
    return opening.inspect(content).revision


def source(host: BundleHost, **more: object) -> BundleServer:
    """Return a source that asks the server often."""
    remote = Remote(url=host.url, deadline_s=5.0)
    return BundleServer(remote, KEYS, poll_s=0.01, **more)  # type: ignore[arg-type]  # as the caller says


class AlreadyRead:
    """A source that was read beside the loop; an authorizer reads where it is made."""

    def __init__(self, source: BundleServer, bundle: Bundle) -> None:
        self._source = source
        self._bundle = bundle

    def read(self) -> Bundle:
        """Return what was read."""
        return self._bundle

    def building(self, bundle: Bundle, before: Policy | None = None) -> Steps[Policy]:
        """Make a policy as the source does."""
        return self._source.building(bundle, before)

    def changed(self, revision: str) -> bool:
        """Ask the source."""
        return self._source.changed(revision)


async def started(asked: BundleServer) -> EmbeddedAuthorizer:
    """Return an authorizer of the first bundle, read beside the loop as a start does."""
    bundle = await asyncio.to_thread(asked.read)
    assert not asked.changed(bundle.revision)
    return EmbeddedAuthorizer(AlreadyRead(asked, bundle), now_ns=lambda: NOW_NS)


async def on_disk(path: Path) -> bytes:
    """Return what a file holds."""
    return await asyncio.to_thread(path.read_bytes)


def published(record: Lifecycle, digest: str) -> None:
    """Take a revision the whole way."""
    record.record(digest, Event.DRAFT, who="ann")
    record.record(digest, Event.SUBMIT, who="ann")
    record.record(digest, Event.APPROVE, who="bob")
    record.record(digest, Event.PUBLISH, who="bob")


@asynccontextmanager
async def following(
    asked: BundleServer, running: EmbeddedAuthorizer
) -> AsyncIterator[None]:
    """Follow the server while the block runs."""

    async def activate() -> None:
        running.reload(await asyncio.to_thread(asked.read))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(asked.follow(activate))
        yield
        task.cancel()


@pytest.mark.parametrize("content_type", ["application/gzip", LONG_POLLING])
async def test_a_new_bundle_comes_into_force(
    host: BundleHost, tmp_path: Path, content_type: str
) -> None:
    """Asked for again and again, or waited for; and it is the last good one then."""
    host.content_type = content_type
    kept = tmp_path / "last.tar.gz"
    asked = source(host, last_good=LastGood(kept))
    running = await started(asked)
    assert running.revision == revision(signed())
    async with following(asked, running):
        host.publish(OTHER)
        await until(lambda: running.revision == revision(OTHER))
        await until(lambda: host.asked[-1].get("If-None-Match") == '"2"')
    assert await on_disk(kept) == OTHER


async def test_the_bundle_in_force_is_not_put_in_force_again(
    host: BundleHost, tmp_path: Path
) -> None:
    """The first answer of a follower, and a bundle that was only signed anew."""
    kept = tmp_path / "last.tar.gz"
    asked = source(host, last_good=LastGood(kept))
    running = await started(asked)
    again = signed(*GOOD, Entry("README", b"means nothing"))
    times: list[str] = []

    async def activate() -> None:
        times.append(running.reload(await asyncio.to_thread(asked.read)))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(asked.follow(activate))
        await until(lambda: host.asked[-1].get("If-None-Match") == '"1"')
        host.publish(again)
        await until(lambda: host.asked[-1].get("If-None-Match") == '"2"')
        assert times == []
        host.publish(OTHER)
        await until(lambda: times == [revision(OTHER)])
        await until(lambda: host.asked[-1].get("If-None-Match") == '"3"')
        task.cancel()
    assert await on_disk(kept) == OTHER


@pytest.mark.parametrize(
    "bad",
    [packed(), OTHER[:-3], NOT_A_POLICY, b""],
    ids=["unsigned", "cut", "no rule", "empty"],
)
async def test_a_bad_bundle_leaves_the_old_one_in_force(
    host: BundleHost, tmp_path: Path, bad: bytes
) -> None:
    """Guard: in memory and on disk; a good one after it is taken."""
    kept = tmp_path / "last.tar.gz"
    asked = source(host, last_good=LastGood(kept))
    running = await started(asked)
    async with following(asked, running):
        host.publish(bad)
        seen = len(host.asked)
        await until(lambda: len(host.asked) > seen + 3)
        assert running.revision == revision(signed())
        assert await on_disk(kept) == signed()
        host.publish(OTHER)
        await until(lambda: running.revision == revision(OTHER))


async def test_a_server_that_fails_is_asked_again(host: BundleHost) -> None:
    """Guard: no answer of it ends the following."""
    asked = source(host)
    running = await started(asked)
    host.answers += [replying(503), replying(200, b"junk"), replying(404)]
    async with following(asked, running):
        await until(lambda: not host.answers)
        host.publish(OTHER)
        await until(lambda: running.revision == revision(OTHER))


async def test_without_its_server_the_last_good_bundle_is_taken(
    host: BundleHost, tmp_path: Path
) -> None:
    """At the start only, and checked with the keys of today."""
    kept = LastGood(tmp_path / "last.tar.gz")
    await asyncio.to_thread(kept.save, OTHER)
    host.answers.append(replying(500))
    assert (await started(source(host, last_good=kept))).revision == revision(OTHER)
    host.answers.append(replying(200, NOT_A_POLICY))
    assert (await started(source(host, last_good=kept))).revision == revision(OTHER)
    assert (await started(source(host, last_good=kept))).revision == revision(signed())
    assert await on_disk(tmp_path / "last.tar.gz") == signed()


async def test_a_last_good_bundle_that_is_unsigned_is_never_taken(
    host: BundleHost, tmp_path: Path
) -> None:
    """Guard: who can write to our disk does not make policy."""
    kept = LastGood(tmp_path / "last.tar.gz")
    await asyncio.to_thread(kept.save, packed())
    host.answers.append(replying(500))
    with pytest.raises(PolicyLoadError, match=r"last good bundle.*not signed"):
        await asyncio.to_thread(source(host, last_good=kept).read)


async def test_who_puts_policy_in_force_says_what_is_one(host: BundleHost) -> None:
    """An engine in a process of its own lets nothing be evaluated in this one."""
    tried: list[str] = []
    asked = source(host, try_out=lambda bundle: tried.append(bundle.revision))
    host.publish(NOT_A_POLICY)
    bundle = await asyncio.to_thread(asked.read)
    assert tried == [bundle.revision] == [revision(NOT_A_POLICY)]


@pytest.mark.parametrize("with_disk", [True, False])
async def test_with_neither_there_is_no_start(
    host: BundleHost, tmp_path: Path, *, with_disk: bool
) -> None:
    """Guard: no policy is not an open one."""
    kept = LastGood(tmp_path / "last.tar.gz") if with_disk else None
    host.answers.append(replying(500))
    with pytest.raises(PolicyUnavailableError, match="status 500"):
        await asyncio.to_thread(source(host, last_good=kept).read)


async def test_a_revoked_bundle_is_not_taken_from_anywhere(
    host: BundleHost, tmp_path: Path
) -> None:
    """Guard: neither from the server, at the start or later, nor from the disk."""
    record = Lifecycle(tmp_path / "states.jsonl", now_ns=lambda: NOW_NS)
    kept = LastGood(tmp_path / "last.tar.gz")
    digest = opening.inspect(signed()).digest
    await asyncio.to_thread(published, record, digest)
    asked = source(host, last_good=kept, lifecycle=record)
    running = await started(asked)
    async with following(asked, running):
        host.publish(OTHER)  # which nobody has published
        seen = len(host.asked)
        await until(lambda: len(host.asked) > seen + 3)
    assert running.revision == revision(signed())
    await asyncio.to_thread(record.record, digest, Event.REVOKE, who="b")
    with pytest.raises(PolicyLoadError, match="is revoked"):
        await asyncio.to_thread(asked.read)
    host.publish(signed())
    with pytest.raises(PolicyLoadError, match="is revoked"):
        await asyncio.to_thread(source(host, last_good=kept, lifecycle=record).read)


async def test_a_disk_that_is_full_does_not_undo_a_policy(
    host: BundleHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and the bundle is in force all the same."""
    kept = LastGood(tmp_path / "no such folder" / "last.tar.gz")
    running = await started(source(host, last_good=kept))
    assert running.revision == revision(signed())
    assert "the last good bundle was not kept" in caplog.text


def test_wrong_settings_are_told_at_once() -> None:
    """Guard: not when the first bundle is due."""
    with pytest.raises(ConfigurationError, match="http"):
        BundleServer(Remote(url="x"), KEYS)
    with pytest.raises(ConfigurationError, match="poll"):
        BundleServer(Remote(url="https://h/b"), KEYS, poll_s=0)
