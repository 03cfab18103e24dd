"""Files become a bundle with a revision; what is not plainly inside stays out."""

import os
import resource
from pathlib import Path

import msgspec
import pytest

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_FILES_MAX
from policy.bundle import BUILT_IN, Origin, files_of, read_folder
from tests.fakes import policies


def test_the_built_in_policy_is_found_without_its_tests() -> None:
    """The wheel has it, and no `*_test.rego` is ever in force."""
    bundle = Origin(policies.data()).read()
    assert [file.name for file in bundle.sources] == ["authz.rego", "subjects.rego"]
    assert bundle.built_in


def test_the_revision_is_of_all_content(tmp_path: Path) -> None:
    """Any change of policy or data is another revision; 16 hex digits."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    seen = {Origin(folder=place).read().revision}
    (place / "data.json").write_text('{"agents": {}}')
    seen.add(Origin(folder=place).read().revision)
    (place / "authz.rego").write_text(policies.ALLOW_ALL + "# more\n")
    seen.add(Origin(folder=place).read().revision)
    (place / "b.rego").write_text("package b\n")
    seen.add(Origin(folder=place).read().revision)
    (place / "b.rego").rename(place / "c.rego")
    seen.add(Origin(folder=place).read().revision)
    assert len(seen) == 5
    assert all(len(r) == 16 and int(r, 16) >= 0 for r in seen)


def test_the_revision_is_of_what_data_says_and_not_of_how(tmp_path: Path) -> None:
    """JSON, TOML and a dict with the same content are one revision."""
    data = {"tenants": {"acme": {}}, "agents": {"a": {"tenant": "acme"}}}
    (tmp_path / "d.json").write_bytes(msgspec.json.encode(data))
    (tmp_path / "d.toml").write_text('[agents.a]\ntenant = "acme"\n[tenants.acme]\n')
    origins = (data, tmp_path / "d.json", tmp_path / "d.toml")
    assert len({Origin(origin).read().revision for origin in origins}) == 1


def test_tests_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    """For `policy test`, not for the bus."""
    place = policies.folder(tmp_path / "p", "", a_test__rego="package a")
    assert len(files_of(place)) == 1
    assert len(files_of(place, tests=True)) == 2


def test_files_in_folders_below_are_found(tmp_path: Path) -> None:
    """With a name relative to the bundle, so that it is the same wherever it lies."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.rego").write_text("package x\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "y.rego").write_text("package y\n")
    assert [file.name for file in read_folder(tmp_path)] == ["b/x.rego"]


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """Guard: a bundle cannot pull in what lies elsewhere."""
    outside = tmp_path / "outside.rego"
    outside.write_text("package outside\n")
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    (place / "link.rego").symlink_to(outside)
    with pytest.raises(PolicyLoadError, match="out of the folder"):
        Origin(folder=place).read()


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    """Guard: neither followed nor left out in silence."""
    (tmp_path / "outside").mkdir()
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    (place / "linked").symlink_to(tmp_path / "outside")
    with pytest.raises(PolicyLoadError, match="linked folder"):
        Origin(folder=place).read()


def test_links_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    """Guard: what the file system will not follow ends a load, and never the bus."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    (place / "loop.rego").symlink_to(place / "loop.rego")
    with pytest.raises(PolicyLoadError, match=r"loop\.rego: .*link"):
        Origin(folder=place).read()
    (place / "loop.rego").unlink()
    (place / "data.json").unlink()
    (place / "data.json").symlink_to(place / "data.json")
    with pytest.raises(PolicyLoadError, match="neither"):
        Origin(folder=place).read()


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    """Guard: the rules in it are not left out in silence. Here no more files may open."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    origin = Origin(folder=place)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        with pytest.raises(PolicyLoadError, match="Too many open files") as error:
            origin.fingerprint()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert error.value.file == str(place)
    assert origin.fingerprint()


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """Whatever the file system says, it is a refusal."""
    with pytest.raises(PolicyLoadError, match="too long"):
        Origin(folder=tmp_path / ("n" * 300)).read()


def test_data_linked_from_outside_is_refused(tmp_path: Path) -> None:
    """Guard: data is part of the bundle as much as rules are."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    (place / "data.json").rename(tmp_path / "outside.json")
    (place / "data.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(PolicyLoadError, match="out of the folder"):
        Origin(folder=place).read()


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    """As mounted configuration maps have it."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    (place / "..data").mkdir()
    (place / "authz.rego").rename(place / "..data" / "authz.rego")
    (place / "authz.rego").symlink_to(place / "..data" / "authz.rego")
    assert [file.name for file in Origin(folder=place).read().sources] == ["authz.rego"]


def test_data_must_be_named_or_there(tmp_path: Path) -> None:
    """Two data files, or none, are a question and not an answer."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL, data__toml="")
    with pytest.raises(PolicyLoadError, match="both"):
        Origin(folder=place).read()
    for name in ("data.json", "data.toml"):
        (place / name).unlink()
    with pytest.raises(PolicyLoadError, match="neither"):
        Origin(folder=place).read()
    with pytest.raises(PolicyLoadError, match="neither"):
        Origin().read()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A misspelt path is not an empty policy."""
    with pytest.raises(PolicyLoadError, match="no such folder"):
        Origin({}, tmp_path / "nosuch").read()


def test_the_number_of_files_is_bounded(tmp_path: Path) -> None:
    """Nothing is unbounded."""
    for number in range(POLICY_FILES_MAX + 1):
        (tmp_path / f"{number}.rego").touch()
    with pytest.raises(PolicyLoadError, match="more than"):
        files_of(tmp_path)


def test_bytes_that_are_no_text_are_named_with_file_and_line(tmp_path: Path) -> None:
    """Of a policy and of data alike."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    (place / "bad.rego").write_bytes(b"package bad\n# \xff")
    with pytest.raises(PolicyLoadError, match=r"^bad\.rego:2: not UTF-8$"):
        Origin(folder=place).read()
    (place / "bad.rego").unlink()
    (place / "data.json").write_bytes(b'{"agents":\n\xff}')
    with pytest.raises(PolicyLoadError, match=r"data\.json:2: not UTF-8$"):
        Origin(folder=place).read()


def test_built_in_data_is_checked_and_other_data_is_the_policys(tmp_path: Path) -> None:
    """A policy of your own has data of its own."""
    data = {**policies.AGENTS, "anything": [1]}
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    assert Origin(data, place).read().data == data
    with pytest.raises(PolicyLoadError, match="anything"):
        Origin(data).read()


def test_the_fingerprint_shows_each_write(tmp_path: Path) -> None:
    """Of rules and of data, new files and lost ones."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    origin = Origin(folder=place)
    seen = [origin.fingerprint()]
    assert origin.fingerprint() == seen[0]
    (place / "b.rego").write_text("package b\n")
    seen.append(origin.fingerprint())
    os.utime(place / "b.rego", ns=(1, 1))
    seen.append(origin.fingerprint())
    (place / "data.json").unlink()
    seen.append(origin.fingerprint())
    (tmp_path / "d.json").write_text("{}")
    seen.append(Origin(tmp_path / "d.json", place).fingerprint())
    assert len(set(seen)) == 5
    assert BUILT_IN.is_dir()
