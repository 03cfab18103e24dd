"""What a question to an OPA server costs, beside the barest client that could ask it.

Both ask the same server over connections of the same kind, in turns of one run. Needs
opa in PATH. Run: .venv/bin/pytest benchmarks/test_remote.py -s
"""

import asyncio
import contextlib
import json
import operator
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest

from benchmarks.targets import reach
from benchmarks.test_policy import documents, policy_data, published
from policy.loading import ENTRY
from policy.opa.address import ServerAddress
from policy.opa.server import OpaServer, connect
from tests.fakes.opa_process import BUILT_IN_POLICY, running_opa

PATH = "/v1/data/assent/authz/decision?strict-builtin-errors=true&provenance=true"
P50_RATIO_MAX = 1.15
THROUGHPUT_RATIO_MIN = 0.9
IN_FLIGHT = 32
QUESTIONS = 50
WARM_UP = 200
ROUNDS = 60

Ask = Callable[[str], Awaitable[Any]]


class Said(msgspec.Struct):
    """What the bare client reads of an answer."""

    result: msgspec.Raw = msgspec.Raw()


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Fail the run if what it measured was not what it meant to measure."""
    if not holds:
        pytest.fail(otherwise)


@contextlib.asynccontextmanager
async def asked(folder: Path, kind: str) -> AsyncIterator[tuple[OpaServer, Ask]]:
    """Yield our client and the bare one, of one real server."""
    unix = f"{folder}/opa.sock"
    where = ServerAddress(url=f"unix:{unix}") if kind == "unix" else None
    files = [*BUILT_IN_POLICY, str(folder / "data.json")]
    connector: aiohttp.BaseConnector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    if kind == "unix":
        connector = aiohttp.UnixConnector(unix, limit=IN_FLIGHT)
    async with running_opa(*files, address=where) as opa:
        server = await connect(opa.address, now_ns=time.perf_counter_ns)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield server, bare(session, opa.address.base + PATH)
        await server.close()


def bare(session: aiohttp.ClientSession, url: str) -> Ask:
    """Return the least that gets an answer: send, read, decode."""
    decode = msgspec.json.Decoder(Said).decode
    headers = {"Content-Type": "application/json"}

    async def ask(document: str) -> msgspec.Raw:
        body = b'{"input":' + document.encode() + b"}"
        async with session.post(url, data=body, headers=headers) as response:
            return decode(await response.read()).result

    return ask


async def turn(ask: Ask, inputs: list[str]) -> list[float]:
    """Ask one after another; return what each took, in microseconds."""
    spent = []
    for document in inputs:
        start = time.perf_counter_ns()
        await ask(document)
        spent.append((time.perf_counter_ns() - start) / 1e3)
    return spent


async def crowd(ask: Ask, inputs: list[str]) -> float:
    """Keep as many in flight as are measured; return questions per second."""
    waiting = iter(inputs)

    async def work() -> None:
        for document in waiting:
            await ask(document)

    start = time.perf_counter_ns()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(work())
    return len(inputs) / (time.perf_counter_ns() - start) * 1e9


class Measured(NamedTuple):
    """Medians of ours and of the bare client; the ratios are ours to the bare one's."""

    p50_us: dict[str, float]
    per_s: dict[str, float]
    p50_ratio: float
    rate_ratio: float


async def measure(folder: Path, kind: str, rounds: int = ROUNDS) -> Measured:
    """Ask both clients in turns, over connections of a kind: tcp or unix."""
    inputs = documents([published(n) for n in range(QUESTIONS)])
    async with asked(folder, kind) as (server, raw):
        allowed = json.loads((await server.evaluate(ENTRY, inputs[0])).result or "{}")
        expect(allowed.get("allow") is True, "refused")

        async def ours(document: str) -> Any:
            return await server.evaluate(ENTRY, document)

        both = {"ours": ours, "bare": raw}
        for ask in both.values():
            await crowd(ask, inputs * (WARM_UP // QUESTIONS))
        latency: dict[str, list[float]] = {name: [] for name in both}
        rate: dict[str, list[float]] = {name: [] for name in both}
        for round_ in range(rounds):
            # In turns, and each first as often as the other.
            for name in sorted(both, reverse=bool(round_ % 2)):
                latency[name] += await turn(both[name], inputs)
                rate[name].append(await crowd(both[name], inputs * 4))
    p50 = {name: statistics.median(found) for name, found in latency.items()}
    per_s = {name: statistics.median(found) for name, found in rate.items()}
    # Of each round by itself: what else the machine does lasts longer than a round.
    rate_ratio = statistics.median(map(operator.truediv, rate["ours"], rate["bare"]))
    return Measured(p50, per_s, p50["ours"] / p50["bare"], rate_ratio)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_question_costs_little_more_than_a_bare_client(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / "data.json").write_text(json.dumps(policy_data()))
    found = asyncio.run(measure(tmp_path, kind))
    p50, per_s = found.p50_us, found.per_s
    print(
        f"\n{kind}: p50 {p50['ours']:.0f} us, bare {p50['bare']:.0f} us, "
        f"{found.p50_ratio:.3f}; {IN_FLIGHT} in flight {per_s['ours']:.0f}/s, "
        f"bare {per_s['bare']:.0f}/s, {found.rate_ratio:.3f}"
    )
    reach(
        found.p50_ratio <= P50_RATIO_MAX,
        f"p50 is {found.p50_ratio:.3f} of the bare client's",
    )
    reach(
        found.rate_ratio >= THROUGHPUT_RATIO_MIN,
        f"throughput is {found.rate_ratio:.3f} of the bare client's",
    )
