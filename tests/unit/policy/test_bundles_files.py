"""Bundles on disk: built, kept, read together, and refused without touching anything."""

import os
import resource
import stat
from pathlib import Path
from typing import Any

import pytest

from bus.core.errors import PolicyLoadError, UnknownAgentError, UsageError
from bus.core.policylimits import (
    BUNDLE_BYTES_MAX,
    BUNDLE_ENTRIES_MAX,
    BUNDLE_YAML_BYTES_MAX,
)
from policy.authorizer import EmbeddedAuthorizer
from policy.bundles import archive, build, opening
from policy.bundles.archive import Entry
from policy.bundles.files import BundleFiles
from policy.bundles.lastgood import LastGood
from policy.bundles.lifecycle import Lifecycle
from policy.bundles.states import Event
from tests.fakes import bundles, policies
from tests.fakes.bundles import AUTHZ, GOOD, packed, pair, signed
from tests.fakes.messages import NOW_NS

KEY, KEYS = pair()


def written(place: Path, content: bytes) -> Path:
    """Write a bundle and return its path."""
    place.write_bytes(content)
    return place


def source_folder(place: Path) -> Path:
    """Return a folder with policy, data, a test, and things that do not belong."""
    policies.folder(place, policies.ALLOW_ALL, a_test__rego="package a\n")
    (place / "more").mkdir()
    (place / "more" / "data.yaml").write_text("x: 1\n")
    (place / "README.md").write_text("hi")
    (place / ".git").mkdir()
    (place / ".git" / "data.json").write_text("{}")
    return place


