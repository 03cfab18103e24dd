"""The worker: a process that holds one policy and answers one question at a time.

Rule: it has one pipe, no other file, no environment, and no more memory and processor
time than it was told. It ends when the pipe does; what it cannot say, its end says.
"""

import gc
import os
import resource
import time
from collections.abc import Callable, Iterator
from typing import Final

from bus.core.errors import PolicyLoadError
from bus.core.policylimits import ISOLATED_BUNDLE_BYTES_MAX
from policy import loading
from policy.deps import Dependencies
from policy.engine import Engine
from policy.evaluation import EvaluationError
from policy.isolation import wire

PIPE: Final = 0
OUT_OF_MEMORY: Final = 3  # the exit status that says so
_READ_BYTES: Final = 1 << 18
_CLOSED_TO_IT: Final = (
    resource.RLIMIT_CORE,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
)


Limit = Callable[[int, tuple[int, int]], None]


class Confinement:
    """What the process may take, as limits the system enforces; `limit` sets one."""

    __slots__ = ("_granted_s", "_limit")

    def __init__(self, limit: Limit = resource.setrlimit) -> None:
        self._limit = limit
        self._granted_s = 0

    def begin(self, terms: wire.Begin) -> None:
        """Give up files, processes, core dumps, and memory beyond the terms' bound.

        Raises:
            OSError, ValueError: the system does not enforce one of them.
        """
        for kind in _CLOSED_TO_IT:
            self._limit(kind, (0, 0))
        allowed = _allowed(resource.RLIMIT_AS, terms.memory_bytes)
        self._limit(resource.RLIMIT_AS, (allowed, allowed))

    def grant(self, cpu_s: int) -> None:
        """Let the process use `cpu_s` more seconds of processor time, then end it.

        The parent's deadline comes first; this one is for when the parent is gone.
        """
        until_s = int(time.process_time()) + 1 + cpu_s
        if until_s != self._granted_s:
            self._granted_s = until_s
            _, most = resource.getrlimit(resource.RLIMIT_CPU)
            allowed = _allowed(resource.RLIMIT_CPU, until_s)
            self._limit(resource.RLIMIT_CPU, (allowed, most))


def _allowed(kind: int, wanted: int) -> int:
    """Return what is wanted, or less where the system allows this process less."""
    _, most = resource.getrlimit(kind)
    return wanted if most == resource.RLIM_INFINITY else min(wanted, most)


def main() -> None:
    """Serve the pipe the process was started with; return when it ends."""
    try:
        serve(PIPE, Confinement())
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def serve(pipe: int, confinement: Confinement) -> None:
    """Load the policy that comes first, then answer until the other side closes.

    Raises:
        OSError: the pipe broke.
        msgspec.MsgspecError, wire.FrameTooLongError: the other side is no parent.
    """
    frames = _frames(pipe)
    first, second = next(frames, None), next(frames, None)
    if first is None or second is None:
        return
    terms = wire.read_begin(first)
    confinement.begin(terms)
    confinement.grant(terms.load_cpu_s)
    try:
        engine, read = _load(second, trial=terms.trial)
    except PolicyLoadError as error:
        _write(pipe, wire.frame(wire.Refused(error.reason, error.file, error.line)))
        return
    del first, second
    gc.collect()
    gc.freeze()  # what was loaded stays; the collector need not look at it again
    _write(pipe, wire.frame(wire.Ready(read)))
    for question in frames:
        confinement.grant(terms.question_cpu_s)
        _write(pipe, _answer(engine, wire.read_ask(question), terms.answer_bytes))


def _load(content: bytes, *, trial: bool) -> tuple[Engine, Dependencies | None]:
    bundle = wire.read_bundle(content)
    if not trial:
        return Engine(bundle.sources, bundle.data_json), None
    policy = loading.build(bundle)
    if not isinstance(policy.engine, Engine):
        raise TypeError("a policy is loaded into the embedded engine")
    return policy.engine, policy.dependencies


def _answer(engine: Engine, asked: wire.Ask, bytes_max: int) -> bytes:
    """Return the frame that answers, or says why there is no answer."""
    try:
        result = engine.evaluate(asked.rule, asked.input_json)
        answer = wire.frame(wire.Answered(asked.number, result))
    except EvaluationError as error:
        return wire.frame(
            wire.Failed(asked.number, error.reason, error.file, error.line, error.kind)
        )
    if len(answer) > bytes_max:
        reason = f"an answer of {len(answer)} bytes; {bytes_max} are allowed"
        return wire.frame(wire.Failed(asked.number, reason, "", 0, "oversize"))
    return answer


def _frames(pipe: int) -> Iterator[bytes]:
    """Yield the frames that come, until the other side closes."""
    frames = wire.Frames(ISOLATED_BUNDLE_BYTES_MAX)
    while piece := os.read(pipe, _READ_BYTES):
        frames.feed(piece)
        while (found := frames.take()) is not None:
            yield found


def _write(pipe: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(pipe, rest) :]
