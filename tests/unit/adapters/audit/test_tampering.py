"""Whatever is done to a finished record, verify sees it and says where."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from bus.adapters.audit import Summary, tail, verify
from bus.core.errors import AuditBrokenError, LimitExceededError
from tests.fakes.recording import keep

BLOCKS = [3, 1, 5, 2]
"""Lines: header 1; records 2-4, seal 5; record 6, seal 7; 8-12, seal 13; 14-15, 16."""
LINES = 1 + sum(BLOCKS) + len(BLOCKS)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a record of four blocks, written by the real log."""
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    keep(path, BLOCKS)
    return path


@pytest.fixture
def change(original: Path, tmp_path: Path) -> Callable[[list[bytes]], Path]:
    """Give a function that puts other lines in the record's place, its head kept."""

    def changed(lines: list[bytes]) -> Path:
        return forged(original, tmp_path / "audit.jsonl", lines)

    return changed


def forged(original: Path, path: Path, lines: list[bytes]) -> Path:
    """Write `lines` beside a copy of the original's head."""
    path.write_bytes(b"".join(lines))
    head = original.with_name("audit.jsonl.head").read_bytes()
    path.with_name("audit.jsonl.head").write_bytes(head)
    return path


def lines_of(path: Path) -> list[bytes]:
    """Return the lines of a record."""
    return path.read_bytes().splitlines(keepends=True)


def broken(path: Path) -> AuditBrokenError:
    """Return what verify finds wrong."""
    with pytest.raises(AuditBrokenError) as caught:
        verify(path)
    return caught.value


def test_an_untouched_record_holds(original: Path) -> None:
    """The summary counts what is there and names the head."""
    summary = verify(original)
    assert len(lines_of(original)) == LINES
    assert summary == Summary(
        records=11, blocks=4, head=summary.head, head_checked=True, unsealed=0
    )
    assert summary.head.encode() in lines_of(original)[-1]


@pytest.mark.parametrize(("line", "block_begins"), [(2, 2), (4, 2), (6, 6), (10, 8)])
def test_an_edited_record_names_its_block(
    original: Path,
    change: Callable[[list[bytes]], Path],
    line: int,
    block_begins: int,
) -> None:
    """The edit is a record like any other, yet its block no longer holds."""
    lines = lines_of(original)
    lines[line - 1] = lines[line - 1].replace(b'"acme"', b'"evil"')
    error = broken(change(lines))
    assert error.line == block_begins
    assert f"lines {block_begins} to" in error.reason


@pytest.mark.parametrize(
    ("line", "text"),
    [(1, b"{}\n"), (3, b"garbage\n"), (5, b"{}\n"), (9, b"[]\n"), (12, b"\x00\xff\n")],
)
def test_garbage_is_named_to_the_line(
    original: Path, change: Callable[[list[bytes]], Path], line: int, text: bytes
) -> None:
    """What is no record and no seal needs no hash to be found."""
    lines = lines_of(original)
    lines[line - 1] = text
    assert broken(change(lines)).line == line


def test_a_deleted_record_names_its_block(
    original: Path, change: Callable[[list[bytes]], Path]
) -> None:
    """The seal says how many there were."""
    lines = lines_of(original)
    del lines[9]
    error = broken(change(lines))
    assert error.line == 8
    assert "sealed with 5 records, 4 are there" in error.reason


def test_a_deleted_block_names_the_one_after(
    original: Path, change: Callable[[list[bytes]], Path]
) -> None:
    """A whole block with its seal cannot be taken out of the middle."""
    lines = lines_of(original)
    del lines[5:7]
    error = broken(change(lines))
    assert error.line == 6
    assert "block 3 does not follow block 1" in error.reason


def test_reordered_blocks_are_named(
    original: Path, change: Callable[[list[bytes]], Path]
) -> None:
    """Blocks cannot change places."""
    lines = lines_of(original)
    error = broken(change(lines[:5] + lines[7:13] + lines[5:7] + lines[13:]))
    assert error.line == 6


def test_reordered_records_name_their_block(
    original: Path, change: Callable[[list[bytes]], Path]
) -> None:
    """Records cannot change places."""
    lines = lines_of(original)
    lines[8], lines[10] = lines[10], lines[8]
    assert broken(change(lines)).line == 8


def test_a_record_put_in_names_its_block(
    original: Path, change: Callable[[list[bytes]], Path]
) -> None:
    """A copy of a real record is not sealed twice."""
    lines = lines_of(original)
    assert broken(change([*lines[:3], lines[1], *lines[3:]])).line == 2


