"""Policies for the isolated engine, and ways to look at its workers."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from policy.bundle import Bundle
from policy.deps import Dependencies
from policy.engine import Engine
from policy.isolation import wire
from policy.isolation.engine import IsolatedEngine
from policy.isolation.loading import load
from policy.isolation.terms import Terms
from policy.source import Source
from tests.fakes import policies

RULES = policies.authz(
    'decision := {"allow": true}',
    "double := input.n * 2",
    "maybe := true if input.never",
    "conflict := input.a",
    "conflict := input.b",
    # 10^12 rounds: it would take days.
    "slow := count({1 | m[_]; m[_]; m[_]; m[_]}) if input.slow",
    "large := [input.text | m[_]; m[_]]",
    "hungry := [[input.text, x, y, z] | x := m[_]; y := m[_]; z := m[_]]",
    "m := data.many",
)
DATA: dict[str, Any] = {**policies.AGENTS, "many": list(range(1_000))}
READY = wire.Ready(Dependencies(None, frozenset(), frozenset()))
ODD_WORKER = str(Path(__file__).with_name("odd_worker.py"))


def bundle(text: str = RULES, data: dict[str, Any] | None = None) -> Bundle:
    """Return a bundle of one file."""
    found = DATA if data is None else data
    return Bundle((Source("authz.rego", text),), found, "data.json", built_in=False)


def embedded() -> Engine:
    """Return the engine in the loop, with the same policy."""
    found = bundle()
    return Engine(found.sources, found.data_json)


def rule(name: str) -> str:
    """Return the path of a rule of the entry package."""
    return f"data.assent.authz.{name}"


@asynccontextmanager
async def engine(text: str = RULES, **terms: Any) -> AsyncIterator[IsolatedEngine]:
    """Load a policy, and see to it that no process is left."""
    loaded = await load(bundle(text), Terms(**terms))
    try:
        yield loaded.engine
    finally:
        pids = loaded.engine.pids
        await loaded.engine.close()
        assert loaded.engine.pids == ()
        assert [pid for pid in pids if alive(pid)] == []


async def double(asked: IsolatedEngine, number: int) -> str | None:
    """Ask for twice a number."""
    document = msgspec.json.encode({"n": number}).decode()
    return (await asked.evaluate(rule("double"), document)).result


async def lapse(asked: IsolatedEngine, rule_name: str) -> None:
    """Let the deadline of a question come, once a worker is at it: not by the clock.

    With a deadline that never comes by itself, no load on the machine makes it come.
    """
    named = rule(rule_name).encode()

    def at_it() -> Any:
        worker: Any = asked._staff.active  # noqa: SLF001 - whom only time could reach
        begun = worker is not None and worker.asked and named in worker.asked[0].frame
        return worker if begun else None

    await until(at_it)
    worker = at_it()
    worker._no_longer_due()  # noqa: SLF001 - as above
    worker._due(0.0)  # noqa: SLF001 - as above
    await until(lambda: worker.is_over)


def odd_command(told: bytes, answer: bytes, *more: str) -> tuple[str, ...]:
    """Return the command of a worker that says these."""
    return (sys.executable, "-I", ODD_WORKER, told.hex(), answer.hex(), *more)


def alive(pid: int) -> bool:
    """Tell whether a child is there, be it dead and not waited for."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def until(holds: Any) -> None:
    """Wait until `holds()`; the test's own time limit bounds it."""
    while not holds():  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0.005)
