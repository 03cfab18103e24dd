"""`assent top`, `recovery` and `chaos` against a control channel in this process."""

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bus import operating
from bus.adapters import control
from bus.cli import main
from bus.cli.output import CHECK_FAILED, FAULT, OK, UNAVAILABLE, WRONG_USAGE
from bus.core.errors import DeniedError
from bus.recovery import Orchestrator, reopen
from bus.rewinding import Rewound
from bus.testing import FakeClock
from bus.watching import ConsumerLine, Seen, Top, top
from tests.fakes.chaos import Broken

START_S = 10.0


class Station:
    """A control channel over a made-up bus, in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.broken = Broken().attach()
        self.ready = threading.Event()
        self.fails = False
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Serve."""
        self._thread.start()
        assert self.ready.wait(START_S)

    def stop(self) -> None:
        """Serve no more."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(START_S)
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            recovery = Orchestrator(
                FakeClock(),
                lambda work, name: _spawn(group, work, name),
                lambda _: None,
                lambda: 0.5,
            )
            recovery.register(reopen("store", _fail, _mend))
            recovery.start()
            recovery.report("store", OSError("disk full"))
            chaos = self.broken.injector
            orders = operating.commands(self._top, chaos, recovery, self._rewind)
            async with control.serve(Path("op.sock"), orders):
                self.ready.set()
                await self._over.wait()
            recovery.stop()

    async def _top(self) -> Top:
        if self.fails:
            raise RuntimeError("no picture")
        line = ConsumerLine(tenant="acme", name="worker/a", pending=4)
        return top(Seen(time_ns=1, revision="r1", checks={}), [line])

    async def _rewind(self, name: str, tenant: str) -> Rewound:
        return Rewound(tenant=tenant or "acme", consumer=name, deliveries=4, in_hand=1)


def _spawn(
    group: asyncio.TaskGroup, work: Coroutine[Any, Any, None], name: str
) -> None:
    group.create_task(work, name=name)


async def _fail() -> None:
    raise OSError("disk full")


async def _mend() -> None:
    """Do nothing: it stays broken."""


@contextmanager
def _running() -> Iterator[Station]:
    station = Station()
    station.start()
    try:
        yield station
    finally:
        station.stop()


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    """A channel that the settings in the current folder name."""
    monkeypatch.chdir(tmp_path)
    Path("assent.toml").write_text('[control]\nsocket = "op.sock"\n')
    with _running() as running:
        yield running


Said = pytest.CaptureFixture[str]
DRILL = ("--seconds", "9", "--reason", "drill")


def test_the_picture_in_words_and_as_json(station: Station, capsys: Said) -> None:
    """Once, where the output is no terminal; a fault of the bus's is a fault."""
    assert main(["top"]) == OK
    assert "worker/a" in capsys.readouterr().out
    assert main(["top", "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["consumers"][0]["pending"] == 4
    station.fails = True
    assert main(["top", "--once"]) == FAULT
    assert "RuntimeError in the bus" in capsys.readouterr().err


def test_recovery_in_words_and_as_json(station: Station, capsys: Said) -> None:
    """What is supervised, what happened, and two orders."""
    assert station.ready.is_set()
    assert main(["recovery", "list"]) == OK
    listed = capsys.readouterr().out
    assert "store" in listed
    assert "OSError: disk full" in listed
    assert main(["recovery", "cancel", "store"]) == OK
    assert capsys.readouterr().out == "store: cancelled\n"
    assert main(["recovery", "cancel", "store"]) == WRONG_USAGE
    assert "nothing to cancel" in capsys.readouterr().err
    assert main(["recovery", "history", "store"]) == OK
    assert "operator" in capsys.readouterr().out
    assert main(["recovery", "approve", "store", "--json"]) == OK
    (one,) = json.loads(capsys.readouterr().out)["components"]
    assert one["component"] == "store"
    assert main(["recovery", "history", "--json"]) == OK
    assert len(json.loads(capsys.readouterr().out)["transitions"]) >= 3


def test_a_rewind_in_words_and_as_json(station: Station, capsys: Said) -> None:
    """How much is not settled, and how much of that is in hand."""
    assert station.ready.is_set()
    assert main(["recovery", "rewind", "worker/a"]) == OK
    told = "worker/a of acme: 4 not settled, 1 of them in hand; the rest is read anew\n"
    assert capsys.readouterr().out == told
    whose = ("--tenant", "globex", "--json")
    assert main(["recovery", "rewind", "worker/a", *whose]) == OK
    assert json.loads(capsys.readouterr().out)["tenant"] == "globex"


def test_chaos_in_words_and_as_json(station: Station, capsys: Said) -> None:
    """What may be hit, what is on, what is over."""
    assert main(["chaos", "list"]) == OK
    assert "clock can be hit by clock\n" in (told := capsys.readouterr().out)
    assert told.endswith("no faults\n")
    assert main(["chaos", "start", "clock", "--jump", "5", *DRILL]) == OK
    assert "f1" in capsys.readouterr().out
    shares = ("--share", "0.5", "--latency", "1", "--seed", "3")
    assert main(["chaos", "start", "latency", "policy", *shares, *DRILL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["active"][0]["seed"] == 3
    assert main(["chaos", "list"]) == OK
    assert capsys.readouterr().out.count(" on") == 2
    assert main(["chaos", "stop", "f1"]) == OK
    assert "stopped" in capsys.readouterr().out
    assert main(["chaos", "stop", "--all", "--json"]) == OK
    assert [f["id"] for f in json.loads(capsys.readouterr().out)["ended"]] == ["f2"]
    assert station.broken.injector.plan.active == {}


def test_a_refusal_ends_as_it_would_have_in_the_bus(
    station: Station, capsys: Said
) -> None:
    """By who must act."""

    def no(_: object) -> None:
        raise DeniedError(("not you",), decision_id="d", revision="r1")

    station.broken.admit = no  # type: ignore[assignment]  # it never answers
    assert main(["chaos", "start", "partition", "policy", *DRILL]) == CHECK_FAILED
    assert capsys.readouterr().err == "assent: denied: not you\n"
    assert main(["chaos", "start", "partition", *DRILL]) == WRONG_USAGE
    assert "needs a COMPONENT" in capsys.readouterr().err
    assert main(["chaos", "stop"]) == WRONG_USAGE
    assert "name one fault, or all" in capsys.readouterr().err
    assert main(["top", "--once", "--socket", "other.sock"]) == UNAVAILABLE
    assert "no bus answers there" in capsys.readouterr().err
    Path("assent.toml").unlink()
    assert main(["top", "--once"]) == WRONG_USAGE
    assert "no control socket" in capsys.readouterr().err
