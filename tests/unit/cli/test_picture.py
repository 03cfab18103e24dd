"""What `assent top` draws, and how it is left."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bus.cli import picture, times, top as command
from bus.core.changes import StreamRow
from bus.core.errors import UnavailableError
from bus.watching import ConsumerLine, Pace, Seen, Top, top

S = 1_000_000_000
LINE = ConsumerLine(
    tenant="acme",
    name="worker/tasks.*",
    pending=12,
    in_flight=3,
    delayed=2,
    redelivered=7,
    dead=1,
    oldest_ns=90 * S,
)


def made(*lines: ConsumerLine, pace: Pace | None = None, **given: Any) -> Top:
    """Return a picture of a bus with these consumers."""
    checks = {"bus running": (True, "running"), "audit": (True, "well")}
    base: dict[str, Any] = {"time_ns": 10 * S, "revision": "r1", "checks": checks}
    streams = [StreamRow(1, "acme", "orders", messages=4, bytes=2048, first=1, last=9)]
    return top(Seen(**{**base, **given}, pace=pace), lines, streams)


def drawn(seen: Top, before: Top | None = None) -> str:
    """Return what is drawn, as text."""
    out = io.StringIO()
    Console(file=out, width=200).print(picture.drawn(seen, before))
    return out.getvalue()


def test_a_durable_bus_shows_consumers_and_streams() -> None:
    """Lag, in flight, delayed, redelivered, dead, oldest; messages, bytes, first, last."""
    shown = drawn(made(LINE, pace=Pace(commits=100, appended=0, since_ns=0)))
    assert "healthy (1.00), policy r1, 10.0 commits/s, 0 dead letters, 0 held" in shown
    row = next(line for line in shown.splitlines() if "worker/" in line)
    assert row.split() == [
        *("acme", "worker/tasks.*", "12", "3", "2", "7", "1", "1.5", "min")
    ]
    row = next(line for line in shown.splitlines() if "orders" in line)
    assert row.split() == ["acme", "orders", "4", "2.0", "KiB", "1", "9"]


def test_a_bus_without_a_store_shows_subscriptions() -> None:
    """Without what is not counted there."""
    shown = drawn(made(ConsumerLine(tenant="acme", name="worker/a", pending=1)))
    assert "subscriptions" in shown
    for absent in ("streams", "commits/s", "redelivered", "oldest"):
        assert absent not in shown


def test_the_pace_is_that_since_the_last_picture() -> None:
    """Of the same opening of the store; a bus without one has none."""
    before = made(pace=Pace(commits=100, appended=0, since_ns=0), time_ns=8 * S)
    now = made(pace=Pace(commits=150, appended=0, since_ns=0))
    assert "25.0 commits/s" in drawn(now, before)
    assert "15.0 commits/s" in drawn(now, made())


def test_what_does_not_hold_is_said() -> None:
    """With its words, and nothing that controls a terminal."""
    checks = {"bus running": (True, "ok"), "audit": (False, "disk\x1b[2J full")}
    shown = drawn(made(checks=checks, dead_letters=3))
    assert "degraded (0.50)" in shown
    assert "audit: disk [2J full" in shown
    assert "3 dead letters" in shown
    assert "bus running" not in shown


def test_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody takes a part for the whole."""
    monkeypatch.setattr("bus.watching.TOP_ROWS_MAX", 1)
    assert "and 2 more" in drawn(made(LINE, LINE, LINE))


@pytest.mark.parametrize(
    ("time_ns", "told"),
    [(None, ""), (0, "0.0 s"), (90 * S, "1.5 min"), (5400 * S, "1.5 h")],
)
def test_an_age_is_told_in_the_unit_that_fits(time_ns: int | None, told: str) -> None:
    """And not at all where it is not known."""
    assert times.age(time_ns) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_fits(count: int, told: str) -> None:
    """Of 1,024."""
    assert times.size(count) == told


def test_a_time_that_no_calendar_has_is_told_in_nanoseconds() -> None:
    """Nothing that a bus sends ends the command."""
    assert times.utc(0) == "1970-01-01 00:00:00.000"
    assert times.utc(1 << 80) == f"{1 << 80} ns"


class Terminal:
    """A terminal and a bus: the pictures the bus gives, then what it raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ending: BaseException) -> None:
        self.out = io.StringIO()
        self.slept: list[float] = []
        self._pictures: Iterator[Top] = iter([made(LINE), made()])
        self._ending = ending
        terminal = Console(file=self.out, force_terminal=True, width=120)
        monkeypatch.setattr(picture, "console", lambda: terminal)
        monkeypatch.setattr(command, "order", self._order)
        monkeypatch.setattr("time.sleep", self.slept.append)

    def _order(self, at: Path, name: str, kind: type[Top]) -> Top:
        assert (at, name, kind) == (Path("op.sock"), "top", Top)
        for seen in self._pictures:
            return seen
        raise self._ending


def test_on_a_terminal_it_goes_on_until_it_is_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Which is how one leaves it, and no failure."""
    terminal = Terminal(monkeypatch, KeyboardInterrupt())
    command.top(socket="op.sock", every=0.5)
    assert terminal.slept == [0.5, 0.5]
    assert "worker/tasks.*" in terminal.out.getvalue()


def test_a_bus_that_goes_away_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its error, like any other command."""
    Terminal(monkeypatch, UnavailableError("no bus answers there"))
    with pytest.raises(UnavailableError):
        command.top(socket="op.sock")
