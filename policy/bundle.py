"""Policy files and data read from where they are kept, and the revision they make.

Rule: everything that can change a decision is in the revision, and nothing outside
the folder gets in through a link. Files named `*_test.rego` are no part of a policy.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_DATA_BYTES_MAX, POLICY_FILES_MAX
from bus.core.policylimits import POLICY_SLICE_BYTES
from policy import areas, data as policy_data, slicing, source
from policy.pacing import breathe
from policy.sliced import SlicedData, written
from policy.source import Source

BUILT_IN: Final = Path(__file__).with_name("rego") / "assent"
DATA_NAMES: Final = ("data.json", "data.toml")
TEST_SUFFIX: Final = "_test.rego"
_REVISION_CHARS: Final = 16
_HASHED_BYTES_EACH: Final = 512  # what hashing a slice costs, as if it were text
_FIXED_TEXT: Final = 0xA0  # MessagePack's headers of a text: the length, then its bytes
_FIXED_MAX: Final = 31
_SIZED_TEXTS: Final = ((0xD9, 1), (0xDA, 2), (0xDB, 4))

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""(path, mtime_ns, size, inode) of every file."""


class Bundle(msgspec.Struct, frozen=True, dict=True):
    """Policies and data as they were read together; `data_name` is for errors.

    `declared` is the revision that a bundle's manifest gives itself. It is shown beside
    the revision and never instead of it: two contents may declare the same. What is
    made of the contents is made once: nobody changes `data`.
    """

    sources: tuple[Source, ...]
    data: Mapping[str, Any]
    data_name: str
    built_in: bool
    declared: str = ""

    @cached_property
    def sliced(self) -> SlicedData:
        """The data as text in slices."""
        if isinstance(self.data, SlicedData):
            return self.data
        return slicing.of_mapping(self.data_name, self.data)

    @property
    def data_json(self) -> str:
        """The data as JSON, the same text for the same data."""
        return "".join(written(self.sliced.slices))

    @cached_property
    def digest(self) -> str:
        """64 hex digits of SHA-256 over all names, texts and data."""
        files = sorted((file.name, file.text) for file in self.sources)
        # MessagePack of (files, data_json), without holding the second as one text.
        content = msgspec.msgpack.encode((files, ""))[:-1]
        made = hashlib.sha256(content)
        data = [piece.encode() for piece in written(self.sliced.slices)]
        made.update(_text_header(sum(map(len, data))))
        for piece in data:
            made.update(piece)
            breathe(_HASHED_BYTES_EACH)
        return made.hexdigest()

    @property
    def revision(self) -> str:
        """The first 16 digits of the digest: enough to name it, not to vouch for it."""
        return self.digest[:_REVISION_CHARS]


class Origin(msgspec.Struct, frozen=True):
    """Where a bundle comes from: a folder or the built-in policy, and the data.

    `data` is a file, the data itself, or None for `data.json|toml` in the folder.
    `areas` of the library join the built-in policy; a folder has its own rules.
    """

    data: Mapping[str, Any] | Path | None = None
    folder: Path | None = None
    areas: tuple[str, ...] = ()

    def read(self) -> Bundle:
        """Read all of it.

        Raises:
            PolicyLoadError: something is missing, past a bound, or not valid.
        """
        folder = self.folder or BUILT_IN
        sources = list(read_folder(folder))
        for place in self._area_folders():
            sources += (
                Source(f"{place.name}/{file.name}", file.text)
                for file in read_folder(place)
            )
        name, found = self._data(folder)
        if self.folder is None:
            found = areas.completed(found, self.areas)
            areas.check_data(name, found, self.areas)
        return Bundle(tuple(sources), found, name, built_in=self.folder is None)

    def fingerprint(self) -> Fingerprint:
        """Return what changes when a file is written, without reading one.

        Raises:
            PolicyLoadError: as for `files_of`.
        """
        folder = self.folder or BUILT_IN
        paths = [*files_of(folder)]
        for place in self._area_folders():
            paths += files_of(place)
        paths += areas.data_files(self.areas)
        if isinstance(self.data, Path):
            paths.append(self.data)
        else:
            paths += [folder / name for name in DATA_NAMES]
        return tuple(_stamped(path) for path in paths)

    def _area_folders(self) -> list[Path]:
        if self.areas and self.folder is not None:
            raise PolicyLoadError(
                "areas join the built-in policy only: copy the folders of the areas "
                f"{', '.join(self.areas)} into your own",
                file=str(self.folder),
            )
        areas.check_names(self.areas)
        return areas.folders(self.areas)

    def _data(self, folder: Path) -> tuple[str, SlicedData]:
        if isinstance(self.data, Mapping):
            return "data", policy_data.sliced("data", self.data)
        path = self.data
        if path is None:
            with _refusing(folder):
                path = _only_data_file(folder)
        text = source.read(str(path), path, bytes_max=POLICY_DATA_BYTES_MAX)
        breathe(POLICY_SLICE_BYTES)
        return str(path), policy_data.read(str(path), text)


