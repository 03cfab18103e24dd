"""A real Prometheus server scrapes the endpoint, and promtool has nothing to say."""

import asyncio
import socket
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bus.adapters.metrics import Metrics
from bus.core.edgeerrors import UnauthenticatedError
from bus.core.stats import SubjectStats
from bus.edge.caller import Caller
from bus.edge.http.app import application
from bus.edge.http.health import Health, insider_of
from bus.edge.http.serving import serve
from tests import parts
from tests.fakes.snapshots import snapshot

CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: assent
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@pytest.fixture
def prometheus() -> str:
    """Give the path of the real server."""
    return parts.require("prometheus")


def free_port() -> int:
    """Return a port of the loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def query(client: aiohttp.ClientSession, expression: str) -> list[dict[str, Any]]:
    """Ask until the server is up and has an answer."""
    while True:
        try:
            async with client.get("/api/v1/query", params={"query": expression}) as got:
                if got.status == 200:
                    result: list[dict[str, Any]] = (await got.json())["data"]["result"]
                    if result:
                        return result
        except aiohttp.ClientConnectionError:
            pass  # it is still starting; the test's own time-out ends this
        await asyncio.sleep(0.1)


async def stop(process: asyncio.subprocess.Process) -> None:
    """End the server, whatever state it is in."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


async def nobody(_: web.Request) -> Caller:
    """Let nobody in: who asks on this machine needs no credential for metrics."""
    raise UnauthenticatedError("no credential")


@pytest.mark.integration
@pytest.mark.timeout(60)
async def test_a_real_prometheus_scrapes_what_the_bus_counted(
    prometheus: str, tmp_path: Path
) -> None:
    """The counts are found by name and label in the server's own database."""
    counted = snapshot(SubjectStats(template="orders.*", accepted=7, denied=2))
    render = Metrics(lambda: counted, "1.2.3").render
    health = Health(dict, render, insider_of("loopback", nobody))
    async with serve(application(health), "127.0.0.1", 0) as port:
        config, listen = tmp_path / "prometheus.yml", f"127.0.0.1:{free_port()}"
        await asyncio.to_thread(config.write_text, CONFIG.format(port=port))
        process = await asyncio.create_subprocess_exec(
            prometheus,
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address={listen}",
            "--log.level=error",
        )
        try:
            async with aiohttp.ClientSession(f"http://{listen}") as client:
                async with asyncio.timeout(40):
                    found = await query(client, "assent_messages_total > 0")
                    ratio = await query(
                        client,
                        "histogram_quantile(0.5, assent_delivery_duration_seconds_bucket)",
                    )
                    up = await query(client, 'up{job="assent"}')
        finally:
            await stop(process)
    values = {row["metric"]["outcome"]: row["value"][1] for row in found}
    assert values == {"accepted": "7", "denied": "2"}
    assert {row["metric"]["subject"] for row in found} == {"orders.*"}
    assert 1.6384e-05 < float(ratio[0]["value"][1]) <= 6.5536e-05
    assert up[0]["value"][1] == "1"


@pytest.mark.integration
def test_promtool_has_nothing_to_say() -> None:
    """Names, types, units and help follow the conventions."""
    program = parts.require("promtool")
    text, _ = Metrics(snapshot, "1.2.3").render("")
    done = subprocess.run(
        [program, "check", "metrics"],
        input=text,
        capture_output=True,
        check=False,
        timeout=10,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.integration
def test_promtool_would_have_said_something() -> None:
    """The check above can fail: a name that breaks the conventions is told."""
    program = parts.require("promtool")
    done = subprocess.run(
        [program, "check", "metrics"],
        input=b"# TYPE assent_messages counter\nassent_messages 1\n",
        capture_output=True,
        check=False,
        timeout=10,
    )
    assert done.returncode != 0
    assert b"assent_messages" in done.stderr
