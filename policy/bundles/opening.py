"""Files of a bundle become a policy bundle: signature first, then what they say.

Rule: nothing of a bundle is believed before its signature holds, and one fault refuses
all of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_FILES_MAX
from bus.core.policylimits import BUNDLES_MAX
from policy import data as policy_data, source
from policy.bundle import Bundle
from policy.bundles import archive, documents, manifest as manifests, paths, signatures
from policy.bundles.archive import Entry
from policy.bundles.manifest import Manifest
from policy.bundles.signatures import Keys, Signature
from policy.source import Source

NO_KEYS: Final[Keys] = {}


class Opened(msgspec.Struct, frozen=True):
    """A bundle that was checked. `ignored` are files that mean nothing to an engine."""

    bundle: Bundle
    manifest: Manifest
    signature: Signature | None
    ignored: tuple[str, ...]


class Listed(msgspec.Struct, frozen=True):
    """A file as `inspect` shows it."""

    name: str
    bytes: int


class Inspection(msgspec.Struct, frozen=True):
    """What a bundle says of itself. Nothing of it is proven, its signature least."""

    manifest: Manifest
    files: tuple[Listed, ...]
    claimed: Signature | None
    digest: str
    revision: str


def read_archive(content: bytes, keys: Keys = NO_KEYS, *, name: str = "") -> Opened:
    """Return the bundle of an archive's bytes, checked with these keys.

    With no keys only an unsigned bundle is taken, with keys only a signed one.

    Raises:
        PolicyLoadError: whatever is wrong with it; `name` goes before what it says.
        ConfigurationError: a key is not one, or a package for it is missing.
    """
    try:
        return read_entries(archive.read(content), keys)
    except PolicyLoadError as error:
        raise _named(name, error) from None


def read_entries(entries: Sequence[Entry], keys: Keys) -> Opened:
    """Return the bundle of these files; raises like `read_archive`."""
    signature = signatures.verify(entries, keys)
    return _opened(entries, signature)


def verify(content: bytes, keys: Keys) -> Signature:
    """Return whose signature holds for all of the bundle; raises like `read_archive`."""
    signature = read_archive(content, keys).signature
    if signature is None:
        raise PolicyLoadError(
            "the bundle is not signed, and there is no key to ask for"
        )
    return signature


def inspect(content: bytes) -> Inspection:
    """Return what a bundle says, signed or not, without a key.

    Raises:
        PolicyLoadError: it would be refused under any key.
    """
    entries = archive.read(content)
    signed = [entry for entry in entries if entry.name == paths.SIGNATURES]
    claimed = signatures.claimed_by(signed[0])[0] if signed else None
    opened = _opened(entries, None)
    listed = tuple(Listed(entry.name, len(entry.content)) for entry in entries)
    bundle = opened.bundle
    return Inspection(opened.manifest, listed, claimed, bundle.digest, bundle.revision)


def combined(opened: Sequence[tuple[str, Opened]]) -> Bundle:
    """Return several named bundles as one policy.

    Raises:
        PolicyLoadError: too many, roots of two that overlap, or together too much.
    """
    if not 0 < len(opened) <= BUNDLES_MAX:
        raise PolicyLoadError(f"{len(opened)} bundles; 1 to {BUNDLES_MAX} are taken")
    if len(opened) == 1:
        return opened[0][1].bundle
    manifests.disjoint([(name, one.manifest.owned) for name, one in opened])
    data: dict[str, Any] = {}
    sources: list[Source] = []
    declared: list[str] = []
    for name, one in opened:
        _merge(data, one.bundle.data, name)
        sources += [Source(f"{name}/{s.name}", s.text) for s in one.bundle.sources]
        if one.bundle.declared:
            declared.append(f"{name}={one.bundle.declared}")
    _check_count(sources)
    named = ",".join(declared)
    together = policy_data.sliced("data", data)
    return Bundle(tuple(sources), together, "data", built_in=False, declared=named)


def _opened(entries: Sequence[Entry], signature: Signature | None) -> Opened:
    manifest = _manifest(entries)
    sources: list[Source] = []
    data: dict[str, Any] = {}
    ignored: list[str] = []
    for entry in entries:
        if paths.is_rego(entry.name):
            sources.append(Source(entry.name, source.decode(entry.name, entry.content)))
        elif paths.is_data(entry.name):
            _insert(data, entry)
        elif entry.name not in (paths.MANIFEST, paths.SIGNATURES):
            ignored.append(entry.name)
    _check_count(sources)
    manifests.check_inside(manifest.owned, sources, data)
    accepted = policy_data.sliced("data", data)
    bundle = Bundle(
        tuple(sources), accepted, "data", built_in=False, declared=manifest.revision
    )
    return Opened(bundle, manifest, signature, tuple(ignored))


def _manifest(entries: Iterable[Entry]) -> Manifest:
    for entry in entries:
        if entry.name == paths.MANIFEST:
            return manifests.parse(entry.content)
    return Manifest()


def _insert(data: dict[str, Any], entry: Entry) -> None:
    """Put what a file says where its folder says."""
    said = documents.parse(entry.name, entry.content)
    for step in reversed(paths.folder(entry.name)):
        said = {step: said}
    if not isinstance(said, dict):
        raise PolicyLoadError("data is an object at the top", file=entry.name)
    _merge(data, said, entry.name)


def _merge(data: dict[str, Any], more: Mapping[str, Any], name: str) -> None:
    """Add to data in place what more there is; two objects become one."""
    waiting: list[tuple[dict[str, Any], Mapping[str, Any], str]] = [(data, more, "")]
    while waiting:
        into, added, place = waiting.pop()
        for key, value in added.items():
            where = f"{place}/{key}"
            if key not in into:
                into[key] = value
            elif isinstance(into[key], dict) and isinstance(value, Mapping):
                into[key] = dict(into[key])  # it may be another bundle's
                waiting.append((into[key], value, where))
            else:
                raise PolicyLoadError(f"data at {where} is there already", file=name)


def _check_count(sources: Sequence[Source]) -> None:
    if len(sources) > POLICY_FILES_MAX:
        raise PolicyLoadError(f"more than {POLICY_FILES_MAX} policy files")


def _named(name: str, error: PolicyLoadError) -> PolicyLoadError:
    """Return the error with the bundle's name before that of the file in it."""
    place = f"{name}: {error.file}" if name and error.file else name or error.file
    return PolicyLoadError(error.reason, file=place, line=error.line)
