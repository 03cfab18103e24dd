"""Bundles on disk, packed or unpacked, as the source of the policy in force.

Rule: they are read together, checked with the keys and, where there is a record of
states, only put in force as far as that allows. Implements `policy.loading.PolicySource`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bus.core.errors import PolicyLoadError, UsageError
from policy import loading
from policy.bundle import Bundle
from policy.bundles import build, lastgood, opening
from policy.bundles.lifecycle import Lifecycle
from policy.bundles.opening import Opened
from policy.bundles.signatures import Keys
from policy.pacing import Steps

_Fingerprint = tuple[tuple[str, int, int, int], ...]
_GONE: Final = (0, -1, 0)


class BundleFiles:
    """A policy kept in bundles: archives or folders, each with roots of its own.

    Every bundle must be signed by one of `keys`; where that is empty, none may be.
    `lifecycle` is asked for each bundle by itself.
    """

    __slots__ = ("_keys", "_lifecycle", "_paths", "_seen")

    def __init__(
        self, paths: Sequence[Path], keys: Keys, *, lifecycle: Lifecycle | None = None
    ) -> None:
        if not paths:
            raise UsageError("no bundle is named")
        self._paths = tuple(paths)
        self._keys = dict(keys)
        self._lifecycle = lifecycle
        self._seen: _Fingerprint | str | None = None

    def read(self) -> Bundle:
        """Read and check all of them.

        Raises:
            PolicyLoadError: one of them is refused, or they do not go together.
            ConfigurationError: a key is not one, or a package for it is missing.
        """
        # Taken first: what is written while we read is then seen as a change.
        self._seen = self._look()
        return self._read()

    def building(
        self, bundle: Bundle, before: loading.Policy | None = None
    ) -> Steps[loading.Policy]:
        """Make a policy of what was read."""
        return loading.building(bundle, before)

    def changed(self, revision: str) -> bool:
        """Look at the files' times and sizes, and read them only where these differ."""
        found = self._look()
        if found == self._seen:
            return False
        try:
            if self._read().revision != revision:
                return True
        except PolicyLoadError:
            return True
        self._seen = found
        return False

    def opened(self) -> tuple[tuple[str, Opened], ...]:
        """Return each bundle with its name; raises like `read`."""
        return tuple((str(path), self._open(path)) for path in self._paths)

    def _read(self) -> Bundle:
        opened = self.opened()
        if self._lifecycle is not None:
            for name, one in opened:
                require_active(self._lifecycle, name, one.bundle.digest)
        return opening.combined(opened)

    def _open(self, path: Path) -> Opened:
        if path.is_dir():
            return build.read_folder(path, self._keys)
        content = lastgood.read_file(path, "bundle")
        if content is None:
            raise PolicyLoadError("no such file or folder", file=str(path))
        return opening.read_archive(content, self._keys, name=str(path))

    def _look(self) -> _Fingerprint | str:
        """Return what changes with the files, or why that cannot be told."""
        try:
            files = [file for path in self._paths for file in _in(path)]
        except PolicyLoadError as error:
            return str(error)
        if self._lifecycle is not None:
            files.append(self._lifecycle.path)
        return tuple(_stamped(file) for file in files)


def require_active(lifecycle: Lifecycle, name: str, digest: str) -> None:
    """Return if the bundle called `name` may be put in force.

    Raises:
        PolicyLoadError: its state does not allow it, or the record is damaged.
    """
    try:
        lifecycle.require_active(digest)
    except PolicyLoadError as error:
        place = error.file or name
        raise PolicyLoadError(error.reason, file=place, line=error.line) from None


def _in(path: Path) -> Sequence[Path]:
    return list(build.files_of(path)) if path.is_dir() else [path]


def _stamped(path: Path) -> tuple[str, int, int, int]:
    try:
        told = path.stat()
    except OSError:
        return (str(path), *_GONE)
    return str(path), told.st_mtime_ns, told.st_size, told.st_ino
