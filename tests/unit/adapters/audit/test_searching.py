"""Finding one message's records in a file: by halving, bounded, and judging nothing."""

from pathlib import Path

import pytest

from bus.adapters.audit import searching
from bus.core import auditrecord
from bus.core.auditchain import header_line

MS = 1_000_000
BEGUN_MS = 1_700_000_000_000


def id_of(number: int) -> bytes:
    """Return an id with the time of a number, and the number."""
    return (BEGUN_MS + number).to_bytes(6, "big") + number.to_bytes(10, "big")


def record(
    number: int, event: str = "accepted", late_ms: int = 0
) -> auditrecord.Record:
    """Return a record of the message of a number."""
    time_ns = (BEGUN_MS + number + late_ms) * MS
    fields = ("acme", "planner", "orders.new", "r1", "d" * 200)
    return (event, time_ns, id_of(number), *fields, b"stamp")


def write(path: Path, records: list[auditrecord.Record]) -> None:
    """Write records as a log does, with a seal now and then."""
    lines = [header_line(bytes(32))]
    for at in range(0, len(records), 256):
        lines.append(auditrecord.encode(records[at : at + 256]))
        lines.append(b'{"block":1,"records":256,"first":1,"prev":"","hash":""}\n')
    path.write_bytes(b"".join(lines))


def find(path: Path, number: int, **bounds: int) -> tuple[list[str], bool]:
    """Return the events found, and whether there may be more."""
    found = searching.search(
        path,
        id_of(number),
        (BEGUN_MS + number) * MS,
        count=bounds.get("count", 100),
        bytes_max=bounds.get("bytes_max", 1 << 30),
    )
    assert all(entry.id == id_of(number).hex() for entry in found.entries)
    return [entry.event for entry in found.entries], found.truncated


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of some megabytes: each message is accepted, and delivered much later."""
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    records = []
    for number in range(8_000):
        records.append(record(number))
        if number >= 1_000:
            records.append(record(number - 1_000, "delivered", 1_000))
    write(path, records)
    return path


@pytest.mark.parametrize("number", [0, 1, 999, 3_456, 6_999])
def test_every_record_of_a_message_is_found(large: Path, number: int) -> None:
    """Wherever in the file it begins."""
    assert find(large, number) == (["accepted", "delivered"], False)


def test_what_is_not_there_is_not_found(large: Path) -> None:
    """Neither before the first record nor after the last."""
    assert find(large, 9_000) == ([], False)
    assert find(large, 7_999) == (["accepted"], False)


def test_halving_skips_what_is_older(large: Path) -> None:
    """So that a long record costs no more than a short one."""
    with large.open("rb") as file:
        size = large.stat().st_size
        place = searching.place(file, (BEGUN_MS + 6_000) * MS, size)
        file.seek(place)
        line = file.readline()
    assert place > size // 2
    assert line[:1] in {b"[", b"{"}


def test_a_bound_is_told(large: Path) -> None:
    """In bytes and in records."""
    assert find(large, 10, bytes_max=200_000) == (["accepted"], True)
    assert find(large, 10, count=1) == (["accepted"], True)


def test_a_record_that_waited_is_found_all_the_same(tmp_path: Path) -> None:
    """It has the time it was made at, and stands among younger ones."""
    path = tmp_path / "audit.jsonl"
    records = [record(number, "delivered") for number in range(4_000)]
    records[3_000] = record(500)
    write(path, records)
    assert find(path, 500) == (["delivered", "accepted"], False)


def test_what_is_broken_is_passed_over(tmp_path: Path) -> None:
    """A search does not judge; half a line at the end is of a writer at work."""
    path = tmp_path / "audit.jsonl"
    write(path, [record(number) for number in range(2_000)])
    text = path.read_bytes().split(b"\n")
    broken = [
        line[:50] if number % 3 == 0 else line for number, line in enumerate(text)
    ]
    path.write_bytes(b"\n".join(broken) + b"\n" + auditrecord.encode([record(9)])[:-9])
    assert find(path, 1_200)[0] in (["accepted"], [])
    assert find(path, 9)[0] in (["accepted"], [])


def test_an_id_in_another_field_is_no_record_of_it(tmp_path: Path) -> None:
    """What somebody wrote into a subject does not count."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(
        auditrecord.encode(
            [("accepted", BEGUN_MS * MS, id_of(1), "acme", "a", _text(2), "", "", b"")]
        )
    )
    assert find(path, 2) == ([], False)


def _text(number: int) -> str:
    """Return an id as the file writes it."""
    line = auditrecord.encode([record(number)]).decode()
    return line.split('"')[3]


def test_a_line_longer_than_any_ends_nothing(tmp_path: Path) -> None:
    """A file that is no record is read to its bound, and that is all."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"x" * (3 << 20))
    assert find(path, 1) == ([], False)
