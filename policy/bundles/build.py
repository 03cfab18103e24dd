"""A folder becomes a bundle, and a bundle a signed one.

Rule: what is built is what the reader takes, to the last check, and nothing of a folder
but the names and contents of its files is in the bytes.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from bus.core.errors import PolicyLoadError
from bus.core.policylimits import BUNDLE_ENTRIES_MAX
from policy.bundles import archive, manifest as manifests, opening, paths, signatures
from policy.bundles.archive import Entry
from policy.bundles.keys import SigningKey
from policy.bundles.manifest import Manifest
from policy.bundles.signatures import Keys


def build(
    folder: Path,
    *,
    revision: str | None = None,
    roots: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> bytes:
    """Return an unsigned bundle of a folder's policy and data.

    What is not given is taken from the folder's `.manifest`, where there is one. Tests,
    hidden files and anything that is neither Rego nor data are left out.

    Raises:
        PolicyLoadError: it would be refused when it is read.
    """
    entries = [e for e in of_folder(folder) if e.name != paths.SIGNATURES]
    manifest = next(
        (manifests.parse(e.content) for e in entries if e.name == paths.MANIFEST),
        Manifest(),
    )
    changes: dict[str, Any] = {
        "revision": revision,
        "roots": None if roots is None else tuple(root.strip("/") for root in roots),
        "metadata": None if metadata is None else dict(metadata),
    }
    given = {name: value for name, value in changes.items() if value is not None}
    made = Entry(paths.MANIFEST, encoded(msgspec.structs.replace(manifest, **given)))
    kept = [e for e in entries if paths.is_rego(e.name) or paths.is_data(e.name)]
    content = archive.write([*kept, made])
    opening.read_archive(content)
    return content


def sign(content: bytes, key: SigningKey) -> bytes:
    """Return a bundle with a signature, in the place of the one it may have.

    Raises:
        PolicyLoadError: the bundle would be refused when it is read.
        ConfigurationError: the key is not one, or a package for it is missing.
    """
    entries = [e for e in archive.read(content) if e.name != paths.SIGNATURES]
    opening.read_entries(entries, opening.NO_KEYS)
    return archive.write([*entries, signatures.sign(entries, key)])


def read_folder(folder: Path, keys: Keys = opening.NO_KEYS) -> opening.Opened:
    """Return the bundle that lies unpacked in a folder; raises like `read_archive`."""
    return opening.read_entries(list(of_folder(folder)), keys)


def encoded(manifest: Manifest) -> bytes:
    """Return a manifest as OPA takes it: one that says nothing of wasm."""
    told: dict[str, Any] = {
        "revision": manifest.revision,
        "roots": manifest.roots,
        "rego_version": manifest.rego_version,
    }
    if manifest.file_rego_versions:
        told["file_rego_versions"] = manifest.file_rego_versions
    if manifest.metadata:
        told["metadata"] = manifest.metadata
    return msgspec.json.encode(told, order="deterministic")


def of_folder(folder: Path) -> Iterator[Entry]:
    """Yield the files below a folder that a bundle may have, in a fixed order.

    Raises:
        PolicyLoadError: as for `files_of`, or a file that is too long or cannot be read.
    """
    for path in files_of(folder):
        name = paths.normal(path.relative_to(folder).as_posix())
        yield Entry(name, _content(path, paths.bytes_max(name)))


def files_of(folder: Path) -> Iterator[Path]:
    """Yield the paths of these files.

    Raises:
        PolicyLoadError: no folder, one that cannot be listed, a link, something that is
            no file, or too many.
    """
    if not folder.is_dir():
        raise PolicyLoadError("no such folder", file=str(folder))
    for count, path in enumerate(_walk(folder)):
        if count >= BUNDLE_ENTRIES_MAX:
            raise PolicyLoadError(
                f"more than {BUNDLE_ENTRIES_MAX} files", file=str(folder)
            )
        yield path


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        top = Path(place) == folder
        for name in [*folders, *sorted(names)]:
            path = Path(place) / name
            own = top and name in (paths.MANIFEST, paths.SIGNATURES)
            if name in names and not (own or _belongs(name)):
                continue
            if path.is_symlink():
                raise PolicyLoadError("a link is not followed", file=str(path))
            if name in names:
                if not path.is_file():
                    raise PolicyLoadError("is no file", file=str(path))
                yield path


def _belongs(name: str) -> bool:
    visible = not name.startswith(".")
    return visible and (name.endswith(".rego") or paths.is_data(name))


def _content(path: Path, allowed: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(allowed + 1)
    except OSError as error:
        raise PolicyLoadError(
            f"cannot be read: {error.strerror}", file=str(path)
        ) from None
    if len(content) > allowed:
        raise PolicyLoadError(f"more than {allowed} bytes", file=str(path))
    return content


def _raise(error: OSError) -> NoReturn:
    """Raise: a folder that cannot be listed may not be left out in silence."""
    raise PolicyLoadError(
        f"cannot be listed: {error.strerror}", file=str(error.filename)
    ) from None
