"""Who did what with which revision, and when: a file that is only ever added to.

Rule: an entry is on disk before it counts, each holds the hash of the one before, and
nobody approves what he drafted or submitted. Revisions go by their whole digest.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from bus.core.errors import DeniedError, MalformedMessageError, PolicyLoadError
from bus.core.names import check_name
from bus.core.policylimits import (
    BUNDLE_REASON_CHARS_MAX,
    BUNDLE_RECORD_BYTES_MAX,
    BUNDLE_REVISION_CHARS_MAX,
)
from policy.bundles.lastgood import sync_folder
from policy.bundles.states import ACTIVE, Event, State, advance

DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_START: Final = "0" * 64
_MODE: Final = 0o600
_SHOWN: Final = 16


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the record; `at_ns` is wall-clock time, `previous` a SHA-256."""

    number: int
    at_ns: int
    digest: str
    declared: str
    event: Event
    state: State
    who: str
    reason: str
    previous: str

    @property
    def line(self) -> bytes:
        """The line as it is written and hashed, without its newline."""
        return msgspec.json.encode(self)


class Standing(msgspec.Struct, frozen=True):
    """Where a revision is, and who brought it there."""

    state: State = State.ABSENT
    authors: frozenset[str] = frozenset()
    history: tuple[Entry, ...] = ()


class Lifecycle:
    """The record in a file. Processes may share it: each change takes a lock."""

    __slots__ = ("_now_ns", "_path")

    def __init__(self, path: Path, *, now_ns: Callable[[], int]) -> None:
        self._path = path
        self._now_ns = now_ns

    @property
    def path(self) -> Path:
        """Where the record is; it changes with every entry."""
        return self._path

    def record(
        self,
        digest: str,
        event: Event,
        *,
        who: str,
        reason: str = "",
        declared: str = "",
    ) -> Entry:
        """Write down what somebody does with a revision; it is on disk on return.

        `declared` is the revision in the bundle's manifest, for the reader.

        Raises:
            IllegalTransitionError: not from the state it is in.
            DeniedError: an approval by who drafted or submitted it.
            MalformedMessageError: no digest, no name, or a text that is too long.
            PolicyLoadError: the record is damaged or full; nothing was written.
            OSError: it cannot be written.
        """
        _check(digest, who, reason, declared)
        with _locked(self._path) as file:
            entries, last = _read(file, self._path)
            standing = _standings(entries).get(digest, Standing())
            state = advance(standing.state, event)
            if event is Event.APPROVE and who in standing.authors:
                raise DeniedError(
                    (f"{who} has drafted or submitted it, and may not approve it",),
                    decision_id="",
                    revision=digest[:_SHOWN],
                )
            entry = Entry(
                number=len(entries) + 1,
                at_ns=self._now_ns(),
                digest=digest,
                declared=declared,
                event=event,
                state=state,
                who=who,
                reason=reason,
                previous=last,
            )
            _append(file, entry, self._path)
        return entry

    def standing(self, digest: str) -> Standing:
        """Return where a revision is; raises `PolicyLoadError` if the record is damaged."""
        return self.standings().get(digest, Standing())

    def standings(self) -> Mapping[str, Standing]:
        """Return every revision in the record; raises like `standing`."""
        try:
            with self._path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                entries, _ = _read(file, self._path)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise PolicyLoadError(
                f"cannot be read: {error.strerror}", file=str(self._path)
            ) from None
        return _standings(entries)

    def require_active(self, digest: str) -> None:
        """Return if the revision may be in force: published, or deprecated.

        Raises:
            PolicyLoadError: it may not, or the record is damaged. A record that is not
                there has published nothing.
        """
        state = self.standing(digest).state
        if state not in ACTIVE:
            raise PolicyLoadError(
                f"revision {digest[:_SHOWN]} is {state}; only what is "
                f"{' or '.join(sorted(ACTIVE))} is put in force"
            )


def _check(digest: str, who: str, reason: str, declared: str) -> None:
    if DIGEST.fullmatch(digest) is None:
        raise MalformedMessageError("a revision is named by its 64 hexadecimal digits")
    check_name("who", who)
    for name, text, allowed in (
        ("reason", reason, BUNDLE_REASON_CHARS_MAX),
        ("declared revision", declared, BUNDLE_REVISION_CHARS_MAX),
    ):
        if len(text) > allowed or not text.isprintable():
            raise MalformedMessageError(f"{name}: up to {allowed} printable characters")


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open the record for reading and adding, alone; make it where it is not there."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, _MODE)
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _append(file: BinaryIO, entry: Entry, path: Path) -> None:
    line = entry.line + b"\n"
    end = os.fstat(file.fileno()).st_size
    if end + len(line) > BUNDLE_RECORD_BYTES_MAX:
        raise PolicyLoadError(
            f"more than {BUNDLE_RECORD_BYTES_MAX} bytes: begin another", file=str(path)
        )
    try:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), end)  # half a line would make it unreadable
        raise
    if not end:
        sync_folder(path.parent)


def _read(file: BinaryIO, path: Path) -> tuple[list[Entry], str]:
    """Return the entries and the hash of the last, if the chain holds."""
    content = file.read(BUNDLE_RECORD_BYTES_MAX + 1)
    if len(content) > BUNDLE_RECORD_BYTES_MAX:
        raise PolicyLoadError(
            f"more than {BUNDLE_RECORD_BYTES_MAX} bytes", file=str(path)
        )
    if content and not content.endswith(b"\n"):
        count = content.count(b"\n") + 1
        raise PolicyLoadError("the last line is cut off", file=str(path), line=count)
    entries: list[Entry] = []
    last = _START
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        entry = _decoded(line)
        if entry is None or (entry.number, entry.previous) != (number, last):
            raise PolicyLoadError("was changed", file=str(path), line=number)
        last = hashlib.sha256(line).hexdigest()
        entries.append(entry)
    return entries, last


def _decoded(line: bytes) -> Entry | None:
    try:
        entry = msgspec.json.decode(line, type=Entry)
    except msgspec.DecodeError:
        return None
    return entry if entry.line == line else None


def _standings(entries: list[Entry]) -> dict[str, Standing]:
    found: dict[str, Standing] = {}
    for entry in entries:
        known = found.get(entry.digest, Standing())
        authors = known.authors
        if entry.event in (Event.DRAFT, Event.SUBMIT):
            authors |= {entry.who}
        history = (*known.history, entry)
        found[entry.digest] = Standing(entry.state, authors, history)
    return found
