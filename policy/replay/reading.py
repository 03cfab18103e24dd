"""Decision logs as they are read: one line of JSON for each decision, in OPA's form.

Rule: a line is read whole or refused with its reason. What was erased or masked is
named by its place and never stands for a value.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from bus.core.errors import ConfigurationError
from bus.core.limits import REDECIDE_LINE_BYTES_MAX
from policy.syntax import Path as Keys

BUNDLE: Final = "assent"  # the name under which our bundles stand in a log
_GZIP: Final = b"\x1f\x8b"
_MESSAGE_ID: Final = ("message", "message_id")
_POLICYS_OWN: Final = ("policy_evaluation", "policy_malformed")


class UnreadableError(Exception):
    """A line is no decision; the text says why."""


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line as it stands in a file, its number 1-based."""

    file: str
    number: int
    text: bytes


class Recorded(msgspec.Struct, frozen=True):
    """One recorded decision. Fields that are not known are left out."""

    decision_id: str
    path: str = ""
    input: Any = UNSET
    result: Raw | UnsetType = UNSET
    error: Any = None
    erased: list[str] | None = None
    masked: list[str] | None = None
    bundles: dict[str, Any] | None = None
    revision: str | None = None
    labels: dict[str, Any] | None = None
    custom: dict[str, Any] | None = None
    timestamp: str | None = None

    @property
    def rule(self) -> str:
        """The rule that was asked, as in `data.assent.authz.decision`."""
        named = self.path.strip("/").replace("/", ".")
        return named if named.startswith("data.") else f"data.{named}"

    @property
    def message_id(self) -> str:
        """The id of the message decided on; empty where there was none."""
        for place in (self.custom, self.labels):
            for name in _MESSAGE_ID:
                found = (place or {}).get(name)
                if isinstance(found, str) and found:
                    return found
        return ""

    @property
    def faulty(self) -> bool:
        """Whether no policy decided: the engine did not answer, or could not be asked.

        A policy that fails for an input, or answers nothing, has denied by that.
        """
        if self.error is None:
            return False
        code = self.error.get("code") if isinstance(self.error, Mapping) else None
        return self.result is UNSET or code not in _POLICYS_OWN

    @property
    def under(self) -> str:
        """The revision decided under; empty where the log does not tell."""
        bundles = self.bundles or {}
        told = bundles.get(BUNDLE)
        if told is None and len(bundles) == 1:
            (told,) = bundles.values()
        found = told.get("revision") if isinstance(told, Mapping) else self.revision
        return found if isinstance(found, str) else ""

    @property
    def hidden(self) -> tuple[Keys, ...]:
        """The places erased or masked, as keys from `input` or `result` on."""
        pointers = dict.fromkeys([*(self.erased or ()), *(self.masked or ())])
        return tuple(_keys(pointer) for pointer in pointers)


_decode: Final = msgspec.json.Decoder(Recorded).decode


def decode(text: bytes) -> Recorded:
    """Return the decision that a line records.

    Raises:
        UnreadableError: it records none.
    """
    try:
        return _decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise UnreadableError(_why(error)) from None


def lines(
    files: Sequence[Path], advance: Callable[[int], None] = lambda _: None
) -> Iterator[Line]:
    """Yield the lines of the files in order, gzip or not; blank ones are left out.

    `advance` is told how many bytes of the files were read since it was last told. A
    line past its bound comes as a line with no text.

    Raises:
        ConfigurationError: a file that cannot be read, or a gzip file cut off.
    """
    for path in files:
        try:
            yield from _lines(path, advance)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ConfigurationError(f"{path}: broken gzip file: {error}") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigurationError(f"{path}: {reason}") from None


def size(files: Sequence[Path]) -> int:
    """Return the bytes of all files together, as they are stored.

    Raises:
        ConfigurationError: one is not there.
    """
    try:
        return sum(path.stat().st_size for path in files)
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: {error.strerror}") from None


def _lines(path: Path, advance: Callable[[int], None]) -> Iterator[Line]:
    with path.open("rb") as stored:
        packed = stored.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        text = cast("IO[bytes]", gzip.GzipFile(fileobj=stored) if packed else stored)
        number = told = 0
        while line := text.readline(REDECIDE_LINE_BYTES_MAX + 1):
            number += 1
            if len(line) > REDECIDE_LINE_BYTES_MAX:
                _skip_rest(line, text)
                yield Line(str(path), number, b"")
            elif line.strip():
                yield Line(str(path), number, line)
            at = stored.tell() if packed else told + len(line)
            if at != told:
                advance(at - told)
                told = at


def _skip_rest(line: bytes, text: IO[bytes]) -> None:
    while line and not line.endswith(b"\n"):
        line = text.readline(REDECIDE_LINE_BYTES_MAX)


def _keys(pointer: str) -> Keys:
    """Return the keys of a JSON pointer (RFC 6901)."""
    steps = pointer.strip("/").split("/")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return f"not a recorded decision: {error}"
