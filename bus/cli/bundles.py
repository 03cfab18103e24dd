"""The work of `assent bundle`: files and keys that a command names."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bus.adapters.clock import SystemClock
from bus.cli.output import complain, emit, fail, say, table
from bus.core.errors import ConfigurationError, PolicyLoadError
from policy import engine, loading
from policy.bundle import Bundle
from policy.bundles import keys as policy_keys, lastgood, opening
from policy.bundles.keys import SigningKey, VerificationKey
from policy.bundles.lifecycle import DIGEST, Entry, Lifecycle, Standing
from policy.bundles.opening import Inspection, Opened
from policy.bundles.signatures import Keys
from policy.bundles.states import ACTIVE, Event, State, advance

_NS_PER_S: Final = 1_000_000_000
_NO_ENTRY: Final = f"there is no rule {loading.ENTRY}"


def read(file: str) -> bytes:
    """Return a bundle's bytes; raises `PolicyLoadError`."""
    content = lastgood.read_file(Path(file), "bundle")
    if content is None:
        raise PolicyLoadError("no such file", file=file)
    return content


def write(path: Path, content: bytes) -> None:
    """Write a bundle in one step: whoever reads it sees the old one or the new one."""
    lastgood.replace(path, content, mode=0o644)


def signing_key(file: str, key_id: str, scope: str) -> SigningKey:
    """Return the private key of a file; raises `ConfigurationError`."""
    pem = policy_keys.read_pem(Path(file))
    return SigningKey(policy_keys.made_for(pem, file), pem, key_id, scope)


def keys(file: str | None, key_id: str, scope: str) -> Keys:
    """Return the public key of a file under its id, or no keys."""
    if file is None:
        return {}
    pem = policy_keys.read_pem(Path(file))
    return {key_id: VerificationKey(policy_keys.made_for(pem, file), pem, scope)}


def is_part(content: bytes) -> bool:
    """Tell whether a bundle has no entry rule, so that another one has to bring it.

    Raises:
        PolicyLoadError: its rules do not parse.
    """
    return _is_part(opening.read_archive(content).bundle)


def tell_written(
    output: str, content: bytes, *, part: bool | None = None, as_json: bool
) -> None:
    """Tell of a bundle that was written."""
    found = opening.inspect(content)
    document: dict[str, Any] = {
        "ok": True,
        "file": output,
        "bytes": len(content),
        "revision": found.revision,
        "digest": found.digest,
        "declared": found.manifest.revision,
        "signed": found.claimed is not None,
    }
    if part is not None:
        document["part"] = part

    def show() -> None:
        named = _named(found.manifest.revision, found.revision)
        say(f"{output}: {len(content)} bytes, {named}")
        if part:
            say(f"part of a policy: {_NO_ENTRY}")

    emit(document, show, as_json=as_json)


def tell_verified(file: str, known: Keys, *, part: bool, as_json: bool) -> None:
    """Check a bundle and tell of it; a refusal fails the command.

    Of a bundle that is part of a policy the rules are only parsed.
    """
    content = read(file)
    try:
        opened = _verified(content, known, file, part=part)
    except PolicyLoadError as error:
        complain(str(error))
        document = {"ok": False, "reason": error.reason, "file": error.file}
        emit(document, lambda: None, as_json=as_json)
        fail()
    bundle = opened.bundle
    emit(
        {
            "ok": True,
            "revision": bundle.revision,
            "digest": bundle.digest,
            "declared": bundle.declared,
            "signature": opened.signature,
            "ignored": opened.ignored,
        },
        lambda: _show_verified(opened),
        as_json=as_json,
    )


def _verified(content: bytes, known: Keys, file: str, *, part: bool) -> Opened:
    opened = opening.read_archive(content, known, name=file)
    claimed = opening.inspect(content).claimed
    if claimed is not None and claimed.key_id and claimed.key_id not in known:
        raise PolicyLoadError(
            f"signed by key {claimed.key_id!r}, not by {', '.join(map(repr, known))}: "
            "say which with --key-id",
            file=file,
        )
    try:
        _load(opened.bundle, part=part)
    except PolicyLoadError as error:
        place = f"{file}: {error.file}" if error.file else file
        raise PolicyLoadError(error.reason, file=place, line=error.line) from None
    return opened


def _load(bundle: Bundle, *, part: bool) -> None:
    """Load a bundle as the bus would, or only parse one that is a part."""
    lacking = _is_part(bundle)
    if part:
        return
    if lacking:
        raise PolicyLoadError(f"{_NO_ENTRY}; --part is for one of several bundles")
    loading.build(bundle)


def _is_part(bundle: Bundle) -> bool:
    if not bundle.sources:
        return True
    entry = tuple(loading.ENTRY.split("."))
    return entry not in engine.parsed(bundle.sources).rules


def _named(declared: str, revision: str) -> str:
    return (
        f"declared {declared}, revision {revision}"
        if declared
        else f"revision {revision}"
    )


def _show_verified(opened: Opened) -> None:
    signature = opened.signature
    by = "not signed, and no key was given"
    if signature is not None:
        by = f"signed by key {signature.key_id} ({signature.algorithm})"
    say(f"{_named(opened.bundle.declared, opened.bundle.revision)}, {by}")
    for name in opened.ignored:
        say(f"{name}: means nothing to an engine")


def show(found: Inspection) -> None:
    """Print what a bundle says of itself."""
    claimed = found.claimed
    by = "no" if claimed is None else f"by {claimed.key_id!r}, {claimed.algorithm}"
    roots = ", ".join(root or "everything" for root in found.manifest.roots)
    table(
        ("bundle", "says"),
        [
            ("revision", _named(found.manifest.revision, found.revision)),
            ("digest", found.digest),
            ("roots", roots),
            ("signed (unproven)", by),
            *((file.name, f"{file.bytes} bytes") for file in found.files),
        ],
    )


def standing(
    named: str, record: Path, *, event: str | None, who: str, reason: str
) -> Standing:
    """Return where a revision is, after the event where there is one.

    Raises:
        PolicyLoadError: there is no such bundle, or no such record to look it up in.
        IllegalTransitionError: the event is not possible.
    """
    happened = None if event is None else event_of(event)
    if not record.exists():
        if happened is None:
            raise PolicyLoadError("no such record of states", file=str(record))
        advance(State.ABSENT, happened)  # before an empty record is made
    digest, declared = named, ""
    if DIGEST.fullmatch(named) is None:
        found = opening.inspect(read(named))
        digest, declared = found.digest, found.manifest.revision
    lifecycle = Lifecycle(record, now_ns=SystemClock.now_ns)
    if happened is not None:
        lifecycle.record(digest, happened, who=who, reason=reason, declared=declared)
    return lifecycle.standing(digest)


def event_of(name: str) -> Event:
    """Return the event of this name; raises `ConfigurationError`."""
    try:
        return Event(name)
    except ValueError:
        raise ConfigurationError(
            f"no event {name!r}; there are {', '.join(Event)}"
        ) from None


def is_active(standing: Standing) -> bool:
    """Tell whether the revision may be in force."""
    return standing.state in ACTIVE


def at(entry: Entry) -> str:
    """Return when an entry was made, in UTC."""
    return datetime.fromtimestamp(entry.at_ns // _NS_PER_S, UTC).isoformat()
