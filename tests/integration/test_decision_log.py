"""Real faults of a real collector, disk and process: nothing missing, nothing twice."""

import asyncio
import json
import random
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from bus.adapters.clock import SystemClock
from bus.core.errors import ConfigurationError
from policy.decisionlog import (
    CollectorSettings,
    DecisionLog,
    DecisionLogStalledError,
    LogSettings,
)
from tests.fakes import collector as ways
from tests.fakes.collector import Collector
from tests.fakes.decisionentries import entry
from tests.fakes.messages import full
from tests.parts import require

ROOT = Path(__file__).parents[2]
CHILD = (sys.executable, "-m", "tests.integration.decision_log_child")
WAIT_S = 30


def new_log(folder: Path, url: str, **more: Any) -> DecisionLog:
    """Return a log to a collector, quick to try again."""
    waits = {"wait_s": more.pop("wait_s", 10.0), "close_s": more.pop("close_s", 10.0)}
    near = {
        "timeout_s": 10.0,
        "delay_s": 0.01,
        "backoff_s_base": 0.01,
        "backoff_s_max": 0.05,
    }
    to = CollectorSettings(url=url, spool=folder / "spool", **{**near, **more})
    settings = LogSettings(labels={"id": "bus-1"}, collector=to, **waits)
    return DecisionLog(settings, lambda: None, SystemClock())


async def logged(log: DecisionLog, ids: Iterable[str]) -> list[str]:
    """Log decisions in small groups, so that they become many chunks."""
    found = list(ids)
    for start in range(0, len(found), 20):
        for decision_id in found[start : start + 20]:
            log.append(entry(decision_id))
        await log.flush()
        await asyncio.sleep(0.02)
    return found


def named(count: int, prefix: str = "d") -> list[str]:
    """Return ids."""
    return [f"{prefix}-{number}" for number in range(count)]


async def within(what: Any) -> Any:
    """Wait for something that must happen."""
    async with asyncio.timeout(WAIT_S):
        return await what


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the log's threads do."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - threads set no event of ours
            await asyncio.sleep(0.01)


async def empty(log: DecisionLog) -> None:
    """Wait until everything is written and taken, answers included."""
    await log.flush()
    await until(lambda: log.stats().spooled == 0)


def all_there(collector: Collector, ids: list[str]) -> Callable[[], bool]:
    """Return whether the collector has as many events as there were decisions."""
    return lambda: len(collector.events) >= len(ids)


@pytest.mark.parametrize("way", ways.EVERY_WAY)
async def test_a_collector_that_fails_gets_every_decision_once(
    tmp_path: Path, way: str
) -> None:
    """Each way of failing, twice in a row and then now and then."""
    collector = Collector([way, way, ways.OK, way, ways.OK, ways.OK, way])
    async with collector.serving() as url:
        log = new_log(tmp_path, url, timeout_s=0.2 if way == ways.HANG else 10.0)
        await log.open()
        ids = await logged(log, named(120))
        await empty(log)
        remains = await log.close()
    assert collector.ids == ids
    assert collector.twice == []
    assert (remains.segments, remains.bytes) == (0, 0)
    assert log.stats().written == 120
    assert {len(bodies) for bodies in collector.bodies.values()} == {1}


async def test_every_way_of_failing_at_random(tmp_path: Path) -> None:
    """In any order, again and again."""
    chosen = random.Random(7)  # noqa: S311 - a script, repeatable
    few = [ways.HANG, *ways.EVERY_WAY * 2, *[ways.OK] * 10]
    collector = Collector(chosen.choice(few) for _ in range(60))
    async with collector.serving() as url:
        log = new_log(tmp_path, url, timeout_s=0.1)
        await log.open()
        ids = await logged(log, named(600))
        await empty(log)
        await log.close()
    assert collector.ids == ids
    assert len({what for what, _ in collector.requests}) > 6


async def test_a_lost_answer_is_sent_again_under_the_same_key(tmp_path: Path) -> None:
    """That is all a sender can do; by the key the collector can tell."""
    collector = Collector([ways.LOST, ways.LOST])
    async with collector.serving() as url:
        log = new_log(tmp_path, url)
        await log.open()
        await logged(log, ["one"])
        await within(collector.until(lambda: len(collector.requests) == 3))
        await log.close()
    assert len({key for _, key in collector.requests}) == 1
    assert collector.ids == ["one"]


