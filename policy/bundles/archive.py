"""A bundle's bytes as its files, and files as bytes that are always the same.

Rule: nothing is taken that two readers could see differently, and nothing is unpacked
past a bound: an entry is refused by its header, before its content is inflated.
Format: gzip (RFC 1952) around a POSIX tar with the extensions that name files.
"""

import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NoReturn

import msgspec

from bus.core.errors import PolicyLoadError
from bus.core.policylimits import (
    BUNDLE_BYTES_MAX,
    BUNDLE_CONTENT_BYTES_MAX,
    BUNDLE_ENTRIES_MAX,
    BUNDLE_PADDING_BYTES_MAX,
    BUNDLE_TAR_EXTRA_BYTES_MAX,
)
from policy.bundles.paths import bytes_max, normal

BLOCK: Final = 512
_GZIP_WINDOW: Final = 31  # zlib's word for: a gzip header and nothing else
_CHUNK: Final = 64 << 10
_FILE: Final = (b"0", b"\0")
_FOLDER: Final = b"5"
_TOP: Final = ("/", ".", "./")
_EXTENDED: Final = b"x"
_GLOBAL: Final = b"g"
_GNU_NAME: Final = b"L"
_REFUSED: Final = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a pipe",
    b"7": "a contiguous file",
    b"K": "a link's long name",
    b"S": "a sparse file",
}
# What an extended header may say: nothing of it changes where or how long a file is.
_HARMLESS: Final = frozenset(
    {"atime", "comment", "ctime", "gid", "gname", "mtime", "uid", "uname"}
)
_MODE: Final = 0o644


class Entry(msgspec.Struct, frozen=True):
    """One file of a bundle; its name is relative, with `/` between folders."""

    name: str
    content: bytes


def read(content: bytes) -> tuple[Entry, ...]:
    """Return the files of an archive in its order.

    Raises:
        PolicyLoadError: not gzip, not tar, truncated, followed by something, past a
            bound, a file twice, a path that leads out, or an entry that is no file.
    """
    if len(content) > BUNDLE_BYTES_MAX:
        raise PolicyLoadError(
            f"{len(content)} bytes compressed; {BUNDLE_BYTES_MAX} are allowed"
        )
    return tuple(_Archive(_Inflated(content)).files())


def write(entries: Iterable[Entry]) -> bytes:
    """Return a gzipped tar: the same bytes for the same files, whatever their order.

    As far as zlib is the same: another version of it may compress otherwise.

    Raises:
        PolicyLoadError: longer than an archive may be.
    """
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in sorted(entries, key=lambda entry: entry.name):
            header = tarfile.TarInfo(entry.name)
            header.size, header.mode = len(entry.content), _MODE
            tar.addfile(header, io.BytesIO(entry.content))
    deflate = zlib.compressobj(9, zlib.DEFLATED, _GZIP_WINDOW)
    packed = deflate.compress(plain.getvalue()) + deflate.flush()
    if len(packed) > BUNDLE_BYTES_MAX:
        raise PolicyLoadError(
            f"{len(packed)} bytes compressed; {BUNDLE_BYTES_MAX} are allowed"
        )
    return packed


class _Inflated:
    """The plain bytes of a gzip file, given out as they are asked for."""

    __slots__ = ("_at", "_fed", "_inflate", "_packed", "_piece", "total")

    def __init__(self, packed: bytes) -> None:
        self._inflate = zlib.decompressobj(_GZIP_WINDOW)
        self._packed = memoryview(packed)
        self._fed = 0
        self._piece = b""
        self._at = 0
        self.total = 0

    def take(self, size: int) -> bytes:
        """Return exactly `size` bytes, or fewer where the file ends."""
        parts: list[bytes] = []
        wanted = size
        while wanted > 0:
            if self._at == len(self._piece):
                self._piece, self._at = self._more(), 0
                if not self._piece:
                    break
            part = self._piece[self._at : self._at + wanted]
            self._at += len(part)
            parts.append(part)
            wanted -= len(part)
        return b"".join(parts)

    def _more(self) -> bytes:
        """Return the next bytes, none at the end."""
        found = b""
        while not found and not self._inflate.eof:
            packed: bytes | memoryview = self._inflate.unconsumed_tail
            if not packed:
                packed = self._packed[self._fed : self._fed + _CHUNK]
                self._fed += len(packed)
            if not packed:
                raise PolicyLoadError("the gzip file is cut off")
            try:
                found = self._inflate.decompress(packed, _CHUNK)
            except zlib.error as error:
                raise PolicyLoadError(
                    f"no gzip file, or a damaged one: {error}"
                ) from None
        if self._inflate.eof and (
            self._inflate.unused_data or self._fed < len(self._packed)
        ):
            raise PolicyLoadError("something follows the gzip file")
        self.total += len(found)
        return found


