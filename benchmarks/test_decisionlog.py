"""What the decision log adds to a cached decision, and what it can sustain."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bus.adapters.clock import SystemClock
from bus.core.ids import IdSource
from bus.core.message import Message
from bus.ports import Authorizer
from policy.authorizer import load_authorizer
from policy.decisionlog import (
    DecisionLog,
    FileSettings,
    LogSettings,
    RecordingAuthorizer,
)
from policy.decisionlog.event import Entry, EventMaker
from policy.decisionlog.recording import Log
from tests.fakes import policies
from tests.fakes.decisionentries import entry

DECISIONS = 5_000
NOW_NS = time.time_ns()
FILES = itertools.count()


def _new_log(folder: Path) -> DecisionLog:
    file = FileSettings(path=folder / f"{next(FILES)}.jsonl")
    return DecisionLog(
        LogSettings(labels={"id": "bench", "version": "1"}, file=file),
        lambda: None,
        SystemClock(),
    )


def _authorizer() -> Authorizer:
    return load_authorizer(data=policies.data(), now_ns=time.time_ns)


def _recording(inner: Authorizer, log: Log) -> RecordingAuthorizer:
    return RecordingAuthorizer(
        inner,
        log,
        IdSource(bytes(8)),
        now_ns=time.time_ns,
        timer_ns=time.perf_counter_ns,
    )


def _messages() -> list[Message]:
    return [
        policies.message(id=n.to_bytes(16, "big"), created_ns=NOW_NS)
        for n in range(DECISIONS)
    ]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give a loop that the benchmark turns itself, between its rounds."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.mark.parametrize("logged", [False, True], ids=["off", "on"])
def test_cached_decision(
    benchmark: BenchmarkFixture,
    loop: asyncio.AbstractEventLoop,
    tmp_path: Path,
    *,
    logged: bool,
) -> None:
    """5,000 cached decisions in a row; the writer has caught up before each round."""
    inner = _authorizer()
    log = _new_log(tmp_path)
    loop.run_until_complete(log.open())
    asked = _recording(inner, log) if logged else inner
    messages = _messages()

    async def decided() -> None:
        decide: Callable[..., object] = asked.decide_now
        for message in messages:
            decide("publish", message)

    def drain() -> tuple[tuple[()], dict[str, object]]:
        loop.run_until_complete(log.flush())
        return (), {}

    benchmark.extra_info["per"] = f"{DECISIONS} decisions"
    benchmark.pedantic(  # type: ignore[no-untyped-call]  # the library has no types
        lambda: loop.run_until_complete(decided()),
        setup=drain,
        rounds=30,
        warmup_rounds=2,
    )
    loop.run_until_complete(log.close())
    if log.stats().pending or bool(log.stats().written) != logged:
        pytest.fail("decisions are missing")


class _Nowhere:
    """Takes entries and forgets them."""

    full = False

    def __init__(self) -> None:
        self.append = deque[Entry](maxlen=1).append

    async def room(self) -> None:
        """There is always room."""


def test_recording_alone(benchmark: BenchmarkFixture) -> None:
    """What the loop pays for 5,000 cached decisions: id, copy, roles and entry."""
    asked = _recording(_authorizer(), _Nowhere())
    messages = _messages()

    def decided() -> None:
        for message in messages:
            asked.decide_now("publish", message)

    benchmark.extra_info["per"] = f"{DECISIONS} decisions"
    decided()  # from here on they are kept
    benchmark(decided)
    if asked.stats().hits < DECISIONS:
        pytest.fail("decisions are missing")


def test_sustained(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The whole way of 50,000 decisions: cached, logged, encoded, written and synced."""
    inner = _authorizer()
    messages = _messages() * 10

    async def run() -> None:
        log = _new_log(tmp_path)
        await log.open()
        asked = _recording(inner, log)
        for message in messages:
            if asked.decide_now("publish", message) is None:
                await asked.decide("publish", message)
        await log.close()
        if log.stats().written != len(messages):
            pytest.fail("decisions are missing")

    benchmark.extra_info["per"] = f"{len(messages)} decisions"
    benchmark.pedantic(lambda: asyncio.run(run()), rounds=5)  # type: ignore[no-untyped-call]  # the library has no types


def test_event(benchmark: BenchmarkFixture) -> None:
    """What the writer's thread does for one decision, apart from the disk."""
    maker = EventMaker({"id": "bench", "version": "1"})
    made = entry("0" * 32)
    if not benchmark(maker.line, made):
        pytest.fail("nothing was encoded")
