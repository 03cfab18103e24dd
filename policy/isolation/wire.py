"""What parent and worker say to one another: MessagePack behind its length, 4 bytes.

Rule: the worker is told `Begin`, the bundle, then questions; it tells `Ready` or
`Refused` once, then `Answered` or `Failed` for each question, in their order. What is
longer than agreed or is none of these is not read: it ends the worker.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from policy.bundle import Bundle
from policy.deps import Dependencies
from policy.evaluation import Kind
from policy.sliced import Slice, SlicedData
from policy.source import Source

_LENGTH_BYTES: Final = 4


class Begin(msgspec.Struct, frozen=True, array_like=True):
    """The terms a worker works on. Where it is `trial`, the policy is tried out."""

    trial: bool
    memory_bytes: int
    load_cpu_s: int
    question_cpu_s: int
    answer_bytes: int


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """A question."""

    number: int
    rule: str
    input_json: str


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The policy is loaded; a trial also tells what its entry rule can read."""

    dependencies: Dependencies | None


class Refused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """The policy is not valid, as `PolicyLoadError` says it."""

    reason: str
    file: str
    line: int


class Answered(msgspec.Struct, frozen=True, array_like=True, tag="answered"):
    """The value of the rule that was asked for, as JSON; None if it is undefined."""

    number: int
    result: str | None


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """Nothing was decided, as `EvaluationError` says it."""

    number: int
    reason: str
    file: str
    line: int
    kind: Kind


class _Loaded(msgspec.Struct, frozen=True, array_like=True):
    """A bundle, its data as text: objects would be made by one long call."""

    sources: tuple[Source, ...]
    names: tuple[str, ...]
    slices: tuple[Slice, ...]
    data_name: str
    built_in: bool
    declared: str


def _loaded(bundle: Bundle) -> _Loaded:
    data = bundle.sliced
    return _Loaded(
        bundle.sources,
        tuple(data),
        data.slices,
        bundle.data_name,
        bundle.built_in,
        bundle.declared,
    )


Told = Ready | Refused | Answered | Failed

_encode: Final = msgspec.msgpack.Encoder().encode
read_begin: Final = msgspec.msgpack.Decoder(Begin).decode
_read_loaded: Final = msgspec.msgpack.Decoder(_Loaded).decode
read_ask: Final = msgspec.msgpack.Decoder(Ask).decode
read_told: Final[Callable[[bytes], Told]] = msgspec.msgpack.Decoder(Told).decode


class FrameTooLongError(Exception):
    """The other side announced more than it may send; `size` and `allowed` in bytes."""

    def __init__(self, size: int, allowed: int) -> None:
        super().__init__(f"{size} bytes; {allowed} are allowed")
        self.size = size
        self.allowed = allowed


def read_bundle(content: bytes) -> Bundle:
    """Return the bundle that a frame holds; raises `msgspec.MsgspecError`."""
    read = _read_loaded(content)
    data = SlicedData(read.names, read.slices)
    return Bundle(read.sources, data, read.data_name, read.built_in, read.declared)


def frame(told: Begin | Bundle | Ask | Told) -> bytes:
    """Return what is written for `told`.

    Raises:
        UnicodeEncodeError: a text holds half of a surrogate pair.
        OverflowError: it takes 4 GiB or more.
    """
    body = _encode(_loaded(told) if isinstance(told, Bundle) else told)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class Frames:
    """Finds the frames in what is read, piece by piece; none is longer than allowed."""

    __slots__ = ("_allowed", "_held")

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._held = bytearray()

    def feed(self, piece: bytes | memoryview) -> None:
        """Add what was read."""
        self._held += piece

    def take(self) -> bytes | None:
        """Return the next frame, or None where it is not there as a whole.

        Raises:
            FrameTooLongError: as soon as its length was read.
        """
        held = self._held
        if len(held) < _LENGTH_BYTES:
            return None
        size = int.from_bytes(held[:_LENGTH_BYTES], "big")
        if size > self._allowed:
            raise FrameTooLongError(size, self._allowed)
        end = _LENGTH_BYTES + size
        if len(held) < end:
            return None
        found = bytes(held[_LENGTH_BYTES:end])
        del held[:end]
        return found