class _Archive:
    """A tar that is read once, from front to back."""

    __slots__ = ("_plain", "_seen", "_total")

    def __init__(self, plain: _Inflated) -> None:
        self._plain = plain
        self._seen: set[str] = set()
        self._total = 0

    def files(self) -> Iterator[Entry]:
        """Yield the files; checks everything to the last byte."""
        told = ""  # the name that an extended header gives to the next entry
        for count, header in enumerate(self._headers()):
            if count >= BUNDLE_ENTRIES_MAX:
                raise PolicyLoadError(f"more than {BUNDLE_ENTRIES_MAX} entries")
            kind, size = header[156:157], _number(header[124:136])
            if kind in (_EXTENDED, _GLOBAL, _GNU_NAME):
                if told:
                    raise PolicyLoadError("a file is named twice by its headers")
                told = self._extension(kind, size)
                continue
            raw, told = told or _own_name(header), ""
            if kind == _FOLDER:
                self._folder(raw, size)
            elif kind in _FILE:
                yield self._file(raw, size)
            else:
                what = _REFUSED.get(kind, f"of an unknown kind {kind!r}")
                raise PolicyLoadError(f"is {what}; only files belong in", file=raw)
        if told:
            raise PolicyLoadError("the archive ends where a file should be")

    def _headers(self) -> Iterator[bytes]:
        """Yield the headers up to the archive's end, and see that nothing follows it."""
        while True:
            header = self._block()
            if any(header):
                _check_sum(header)
                yield header
                continue
            if any(self._block()):
                raise PolicyLoadError("an empty header in the archive")
            break
        padding = 0
        while found := self._plain.take(_CHUNK):
            padding += len(found)
            if any(found):
                raise PolicyLoadError("something follows the end of the archive")
            if padding > BUNDLE_PADDING_BYTES_MAX:
                raise PolicyLoadError("too many zeros after the end of the archive")

    def _file(self, raw: str, size: int) -> Entry:
        name = normal(raw)
        if name in self._seen:
            raise PolicyLoadError("stands twice in the archive", file=name)
        self._seen.add(name)
        allowed = bytes_max(name)
        if size > allowed:
            raise PolicyLoadError(f"{size} bytes; {allowed} are allowed", file=name)
        self._total += size
        if self._total > BUNDLE_CONTENT_BYTES_MAX:
            raise PolicyLoadError(
                f"more than {BUNDLE_CONTENT_BYTES_MAX} bytes unpacked", file=name
            )
        return Entry(name, self._content(size))

    def _folder(self, raw: str, size: int) -> None:
        if raw not in _TOP:
            normal(raw.removesuffix("/"))
        if size:
            raise PolicyLoadError("a folder with a content", file=raw)

    def _extension(self, kind: bytes, size: int) -> str:
        """Return the name that an extension gives to the next entry, if it does."""
        if size > BUNDLE_TAR_EXTRA_BYTES_MAX:
            raise PolicyLoadError(f"an extended header of {size} bytes")
        content = self._content(size)
        if kind == _GNU_NAME:
            return _text(content.removesuffix(b"\0"))
        name = ""
        for key, value in _records(content):
            if key == "path" and kind == _EXTENDED and not name:
                name = value
            elif key not in _HARMLESS:
                raise PolicyLoadError(f"an extended header with {key!r}")
        return name

    def _content(self, size: int) -> bytes:
        content = self._plain.take(size)
        if len(content) < size:
            raise PolicyLoadError("the archive is cut off")
        rest = -size % BLOCK
        if len(self._plain.take(rest)) < rest:
            raise PolicyLoadError("the archive is cut off")
        return content

    def _block(self) -> bytes:
        block = self._plain.take(BLOCK)
        if len(block) < BLOCK:
            if self._plain.total < BLOCK:
                raise PolicyLoadError("not a tar archive")
            raise PolicyLoadError("the archive is cut off")
        return block


def _check_sum(header: bytes) -> None:
    """Return if the header's checksum holds; that is also what makes it a tar."""
    wanted = _number(header[148:156])
    if wanted != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
        raise PolicyLoadError("not a tar archive, or a damaged one")


def _own_name(header: bytes) -> str:
    name = _text(header[:100].split(b"\0", 1)[0])
    prefix = header[345:500].split(b"\0", 1)[0]
    posix = header[257:263] == b"ustar\0"
    return f"{_text(prefix)}/{name}" if posix and prefix else name


def _records(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield key and value of each record `LENGTH KEY=VALUE` and a newline."""
    while content:
        length, _, _ = content.partition(b" ")
        if not (length.isdigit() and 0 < len(length) <= 6):  # noqa: PLR2004 - digits of 64 KiB and one to spare
            _bad_extension()
        record, content = content[: int(length)], content[int(length) :]
        key, equals, value = record[len(length) + 1 : -1].partition(b"=")
        if len(record) != int(length) or not equals or record[-1:] != b"\n":
            _bad_extension()
        yield _text(key), _text(value)


def _bad_extension() -> NoReturn:
    raise PolicyLoadError("an extended header that cannot be read")


def _number(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise PolicyLoadError("not a tar archive, or a size that cannot be read")
    return int(digits, 8)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise PolicyLoadError(f"a name that is not UTF-8: {raw[:80]!r}") from None
