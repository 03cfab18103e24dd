"""Decisions explained in a process beside the bus: one for each revision that is asked.

Rule: bounded in number, time and memory. A process that fails, or is idle, is ended; the
next question starts another, and nobody is told anything that it did not say.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import msgspec

from bus.core.edgelimits import (
    EXPLAIN_S,
    EXPLAINED_BYTES_MAX,
    EXPLAINER_IDLE_S,
    EXPLAINER_LOAD_S,
    EXPLAINERS_MAX,
    REVISIONS_KEPT_MAX,
)
from bus.core.errors import BusNotStartedError, MalformedMessageError, UnavailableError
from bus.ports import Clock, Timer

_ROOT: Final = str(Path(__file__).parents[3])
_BOOT: Final = (
    "import sys; sys.path[:] = sys.argv[1:];"
    " from bus.edge.operator.explainprocess import main; main()"
)
_ENVIRONMENT: Final = {"MIMALLOC_ARENA_RESERVE": "32M"}
_LENGTH_BYTES: Final = 4
_SLACK_BYTES: Final = 1 << 16
_FAULTS: Final = (OSError, EOFError, TimeoutError, msgspec.MsgspecError)


class Finding(msgspec.Struct, frozen=True):
    """What one definition came to; see `policy.explain.Finding`."""

    rule: str
    file: str
    line: int
    kind: str
    state: Any
    decided: bool
    value: Any = None
    reasons: tuple[str, ...] = ()
    error: str = ""


class Field(msgspec.Struct, frozen=True):
    """An input field that was read; see `policy.explain.Field`."""

    name: str
    there: bool
    value: Any = None


class Explanation(msgspec.Struct, frozen=True):
    """A decision and what it rests on; see `policy.explain.Explanation`."""

    revision: str
    allow: bool
    reasons: tuple[str, ...]
    obligations: tuple[dict[str, Any], ...]
    findings: tuple[Finding, ...]
    input: tuple[Field, ...]


class _Answer(msgspec.Struct, frozen=True):
    explanation: Explanation | None = None
    error: str = ""
    refused: bool = False


class Explainers:
    """The processes of one node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, _Explainer] = OrderedDict()
        self._rules: OrderedDict[str, tuple[Finding, ...]] = OrderedDict()
        self._one = asyncio.Lock()
        self._leaving: list[_Explainer] = []  # told to end, and not waited for yet
        self._idle: Timer | None = None
        self._closed = False

    async def explain(self, bundle: Any, input_json: str) -> Explanation:
        """Return why the policy of a bundle decides an input as it does.

        Raises:
            MalformedMessageError: the input is past a bound, or the policy is refused.
            UnavailableError: it took too long or too much, or no process can be had.
        """
        async with self._one:
            explainer = await self._of(bundle)
            return await self._asked(bundle.revision, explainer, input_json)

    async def rules(self, bundle: Any) -> tuple[Finding, ...]:
        """Return every definition that a decision can rest on; raises as `explain`."""
        async with self._one:
            known = self._rules.get(bundle.revision)
            if known is None:
                known = (await self._of(bundle)).rules
                self._rules[bundle.revision] = known
                if len(self._rules) > REVISIONS_KEPT_MAX:
                    self._rules.popitem(last=False)
        return known

    async def close(self) -> None:
        """End all processes; none is started any more."""
        self._closed = True
        async with self._one:
            await self._end_all()

    async def _of(self, bundle: Any) -> "_Explainer":
        if self._closed:
            raise BusNotStartedError("the node stops; nothing is explained any more")
        known = self._kept.pop(bundle.revision, None)
        if known is None:
            while len(self._kept) >= EXPLAINERS_MAX:
                _, oldest = self._kept.popitem(last=False)
                await oldest.end()
            while self._leaving:
                await self._leaving.pop().end()
            known = await _started(bundle)
        self._kept[bundle.revision] = known
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._clock.call_after(EXPLAINER_IDLE_S, self._rest)
        return known

    async def _asked(
        self, revision: str, explainer: "_Explainer", input_json: str
    ) -> Explanation:
        try:
            answer = await explainer.ask(input_json.encode(), EXPLAIN_S)
        except BaseException as error:
            self._kept.pop(revision, None)
            await explainer.end()
            if isinstance(error, _FAULTS):
                raise UnavailableError(
                    "the question took too long, or too much memory, to be explained"
                ) from error
            raise
        if answer.explanation is None:
            raise MalformedMessageError(answer.error)
        return answer.explanation

    def _rest(self) -> None:
        """End what nobody asks: each process goes when its pipe does."""
        if not self._one.locked():
            for explainer in self._kept.values():
                explainer.leave()
                self._leaving.append(explainer)
            self._kept.clear()

    async def _end_all(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._leaving.extend(self._kept.values())
        self._kept.clear()
        while self._leaving:
            await self._leaving.pop().end()


class _Explainer:
    """One process with one policy; asked one question at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.rules: tuple[Finding, ...] = ()

    async def ask(self, content: bytes, wait_s: float) -> _Answer:
        """Send a question, or the policy; return the answer."""
        sent, read = self._process.stdin, self._process.stdout
        if sent is None or read is None:
            raise EOFError
        async with asyncio.timeout(wait_s):
            sent.write(len(content).to_bytes(_LENGTH_BYTES, "big"))
            sent.write(content)
            await sent.drain()
            size = int.from_bytes(await read.readexactly(_LENGTH_BYTES), "big")
            if size > EXPLAINED_BYTES_MAX:
                raise EOFError
            return _decode(await read.readexactly(size))

    def leave(self) -> None:
        """Close its pipe, so that it ends by itself."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def end(self) -> None:
        """Kill it, and wait until it is gone."""
        if self._process.returncode is None:
            self._process.kill()
        self.leave()
        await self._process.communicate()


_decode: Final = msgspec.json.Decoder(_Answer).decode


async def _started(bundle: Any) -> _Explainer:
    """Start a process with a policy.

    Raises:
        MalformedMessageError: the policy is refused.
        UnavailableError: it cannot be started, or takes too long.
    """
    from policy.isolation import wire  # noqa: PLC0415 - policy is not for the whole edge
    from policy.pacing import beside  # noqa: PLC0415 - as above

    content = await beside(wire.frame, bundle)
    paths = [path for path in sys.path if Path(path).is_absolute()]
    if _ROOT not in paths:
        paths.append(_ROOT)
    flags = ("-I", "-S", "-X", "utf8", "-c", _BOOT)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *flags,
            *paths,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            limit=EXPLAINED_BYTES_MAX + _SLACK_BYTES,
        )
    except OSError as error:
        raise UnavailableError("no process can be started to explain it") from error
    made = _Explainer(process)
    try:
        answer = await made.ask(content[_LENGTH_BYTES:], EXPLAINER_LOAD_S)
    except BaseException as error:
        await made.end()
        if isinstance(error, _FAULTS):
            raise UnavailableError("the policy took too long to be loaded") from error
        raise
    if answer.explanation is None:
        await made.end()
        raise MalformedMessageError(answer.error)
    made.rules = tuple(
        msgspec.structs.replace(one, value=None) for one in answer.explanation.findings
    )
    return made
