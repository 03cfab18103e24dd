"""Our decision log beside a real OPA's: the same questions, the same masks, one collector."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from bus.adapters.clock import SystemClock
from bus.core.ids import IdSource
from policy.bundle import Bundle, Origin
from policy.decisionlog import (
    CollectorSettings,
    DecisionLog,
    LogSettings,
    RecordingAuthorizer,
    rules_of,
)
from policy.fields import RECORDED
from tests.fakes import policies
from tests.fakes.collector import Collector
from tests.fakes.messages import NOW_NS
from tests.fakes.policies import authz, message
from tests.parts import require

pytestmark = pytest.mark.integration
WAIT_S = 30
POLICY = authz(
    'decision := {"allow": count(reasons) == 0, "reasons": reasons, '
    '"obligations": [{"type": "ttl", "seconds": 5}]}',
    'reasons := [r | input.message.priority > 2; r := "too urgent"]',
)
MASKS = """package system.log

import rego.v1

drop if input.input.message.subject == "quiet.a"

mask contains "/input/message/headers/x-card"

mask contains "/result/reasons" if input.result.allow == false

mask contains {"op": "upsert", "path": "/input/principal/id", "value": "***"} if {
\tinput.input.message.subject == "hidden.a"
}

mask contains {"op": "upsert", "path": "/input/message/new/deep", "value": [1]}

mask contains "/input/message/nothing"

mask contains "/input" if input.input.message.subject == "secret.a"
"""
ASKED = [
    message(id=bytes([1] * 16), headers={"x-card": "4111", "x-other": "1"}),
    message(id=bytes([2] * 16), priority=3),
    message(id=bytes([3] * 16), subject="hidden.a"),
    message(id=bytes([4] * 16), subject="quiet.a"),
    message(id=bytes([5] * 16), subject="secret.a"),
]
SAME = ("input", "result", "path")
SETS = ("erased", "masked")
OURS_ALONE = {"custom", "requested_by"}  # OPA leaves them out where it has none
OPAS_ALONE = {"req_id"}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Return a policy with masks, written to a folder that OPA can read too."""
    folder = policies.folder(tmp_path / "policy", POLICY, log__rego=MASKS)
    return Origin(folder=folder).read()


@pytest.fixture
def ours(tmp_path: Path, bundle: Bundle) -> Any:
    """Return what makes an authorizer with a log to a collector."""
    inner = policies.ruled(tmp_path / "policy", *POLICY.split("\n\n")[1:])

    def make(url: str) -> tuple[RecordingAuthorizer, DecisionLog]:
        to = CollectorSettings(url=url, spool=tmp_path / "spool", delay_s=0.01)
        settings = LogSettings(labels={"id": "ours", "version": "1"}, collector=to)
        log = DecisionLog(settings, lambda: rules_of(bundle), SystemClock())
        asked = RecordingAuthorizer(
            inner, log, IdSource(bytes(8)), now_ns=lambda: NOW_NS, timer_ns=lambda: 0
        )
        return asked, log

    return make


async def opas(folder: Path, url: str, inputs: list[Any], collector: Collector) -> None:
    """Ask a real OPA that logs to `url`, until the collector has its events."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    reporting = "decision_logs.reporting"
    process = await asyncio.create_subprocess_exec(
        await asyncio.to_thread(require, "opa"),
        *("run", "--server", "--addr", address, "--disable-telemetry"),
        *("--log-level", "error", "--set", f"services.near.url={url}"),
        *("--set", "decision_logs.service=near"),
        *("--set", f"{reporting}.min_delay_seconds=1"),
        *("--set", f"{reporting}.max_delay_seconds=1"),
        str(folder),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(WAIT_S), aiohttp.ClientSession() as session:
            at = f"http://{address}/v1/data/assent/authz/decision"
            for number, asked in enumerate(inputs):
                while not await _answered(session, at, asked):
                    assert number == 0, "it answered before"
                    await asyncio.sleep(0.05)
            await collector.until(lambda: len(collector.events) >= len(inputs) - 1)
    finally:
        process.kill()
        await process.wait()


async def _answered(session: aiohttp.ClientSession, at: str, asked: Any) -> bool:
    try:
        async with session.post(at, json={"input": asked}) as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_a_real_opa_would_log_the_same(
    tmp_path: Path, bundle: Bundle, ours: Any
) -> None:
    """Of each question: input, result, masks and drops; no field of another name."""
    del bundle
    mine, theirs = Collector(), Collector()
    async with mine.serving() as url:
        asked, log = ours(url)
        await log.open()
        for made in ASKED:
            assert asked.decide_now("publish", made) is not None
        await log.close()
    assert log.stats().dropped == 1
    inputs = [_input(made, ("a",)) for made in ASKED]
    async with theirs.serving() as url:
        await opas(tmp_path / "policy", url, inputs, theirs)
    assert len(mine.events) == len(theirs.events) == len(ASKED) - 1
    for our, their in zip(mine.events, theirs.events, strict=True):
        for name in SAME:
            assert our.get(name) == their.get(name), name
        for name in SETS:
            assert sorted(our.get(name, [])) == sorted(their.get(name, [])), name
        shared = set(our) - OURS_ALONE - {"bundles"}
        assert shared <= set(their)
        assert set(their) - OPAS_ALONE <= set(our) | {"trace_id", "span_id"}
        for name in shared:
            assert type(our[name]) is type(their[name]), name
        assert our["metrics"].keys() - {"counter_server_query_cache_hit"} <= set(
            their["metrics"]
        )


def _input(made: Any, roles: tuple[str, ...]) -> Any:
    return msgspec.json.decode(RECORDED.document("publish", made, roles))
