"""What is unpacked, and everything that is not."""

import gzip
import io
import tarfile
import tracemalloc
import zlib

import pytest

from bus.core import policylimits as limits
from bus.core.errors import PolicyLoadError
from policy.bundles import archive
from policy.bundles.archive import Entry
from tests.fakes import bundles
from tests.fakes.bundles import gzipped, member, tarred

FILES = (Entry("a/data.json", b"{}"), Entry("b.rego", b"package b\n"))


def refusal(content: bytes) -> str:
    """Return why an archive is refused."""
    with pytest.raises(PolicyLoadError) as error:
        archive.read(content)
    return str(error.value)


def test_what_is_written_is_read_back() -> None:
    """Names, contents, and no others; a long name too."""
    long = Entry("/".join(["x" * 60] * 4) + "/é.rego", b"package x\n")
    assert archive.read(archive.write([*FILES, long])) == (*FILES, long)


def test_the_same_files_make_the_same_bytes() -> None:
    """Whatever the order they come in."""
    assert archive.write(FILES) == archive.write(reversed(FILES))


@pytest.mark.parametrize(
    "form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_every_tar_that_programs_write_is_read(form: int) -> None:
    """Folders are passed over; a name may be long in each format's way."""
    name = "n" * 90 + "/" + "m" * 90
    content = gzipped(
        (member("./", tarfile.DIRTYPE), b""),
        (member("./a", tarfile.DIRTYPE), b""),
        (member("./a/data.json"), b"{}"),
        (member("/b.rego"), b"package b\n"),
        (member(name), b"1"),
        form=form,
    )
    assert archive.read(content) == (*FILES, Entry(name, b"1"))


def test_a_comment_of_the_archive_is_passed_over() -> None:
    """`git archive` writes one."""
    plain = io.BytesIO()
    with tarfile.open(
        fileobj=plain, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "c"}
    ) as tar:
        tar.addfile(member("b.rego", size=1), io.BytesIO(b"x"))
    assert archive.read(gzip.compress(plain.getvalue())) == (Entry("b.rego", b"x"),)


@pytest.mark.parametrize(
    "name",
    [
        "../a.rego",
        "a/../b.rego",
        "..",
        "/../a.rego",
        "./../a",
        "a/..",
        "//a",
        "/./a",
        "a//b",
        "a/./b",
        "a/",
        "././a",
        "a\\b",
        "a\nb.rego",
        "a\x7f",
        "",
    ],
)
def test_a_path_that_is_not_plainly_inside_is_refused(name: str) -> None:
    """Guard: nothing leads out, and no two names mean one file."""
    header = member("x")
    content = gzipped((header, b""))
    assert archive.read(content)
    header.name = name
    assert "path" in refusal(gzipped((header, b""), form=tarfile.GNU_FORMAT))


def test_a_folder_may_not_lead_out_either() -> None:
    """Guard: a folder is no file, and may do as little."""
    assert "leads out" in refusal(gzipped((member("../d", tarfile.DIRTYPE), b"")))
    folder = member("d", tarfile.DIRTYPE, size=3).tobuf(tarfile.GNU_FORMAT)
    assert "content" in refusal(gzip.compress(folder + bytes(2048)))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "character device"),
        (tarfile.BLKTYPE, "block device"),
        (tarfile.FIFOTYPE, "pipe"),
        (tarfile.CONTTYPE, "contiguous"),
        (tarfile.GNUTYPE_SPARSE, "sparse"),
        (b"Z", "unknown kind"),
    ],
)
def test_what_is_no_file_is_refused(kind: bytes, said: str) -> None:
    """Guard: links and devices have no place in a bundle."""
    header = member("a.rego", kind, linkname="/etc/passwd")
    assert said in refusal(gzipped((header, b"")))


@pytest.mark.parametrize("second", ["a.rego", "/a.rego", "./a.rego"])
def test_a_name_that_stands_twice_is_refused(second: str) -> None:
    """Guard: one reader would take the first, another the last."""
    content = gzipped((member("a.rego"), b"1"), (member(second), b"2"))
    assert "twice" in refusal(content)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("patch.json", "delta bundle"),
        ("a/patch.json", "delta bundle"),
        ("policy.wasm", "WebAssembly"),
        ("plan.json", "compiled plan"),
        (".hidden.rego", "hidden"),
        (".git/data.json", "hidden"),
        ("a/.manifest", "hidden"),
        ("x.manifest", "could be taken"),
        ("my-signatures.json", "could be taken"),
    ],
)
def test_a_file_that_a_bundle_may_not_have_is_refused_by_name(
    name: str, said: str
) -> None:
    """Delta bundles and compiled ones, and what OPA could take for something else."""
    assert said in refusal(gzipped((member(name), b"{}")))
    assert name in refusal(gzipped((member(name), b"{}")))