async def test_a_collector_that_is_down_for_a_while_gets_everything(
    tmp_path: Path,
) -> None:
    """What was decided meanwhile is on disk, across a restart of ours too."""
    collector = Collector()
    async with collector.serving() as url:
        log = new_log(tmp_path, url)
        await log.open()
        ids = await logged(log, named(40, "before"))
        await within(collector.until(all_there(collector, ids)))
    ids += await logged(log, named(40, "down"))
    await until(lambda: "attempt" in log.health()[1])
    remains = await log.close()
    assert remains.segments > 0
    again = new_log(tmp_path, url)
    await again.open()
    ids += await logged(again, named(40, "still"))
    async with collector.serving():
        await within(collector.until(all_there(collector, ids)))
        assert (await again.close()).segments == 0
    assert collector.ids == ids


async def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    """A collector that asks for time is not asked again before it."""
    collector = Collector([ways.BUSY])
    collector.retry_after = "1"
    loop = asyncio.get_running_loop()
    async with collector.serving() as url:
        log = new_log(tmp_path, url)
        await log.open()
        log.append(entry("one"))
        await within(collector.until(lambda: bool(collector.requests)))
        begin_s = loop.time()
        await within(collector.until(lambda: bool(collector.events)))
        assert loop.time() - begin_s > 0.9
        await log.close()


async def test_a_full_spool_pushes_back_and_drops_nothing(tmp_path: Path) -> None:
    """Deciding waits, then fails; once the collector is back it goes on."""
    collector = Collector(otherwise=ways.UNAVAILABLE)
    bound = 2 << 20
    bulky = full(headers={"x": "y" * 4000})
    async with collector.serving() as url:
        log = new_log(tmp_path, url, spool_bytes=bound, wait_s=0.5)
        await log.open()
        ids: list[str] = []
        while not log.full:
            ids.append(f"d-{len(ids)}")
            log.append(entry(ids[-1], bulky))
            await asyncio.sleep(0)
        with pytest.raises(DecisionLogStalledError, match=r"spool .* is full"):
            await log.room()
        assert log.health()[0] is False
        assert bound * 0.9 < log.stats().spool_bytes <= bound
        collector.otherwise = ways.OK
        await until(lambda: not log.stats().pending)
        await log.room()
        ids.append("last")
        log.append(entry("last"))
        await within(collector.until(all_there(collector, ids)))
        await log.close()
    assert collector.ids == ids


@pytest.mark.parametrize("way", [ways.BAD, ways.TOO_LARGE])
async def test_what_will_never_be_taken_is_set_aside(tmp_path: Path, way: str) -> None:
    """The rest goes on; the segment is kept, counted, and said."""
    collector = Collector([way])
    async with collector.serving() as url:
        log = new_log(tmp_path, url)
        await log.open()
        ids = await logged(log, named(20))
        await within(collector.until(lambda: bool(collector.requests)))
        ids += await logged(log, ["last"])
        await within(collector.until(lambda: "last" in collector.ids))
        well, told = log.health()
        remains = await log.close()
    assert (well, remains.refused, log.stats().refused) == (True, 1, 1)
    assert "1 segments refused" in told
    folder, pattern = tmp_path / "spool" / "refused", f"*.{way}.jsonl"
    kept = await asyncio.to_thread(in_files, folder, pattern)
    assert kept + collector.ids == ids


async def test_closing_does_not_wait_for_a_collector_that_hangs(tmp_path: Path) -> None:
    """What it did not take stays, and is said."""
    collector = Collector(otherwise=ways.HANG)
    async with collector.serving() as url:
        log = new_log(tmp_path, url, timeout_s=60.0, close_s=0.2)
        await log.open()
        log.append(entry("one"))
        await within(collector.until(lambda: bool(collector.requests)))
        remains = await log.close()
        assert remains.segments == 1
        collector.otherwise = ways.OK
        again = new_log(tmp_path, url)
        await again.open()
        assert (await again.close()).segments == 0
    assert collector.ids == ["one"]