def test_records_after_the_last_seal_are_named(
    original: Path, change: Callable[[list[bytes]], Path]
) -> None:
    """Nothing can be added without a seal."""
    lines = lines_of(original)
    error = broken(change([*lines, lines[1]]))
    assert error.line == LINES + 1
    assert "1 records are not sealed" in error.reason


@pytest.mark.parametrize("kept", [1, 5, 7, 13])
def test_a_cut_just_after_a_seal_is_seen_by_the_head(
    original: Path, change: Callable[[list[bytes]], Path], kept: int
) -> None:
    """The chain of what is left is whole; only the head knows there was more."""
    error = broken(change(lines_of(original)[:kept]))
    assert error.line == kept + 1
    assert "its head names block 4" in error.reason


def test_without_a_head_a_cut_after_a_seal_is_not_claimed_to_be_seen(
    original: Path, change: Callable[[list[bytes]], Path]
) -> None:
    """The summary says that no head was compared."""
    path = change(lines_of(original)[:7])
    path.with_name("audit.jsonl.head").unlink()
    summary = verify(path)
    assert (summary.blocks, summary.head_checked) == (2, False)


def test_a_rewritten_record_is_seen_by_the_head(tmp_path: Path) -> None:
    """A whole new chain, forged with care, is not the one the head names."""
    elsewhere = tmp_path / "elsewhere.head"
    keep(tmp_path / "audit.jsonl", BLOCKS, head=elsewhere)
    (tmp_path / "audit.jsonl").unlink()
    keep(tmp_path / "audit.jsonl", BLOCKS)
    with pytest.raises(AuditBrokenError, match="not the one its head names"):
        verify(tmp_path / "audit.jsonl", elsewhere)


def test_a_head_that_is_asked_for_must_be_there(original: Path) -> None:
    """A missing head is not taken for no head."""
    with pytest.raises(FileNotFoundError):
        verify(original, original.with_name("none.head"))


def test_an_empty_file_is_broken(tmp_path: Path) -> None:
    """No header, no record."""
    path = tmp_path / "audit.jsonl"
    path.touch()
    assert broken(path).line == 1


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_seen(
    original: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Flip, insert or delete any bytes anywhere: the record no longer holds."""
    text = original.read_bytes()
    at = data.draw(st.integers(0, len(text) - 1), label="at")
    gone = data.draw(st.integers(0, 200), label="gone")
    put = data.draw(st.binary(max_size=20), label="put")
    after = text[:at] + put + text[at + gone :]
    if after == text:
        return
    folder = tmp_path_factory.mktemp("forged")
    path = forged(original, folder / "audit.jsonl", [after])
    number = broken(path).line
    assert 1 <= number <= text[:at].count(b"\n") + 2


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(LINES)))
def test_any_other_order_is_seen(
    original: Path, tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    """No permutation of the lines holds but the one written."""
    lines = lines_of(original)
    path = tmp_path_factory.mktemp("forged") / "audit.jsonl"
    forged(original, path, [lines[index] for index in order])
    if order == sorted(order):
        assert verify(path).records == 11
    else:
        assert broken(path).line >= 1


@pytest.mark.parametrize("count", [1, 2, 5, 11, 1000])
def test_tail_shows_the_last_records_in_order(original: Path, count: int) -> None:
    """Seals are left out, and asking for more than there is shows all."""
    details = [entry.detail for entry in tail(original, count)]
    assert details == [f"number {n}" for n in range(max(0, 11 - count), 11)]


def test_tail_reads_back_as_far_as_it_must(tmp_path: Path) -> None:
    """More than one step from the end is found too."""
    path = tmp_path / "audit.jsonl"
    keep(path, [500] * 6)
    assert [entry.detail for entry in tail(path, 2500)] == [
        f"number {n}" for n in range(500, 3000)
    ]


def test_tail_names_a_line_it_cannot_read(
    original: Path, change: Callable[[list[bytes]], Path]
) -> None:
    """Garbage is not skipped over."""
    lines = lines_of(original)
    lines[8] = b"garbage\n"
    with pytest.raises(AuditBrokenError) as caught:
        tail(change(lines), 11)
    assert caught.value.line == 9


@pytest.mark.parametrize("count", [0, -1, 10_001])
def test_tail_is_bounded(original: Path, count: int) -> None:
    """Too many is refused rather than read."""
    with pytest.raises(LimitExceededError):
        tail(original, count)