def test_a_gzip_bomb_is_refused_without_unpacking_it() -> None:
    """Guard: a gigabyte of zeros costs neither memory nor its size in time."""
    header = member("data.json", size=1 << 30).tobuf(tarfile.GNU_FORMAT)
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = deflate.compress(header)
    for _ in range(1 << 10):
        bomb += deflate.compress(bytes(1 << 20))
    bomb += deflate.flush()
    assert len(bomb) < 2 << 20
    tracemalloc.start()
    try:
        said = refusal(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "1073741824 bytes" in said
    assert peak < 4 << 20


def test_zeros_without_end_after_the_archive_are_refused() -> None:
    """Guard: the other way to hide a bomb."""
    plain = tarred((member("a.rego"), b"1"))
    fine = gzip.compress(plain + bytes(limits.BUNDLE_PADDING_BYTES_MAX // 2))
    assert len(archive.read(fine)) == 1
    bomb = gzip.compress(plain + bytes(limits.BUNDLE_PADDING_BYTES_MAX * 2))
    assert "too many zeros" in refusal(bomb)


def test_an_archive_is_bounded_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard: many files that are each allowed are not allowed together."""
    content = gzipped((member("a.rego"), b"1" * 600), (member("b.rego"), b"2" * 600))
    monkeypatch.setattr(archive, "BUNDLE_CONTENT_BYTES_MAX", 1_000)
    assert "more than 1000 bytes unpacked" in refusal(content)
    monkeypatch.setattr(archive, "BUNDLE_BYTES_MAX", 20)
    assert "20 are allowed" in refusal(content)
    with pytest.raises(PolicyLoadError, match="20 are allowed"):
        archive.write(FILES)


def test_too_many_entries_are_refused() -> None:
    """Guard: folders count too."""
    many = limits.BUNDLE_ENTRIES_MAX
    folders = [(member(f"d{n}", tarfile.DIRTYPE), b"") for n in range(many + 1)]
    assert archive.read(gzipped(*folders[:-1])) == ()
    assert f"more than {many} entries" in refusal(gzipped(*folders))


def test_paths_that_are_too_deep_or_too_long_are_refused() -> None:
    """Guard: nesting is bounded."""
    deep = "/".join(["d"] * limits.BUNDLE_FOLDERS_DEEP_MAX)
    assert archive.read(gzipped((member(deep), b""))) != ()
    assert "folders" in refusal(gzipped((member(f"d/{deep}"), b"")))
    long = "x" * (limits.BUNDLE_PATH_BYTES_MAX + 1)
    assert "longer than" in refusal(gzipped((member(long), b"")))


def test_every_cut_of_an_archive_is_refused() -> None:
    """Guard: half a bundle is none, wherever it ends."""
    plain = tarred((member("a.rego"), b"1" * 700))
    for end in range(0, len(plain) - 20 * 512, 128):
        assert refusal(gzip.compress(plain[:end]))
    packed = bundles.packed()
    for end in range(len(packed)):
        assert refusal(packed[:end])


def test_what_follows_is_refused() -> None:
    """Guard: a second member, rubbish, or a file after the archive's end."""
    plain = tarred((member("a.rego"), b"1"))
    packed = gzip.compress(plain)
    assert "follows the gzip" in refusal(packed + b"x")
    assert "follows the gzip" in refusal(packed + packed)
    assert "follows the end" in refusal(gzip.compress(plain + plain))
    empty = bytes(512)
    assert "empty header" in refusal(gzip.compress(empty + plain))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"PK\x03\x04",
        bytes(512),
        b"\x1f\x8b",
        gzip.compress(b"", mtime=0),
        gzip.compress(b"{}" * 400, mtime=0),
        gzip.compress(b"x" * 512, mtime=0),
    ],
)
def test_what_is_no_bundle_is_refused(content: bytes) -> None:
    """Whatever a server sends instead."""
    assert refusal(content)


def test_a_damaged_byte_is_seen() -> None:
    """Guard: the checksum of gzip, and that of each header."""
    packed = bytearray(bundles.packed())
    packed[-6] ^= 1
    assert "damaged" in refusal(bytes(packed))
    plain = bytearray(tarred((member("a.rego"), b"1")))
    plain[0] ^= 1
    assert "damaged" in refusal(gzip.compress(bytes(plain)))


def test_names_that_are_not_utf8_are_refused() -> None:
    """Guard: no replacement characters."""
    header = bytearray(member("abc.rego").tobuf(tarfile.GNU_FORMAT))
    header[0] = 0xFF
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert "UTF-8" in refusal(gzip.compress(bytes(header) + bytes(1024)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"size": "7"}, "'size'"),
        ({"linkpath": "/etc/passwd"}, "'linkpath'"),
        ({"GNU.sparse.map": "0,1"}, "'GNU.sparse.map'"),
        ({"path": "../a.rego"}, "leads out"),
    ],
)
def test_an_extended_header_may_only_name(fields: dict[str, str], said: str) -> None:
    """Guard: it may not say how long a file is, or make a link of it."""
    header = member("a.rego", pax_headers=fields)
    assert said in refusal(gzipped((header, b"1"), form=tarfile.PAX_FORMAT))


def raw(kind: bytes, content: bytes) -> bytes:
    """Return an extension with this content."""
    header = member("x", kind, size=len(content)).tobuf(tarfile.USTAR_FORMAT)
    return header + content + bytes(-len(content) % 512)


@pytest.mark.parametrize(
    ("extensions", "said"),
    [
        (raw(b"x", b"nonsense"), "cannot be read"),
        (raw(b"x", b"99 path=a\n"), "cannot be read"),
        (raw(b"x", b"9 path=ab"), "cannot be read"),
        (raw(b"x", b"5 ab\n"), "cannot be read"),
        (raw(b"x", b"0 path=a\n"), "cannot be read"),
        (raw(b"g", b"10 path=a\n"), "'path'"),
        (raw(b"x", b"10 path=a\n10 path=b\n"), "'path'"),
        (raw(b"x", b"10 path=a\n") + raw(b"L", b"b\0"), "named twice"),
        (raw(b"L", bytes(limits.BUNDLE_TAR_EXTRA_BYTES_MAX + 1)), "extended header of"),
        (raw(b"K", b"b\0"), "long name"),
        (raw(b"L", b"b\0"), "should be"),
    ],
)
def test_a_wrong_extension_is_refused(extensions: bytes, said: str) -> None:
    """Guard: what could rename a file is read to the letter."""
    assert said in refusal(gzip.compress(extensions + bytes(1024)))