def certificate(folder: Path) -> ssl.SSLContext:
    """Make a certificate that vouches for itself; return what serves with it."""
    subprocess.run(
        [
            *(require("openssl"), "req", "-x509", "-nodes", "-days", "2"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-subj", "/CN=collector", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", "key.pem", "-out", "ca.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return served


async def test_a_collector_is_believed_by_its_own_authority_only(
    tmp_path: Path,
) -> None:
    """To a stranger nothing is sent; once the CA file is right all of it is."""
    served = await asyncio.to_thread(certificate, tmp_path)
    token = tmp_path / "token"
    await asyncio.to_thread(token.write_text, "secret\n")
    collector = Collector()
    async with collector.serving(served) as url:
        log = new_log(tmp_path, url, token_file=token)
        await log.open()
        log.append(entry("one"))
        await until(lambda: "CERTIFICATE_VERIFY_FAILED" in log.health()[1])
        assert (await log.close()).segments == 1
        assert collector.requests == []
        again = new_log(tmp_path, url, token_file=token, ca_file=tmp_path / "ca.pem")
        await again.open()
        assert (await again.close()).segments == 0
    assert collector.ids == ["one"]
    assert collector.headers[0]["Authorization"] == "Bearer secret"


async def test_a_spool_in_use_is_refused_at_the_start(tmp_path: Path) -> None:
    """Two processes would send everything twice."""
    log = new_log(tmp_path, "http://127.0.0.1:1")
    await log.open()
    other = new_log(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="another process"):
        await other.open()
    await log.close()
    last = new_log(tmp_path, "http://127.0.0.1:1")
    await last.open()
    await last.close()


def in_files(folder: Path, pattern: str = "decisions.jsonl*") -> list[str]:
    """Return the ids of all events in files, those turned over first."""
    found = [path for path in folder.glob(pattern) if path.suffix != ".lock"]
    paths = sorted(found, key=lambda path: -int(path.suffix[1:].replace("jsonl", "0")))
    text = b"".join(path.read_bytes() for path in paths)
    return [json.loads(line)["decision_id"] for line in text.splitlines()]


async def child(*arguments: str) -> asyncio.subprocess.Process:
    """Start the child."""
    return await asyncio.create_subprocess_exec(
        *CHILD, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


async def said(process: asyncio.subprocess.Process) -> str:
    """Return the next line of a child."""
    assert process.stdout is not None
    line: bytes = await within(process.stdout.readline())
    return line.decode().strip()


async def test_a_killed_process_loses_nothing_it_had_written(tmp_path: Path) -> None:
    """Three times kill -9 in the middle, with a collector that fails now and then."""
    some = [ways.LOST, ways.OK, ways.OK, ways.ERROR, ways.CLOSE_MIDWAY, ways.OK]
    collector = Collector(some * 200)
    written: dict[str, int] = {}
    async with collector.serving() as url:
        for run, flushes in (("a", 1), ("b", 10), ("c", 30)):
            process = await child("endless", str(tmp_path), url, run)
            for _ in range(flushes):
                written[run] = int(await said(process))
            process.kill()
            await within(process.wait())
        collector.script = iter(())
        process = await child("drain", str(tmp_path), url, "end")
        assert await said(process) == "0"
        await within(process.wait())
    # The last group may have reached one of the two only: nobody was told it had.
    for ids in (collector.ids, await asyncio.to_thread(in_files, tmp_path)):
        for run, count in written.items():
            numbers = [int(found[2:]) for found in ids if found.startswith(f"{run}-")]
            assert numbers == list(range(len(numbers)))
            assert len(numbers) >= count
        assert ids[-1] == "end"


async def test_a_full_disk_stalls_and_nothing_is_lost_when_it_mends(
    tmp_path: Path,
) -> None:
    """The kernel refuses the write, deciding stops, and then every event is there."""
    collector = Collector()
    async with collector.serving() as url:
        process = await child("fill", str(tmp_path), url, "d")
        stalled = await said(process)
        assert stalled.startswith("stalled: decision log: no room in 0.3 s")
        assert "File too large" in stalled
        assert await said(process) == "well: True"
        appended = int((await said(process)).removeprefix("appended: "))
        await within(process.wait())
    assert collector.ids == named(appended)
    assert await asyncio.to_thread(in_files, tmp_path) == named(appended)