def read_folder(folder: Path, *, tests: bool = False) -> Iterator[Source]:
    """Yield the policy files below a folder, named relative to it.

    Raises:
        PolicyLoadError: no folder, too many files, a link that leads out, or a file
            that cannot be read.
    """
    for path in files_of(folder, tests=tests):
        name = path.relative_to(folder).as_posix()
        text = source.read(name, path)
        yield Source(name, text)
        breathe(len(text))


def files_of(folder: Path, *, tests: bool = False) -> list[Path]:
    """Return the policy files below a folder in a fixed order; hidden ones are left out.

    Raises:
        PolicyLoadError: no folder, one that cannot be listed, too many files, or a
            link that leads out or in a circle.
    """
    with _refusing(folder):
        return _files_of(folder, tests=tests)


def _files_of(folder: Path, *, tests: bool) -> list[Path]:
    if not folder.is_dir():
        raise PolicyLoadError("no such folder", file=str(folder))
    inside = _resolved(folder)
    found: list[Path] = []
    for path in _walk(folder):
        if path.name.endswith(TEST_SUFFIX) and not tests:
            continue
        if not _resolved(path).is_relative_to(inside):
            raise PolicyLoadError("a link out of the folder", file=str(path))
        found.append(path)
        if len(found) > POLICY_FILES_MAX:
            raise PolicyLoadError(
                f"more than {POLICY_FILES_MAX} policy files", file=str(folder)
            )
    return found


@contextmanager
def _refusing(place: Path) -> Iterator[None]:
    """Turn what the file system will not do into a refusal."""
    try:
        yield
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else str(place)
        reason = error.strerror or str(error)
        raise PolicyLoadError(reason, file=named) from error


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError as error:  # what pathlib makes of such links before Python 3.13
        raise PolicyLoadError("links that lead in a circle", file=str(path)) from error


def _raise(error: OSError) -> NoReturn:
    """Raise: a folder that cannot be listed may not be left out in silence."""
    raise error


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (Path(place) / name).is_symlink():
                raise PolicyLoadError(
                    "a linked folder is not followed", file=str(Path(place) / name)
                )
        yield from (Path(place) / n for n in sorted(names) if n.endswith(".rego"))


def _only_data_file(folder: Path) -> Path:
    found = [folder / name for name in DATA_NAMES if (folder / name).exists()]
    if len(found) != 1:
        wanted = " or ".join(DATA_NAMES)
        problem = "both" if found else "neither"
        raise PolicyLoadError(
            f"one of {wanted} is needed where no data is named; there is {problem}",
            file=str(folder),
        )
    if not _resolved(found[0]).is_relative_to(_resolved(folder)):
        raise PolicyLoadError("a link out of the folder", file=str(found[0]))
    return found[0]


def _text_header(size: int) -> bytes:
    """Return what MessagePack writes before a text of `size` bytes."""
    if size <= _FIXED_MAX:
        return bytes([_FIXED_TEXT | size])
    tag, width = next(
        (tag, width) for tag, width in _SIZED_TEXTS if size < 1 << 8 * width
    )
    return bytes([tag]) + size.to_bytes(width, "big")


def _stamped(path: Path) -> tuple[str, int, int, int]:
    try:
        told = path.stat()
    except OSError:
        return str(path), 0, -1, 0  # not there: different from any that is
    return str(path), told.st_mtime_ns, told.st_size, told.st_ino
