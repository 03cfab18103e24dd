"""Files replaced together, or not at all."""

from pathlib import Path

import pytest

from bus.edge.operator.replacing import Texts, replace


def test_files_are_replaced_made_and_removed(tmp_path: Path) -> None:
    """What they held is told, and brings them back."""
    one, two, three = (tmp_path / name for name in ("one", "two", "sub/three"))
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    two.chmod(0o640)
    held = replace({one: None, two: b"two", three: b"three"})
    assert (one.exists(), two.read_bytes(), three.read_bytes()) == (
        False,
        b"two",
        b"three",
    )
    assert two.stat().st_mode & 0o777 == 0o640
    assert three.stat().st_mode & 0o777 == 0o600
    replace(held)
    assert (one.read_bytes(), two.read_bytes(), three.exists()) == (b"1", b"2", False)
    assert [path.name for path in tmp_path.rglob(".*")] == []


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    """As with data kept elsewhere."""
    (tmp_path / "file").write_bytes(b"1")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "file")
    replace({link: b"2"})
    assert link.is_symlink()
    assert (tmp_path / "file").read_bytes() == b"2"


def test_what_cannot_be_replaced_leaves_all_as_it_was(tmp_path: Path) -> None:
    """Also those that were replaced before it."""
    one, two, folder = tmp_path / "one", tmp_path / "two", tmp_path / "zz"
    one.write_bytes(b"1")
    (folder / "in").mkdir(parents=True)
    wanted: Texts = {one: b"new", two: b"fresh", folder: None}
    with pytest.raises(OSError):  # noqa: PT011 - the system says which
        replace(wanted)
    assert (one.read_bytes(), two.exists(), folder.is_dir()) == (b"1", False, True)
    assert [path.name for path in tmp_path.rglob(".*")] == []


def test_what_was_replaced_before_a_fault_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails in the middle leaves the old policy, not half of the new."""
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    one.write_bytes(b"1")
    three.write_bytes(b"3")
    truly = Path.replace

    def failing(path: Path, target: Path) -> Path:
        if target == three and path.read_bytes() == b"new 3":
            raise OSError("the disk is gone")
        return truly(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        replace({one: b"new 1", two: b"new 2", three: b"new 3"})
    assert (one.read_bytes(), two.exists(), three.read_bytes()) == (b"1", False, b"3")
    assert [path.name for path in tmp_path.rglob(".*")] == []
