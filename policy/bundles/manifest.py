"""The manifest: what a bundle says of itself, and the roots it may not leave.

Rule: an unknown field is refused, because it could be one that we ought to heed. A root
holds what is at and below it; two that overlap have no owner.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from bus.core.errors import PolicyLoadError
from bus.core.policylimits import BUNDLE_REVISION_CHARS_MAX, BUNDLE_ROOTS_MAX
from policy.bundles import documents
from policy.bundles.paths import MANIFEST
from policy.forms import FormError, fit
from policy.source import Source

Path = tuple[str, ...]

_REGO_V1: Final = 1
_PACKAGE: Final = re.compile(
    r"(?:\s|\#[^\n]*(?:\n|$))*package\s+(?P<path>[A-Za-z_]\w*"
    r"""(?:\.[A-Za-z_]\w*|\["[^"\\\n]*"\])*)[ \t\r]*(?:\#[^\n]*)?(?:\n|$)""",
    re.ASCII,
)
_STEP: Final = re.compile(r"""\["(?P<quoted>[^"]*)"\]|(?P<plain>\w+)""", re.ASCII)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `.manifest` as OPA writes it. Without roots a bundle owns everything."""

    revision: Annotated[str, Meta(max_length=BUNDLE_REVISION_CHARS_MAX)] = ""
    roots: Annotated[tuple[str, ...], Meta(max_length=BUNDLE_ROOTS_MAX)] = ("",)
    rego_version: int = _REGO_V1
    file_rego_versions: dict[str, int] = {}
    wasm: list[Any] = []
    metadata: dict[str, Any] = {}

    @property
    def owned(self) -> tuple[Path, ...]:
        """The roots as paths; the empty path is everything."""
        return tuple(path_of(root) for root in self.roots)


def parse(content: bytes) -> Manifest:
    """Return the manifest of these bytes.

    Raises:
        PolicyLoadError: not a manifest, for another language version, or roots that
            overlap or are no paths.
    """
    found = documents.parse(MANIFEST, content)
    try:
        manifest = fit(found, Manifest)
    except FormError as error:
        raise PolicyLoadError(str(error), file=MANIFEST) from None
    check(manifest)
    return manifest


def check(manifest: Manifest) -> None:
    """Return if the manifest is one we can honour; raises like `parse`."""
    if manifest.wasm:
        raise PolicyLoadError(
            "wasm: compiled WebAssembly, which nobody can review; bundle the Rego",
            file=MANIFEST,
        )
    if not manifest.revision.isprintable():
        raise PolicyLoadError("revision: has a control character", file=MANIFEST)
    versions = {manifest.rego_version, *manifest.file_rego_versions.values()}
    if versions != {_REGO_V1}:
        raise PolicyLoadError("rego_version: only 1 is taken", file=MANIFEST)
    disjoint(((MANIFEST, manifest.owned),))


def path_of(root: str) -> Path:
    """Return a root such as `acme/roles` as its steps; slashes around it do not count.

    Raises:
        PolicyLoadError: an empty step, `.` or `..`.
    """
    bare = root.strip("/")
    steps = tuple(bare.split("/")) if bare else ()
    if any(step in ("", ".", "..") for step in steps) or not bare.isprintable():
        raise PolicyLoadError(f"roots: {root!r} is no path", file=MANIFEST)
    return steps


def disjoint(owners: Sequence[tuple[str, Sequence[Path]]]) -> None:
    """Return if no root is at, above or below another one, of whichever owner.

    Raises:
        PolicyLoadError: naming both.
    """
    owned: dict[Path, str] = {}
    for owner, roots in owners:
        for root in roots:
            if root in owned:
                _overlap(root, owned[root], root, owner)
            owned[root] = owner
    for root, owner in owned.items():
        for length in range(len(root)):
            if root[:length] in owned:
                _overlap(root[:length], owned[root[:length]], root, owner)


def _overlap(first: Path, its: str, second: Path, others: str) -> None:
    raise PolicyLoadError(
        f"roots overlap: {'/'.join(first)!r} of {its} and "
        f"{'/'.join(second)!r} of {others}"
    )


def check_inside(
    roots: Sequence[Path], sources: Sequence[Source], data: Mapping[str, Any]
) -> None:
    """Return if every package and all data are at or below a root.

    Raises:
        PolicyLoadError: naming the file or the path of the data that is not.
    """
    for file in sources:
        package = package_of(file)
        if not _inside(roots, package):
            where = "/".join(package)
            raise PolicyLoadError(
                f"package {where} is outside the roots of its bundle", file=file.name
            )
    for path in _outside(roots, data):
        where = "/".join(path)
        raise PolicyLoadError(f"data at {where!r} is outside the roots of its bundle")


def package_of(file: Source) -> Path:
    """Return the path of a file's package.

    Raises:
        PolicyLoadError: it does not begin with a package in plain form.
    """
    found = _PACKAGE.match(file.text)
    if found is None:
        raise PolicyLoadError("does not begin with a package", file=file.name, line=1)
    return tuple(
        step["plain"] if step["quoted"] is None else step["quoted"]
        for step in _STEP.finditer(found["path"])
    )


def _inside(roots: Sequence[Path], path: Path) -> bool:
    return any(path[: len(root)] == root for root in roots)


def _outside(roots: Sequence[Path], data: Mapping[str, Any]) -> Iterator[Path]:
    """Yield where the data has something that no root holds; objects above roots pass."""
    above = {root[:length] for root in roots for length in range(len(root))}
    waiting: list[tuple[Path, Any]] = [((), data)]
    while waiting:
        path, value = waiting.pop()
        if _inside(roots, path):
            continue
        if isinstance(value, Mapping) and (path in above or not path):
            waiting.extend(((*path, key), below) for key, below in value.items())
        else:
            yield path