def test_a_folder_is_built_into_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the times of its files, and wherever it lies."""
    one, two = (source_folder(tmp_path / name) for name in ("one", "two"))
    os.utime(two / "authz.rego", (1, 1))
    made = build.build(one, revision="r1", roots=["/assent/", "agents", "more"])
    assert made == build.build(two, revision="r1", roots=["assent", "agents", "more"])
    names = [entry.name for entry in archive.read(made)]
    assert names == [".manifest", "authz.rego", "data.json", "more/data.yaml"]
    opened = opening.read_archive(made)
    assert opened.manifest.roots == ("assent", "agents", "more")
    assert opened.bundle.data["more"] == {"x": 1}


def test_what_is_not_given_is_taken_from_the_folders_manifest(tmp_path: Path) -> None:
    """And what is given goes before it."""
    place = source_folder(tmp_path / "p")
    (place / ".manifest").write_text('{"revision": "old", "metadata": {"a": 1}}')
    kept = opening.inspect(build.build(place)).manifest
    assert (kept.revision, kept.metadata, kept.roots) == ("old", {"a": 1}, ("",))
    given = opening.inspect(build.build(place, revision="new", metadata={})).manifest
    assert (given.revision, given.metadata) == ("new", {})


def test_a_folder_that_would_be_refused_is_not_built(tmp_path: Path) -> None:
    """Guard: the same checks as when it is read."""
    place = source_folder(tmp_path / "p")
    with pytest.raises(PolicyLoadError, match="outside the roots"):
        build.build(place, roots=["assent"])
    with pytest.raises(PolicyLoadError, match="control character"):
        build.build(place, revision="a\nb")
    with pytest.raises(PolicyLoadError, match="no such folder"):
        build.build(place / "no")
    (place / "more" / "data.yaml").write_text("x: &a 1\n")
    with pytest.raises(PolicyLoadError, match=r"more/data\.yaml:1: anchors"):
        build.build(place)


@pytest.mark.parametrize("what", ["authz.rego", "linked"])
def test_links_in_a_folder_are_refused(tmp_path: Path, what: str) -> None:
    """Guard: a bundle takes in nothing from elsewhere."""
    place = source_folder(tmp_path / "p")
    (place / what).unlink(missing_ok=True)
    (place / what).symlink_to(tmp_path)
    with pytest.raises(PolicyLoadError, match="a link is not followed"):
        build.build(place)


def test_what_is_no_file_in_a_folder_is_refused(tmp_path: Path) -> None:
    """Guard: a pipe would be waited on for ever."""
    place = source_folder(tmp_path / "p")
    os.mkfifo(place / "pipe.rego")
    with pytest.raises(PolicyLoadError, match="is no file"):
        build.build(place)


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path) -> None:
    """Guard: the bound holds before they are read."""
    for number in range(BUNDLE_ENTRIES_MAX + 1):
        (tmp_path / f"f{number}.rego").touch()
    with pytest.raises(PolicyLoadError, match="files"):
        build.build(tmp_path)


def test_archive_and_folder_are_one_policy(tmp_path: Path) -> None:
    """Packed or not, the revision is of the content."""
    place = source_folder(tmp_path / "p")
    packed_file = written(tmp_path / "b.tar.gz", build.build(place))
    from_folder = BundleFiles([place], {}).read()
    from_file = BundleFiles([packed_file], {}).read()
    assert from_folder.digest == from_file.digest


def test_a_signed_folder_verifies_as_its_archive_does(tmp_path: Path) -> None:
    """A signature covers what lies there unpacked."""
    for entry in archive.read(signed()):
        written(tmp_path / entry.name, entry.content)
    source = BundleFiles([tmp_path], KEYS)
    assert source.opened()[0][1].signature is not None
    (tmp_path / "more.rego").write_text("package more\n")
    with pytest.raises(PolicyLoadError, match=r"more\.rego: not in the list"):
        source.read()


def authorizer(source: BundleFiles) -> EmbeddedAuthorizer:
    """Return an authorizer for what the source has."""
    return EmbeddedAuthorizer(source, now_ns=lambda: NOW_NS)


@pytest.mark.parametrize(
    "bad",
    [
        packed(),
        signed()[:-9],
        signed(key=pair(number=1)[0]),
        signed(Entry("x.rego", b"package x\np :=\n")),
        b"",
    ],
    ids=["unsigned", "cut", "other key", "no entry rule", "empty"],
)
def test_a_bundle_that_is_refused_leaves_the_old_one_in_force(
    tmp_path: Path, bad: bytes
) -> None:
    """Guard: whatever is wrong with the new one."""
    file = written(tmp_path / "b.tar.gz", signed())
    source = BundleFiles([file], KEYS)
    running = authorizer(source)
    before = running.revision
    assert not source.changed(before)
    written(file, bad)
    assert source.changed(before)
    with pytest.raises(PolicyLoadError):
        running.reload(source.read())
    assert running.revision == before
    assert running.principal("planner").id == "planner"
    assert not source.changed(before)  # it has been said once
    os.utime(file, (1, 1))
    assert source.changed(before)


def test_a_new_bundle_is_noticed_and_put_in_force(tmp_path: Path) -> None:
    """By its time and size first, by its content where these changed."""
    file = written(tmp_path / "b.tar.gz", signed())
    source = BundleFiles([file], KEYS)
    running = authorizer(source)
    before = running.revision
    os.utime(file, (1, 1))
    assert not source.changed(before)
    fewer = Entry("data.json", b'{"agents": {}}')
    written(file, signed(AUTHZ, fewer, GOOD[2]))
    assert source.changed(before)
    assert running.reload(source.read()) != before
    with pytest.raises(UnknownAgentError):
        running.principal("planner")


def test_files_that_are_not_there_or_too_long_are_refused(tmp_path: Path) -> None:
    """Guard: each with its name."""
    with pytest.raises(PolicyLoadError, match=r"no\.gz: no such file"):
        BundleFiles([tmp_path / "no.gz"], {}).read()
    long = tmp_path / "long.gz"
    with long.open("wb") as file:
        file.truncate(BUNDLE_BYTES_MAX + 1)
    with pytest.raises(PolicyLoadError, match="more than"):
        BundleFiles([long], {}).read()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PolicyLoadError, match="is no file"):
        BundleFiles([tmp_path / "pipe"], {}).read()
    with pytest.raises(UsageError):
        BundleFiles([], {})


def test_several_bundles_have_roots_of_their_own(tmp_path: Path) -> None:
    """One with rules, one with data; a third that meets them is refused."""
    rules = written(
        tmp_path / "rules.gz", packed(AUTHZ, bundles.manifest(roots=["assent"]))
    )
    data = written(
        tmp_path / "data.gz", packed(GOOD[1], bundles.manifest(roots=["agents"]))
    )
    running = authorizer(BundleFiles([rules, data], {}))
    assert running.principal("planner").tenant == "acme"
    with pytest.raises(PolicyLoadError, match="roots overlap"):
        BundleFiles([rules, data, written(tmp_path / "all.gz", packed())], {}).read()


def test_a_revoked_bundle_is_never_put_in_force(tmp_path: Path) -> None:
    """Guard: nor one that nobody published; a change of state counts as a change."""
    file = written(tmp_path / "b.tar.gz", signed())
    record = Lifecycle(tmp_path / "states.jsonl", now_ns=lambda: NOW_NS)
    source = BundleFiles([file], KEYS, lifecycle=record)
    with pytest.raises(PolicyLoadError, match=r"b\.tar\.gz: revision .* is absent"):
        source.read()
    digest = opening.inspect(signed()).digest
    for event, who in (
        ("draft", "a"),
        ("submit", "a"),
        ("approve", "b"),
        ("publish", "b"),
    ):
        record.record(digest, Event(event), who=who)
    revision = source.read().revision
    assert not source.changed(revision)
    record.record(digest, Event.REVOKE, who="b")
    assert source.changed(revision)
    with pytest.raises(PolicyLoadError, match="is revoked"):
        source.read()


def test_the_last_good_bundle_is_kept_and_checked_again(tmp_path: Path) -> None:
    """Only its owner reads it; with the keys of today it is as good as it ever was."""
    kept = LastGood(tmp_path / "last.tar.gz")
    assert kept.load(KEYS) is None
    kept.save(packed())
    kept.save(signed())
    found = kept.load(KEYS)
    assert found is not None
    assert found.bundle.declared == "r1"
    assert [path.name for path in tmp_path.iterdir()] == ["last.tar.gz"]
    mode = (tmp_path / "last.tar.gz").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(
    ("content", "keys", "said"),
    [
        (packed(), KEYS, "not signed"),
        (signed(), {}, "no key is configured"),
        (signed(), pair(number=1)[1], "does not hold"),
        (signed()[:-1], KEYS, "cut off"),
        (b"", KEYS, "cut off"),
    ],
)
def test_a_last_good_bundle_that_is_not_good_any_more_is_refused(
    tmp_path: Path, content: bytes, keys: Any, said: str
) -> None:
    """Guard: lying on our own disk proves nothing."""
    kept = LastGood(tmp_path / "last.tar.gz")
    kept.save(content)
    with pytest.raises(PolicyLoadError, match=f"last good bundle, .*{said}"):
        kept.load(keys)


def test_a_disk_that_cannot_be_written_leaves_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard: the old one stays, and no half of the new one lies about."""
    kept = LastGood(tmp_path / "last.tar.gz")
    kept.save(signed())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device", str(descriptor))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        kept.save(packed())
    assert (tmp_path / "last.tar.gz").read_bytes() == signed()
    assert len(list(tmp_path.iterdir())) == 1


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """Guard: with the name and what the system says. Here no more files may open."""
    place = source_folder(tmp_path / "p")
    file = written(tmp_path / "b.tar.gz", packed())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        for source in (BundleFiles([place], {}), BundleFiles([file], {})):
            with pytest.raises(PolicyLoadError, match="Too many open files"):
                source.read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_file_in_a_folder_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """Guard: its bound holds while it is read."""
    place = source_folder(tmp_path / "p")
    with (place / "more" / "data.yaml").open("wb") as file:
        file.truncate(BUNDLE_YAML_BYTES_MAX + 1)
    with pytest.raises(PolicyLoadError, match=r"data\.yaml: more than"):
        BundleFiles([place], {}).read()
