"""A bus at work while its store cannot keep anything, and afterwards.

What must hold: who publishes meanwhile is told `store_unavailable`; what was accepted is
handled and stays in its stream; what was refused is never handed to anybody nor found
later; and once the cause is gone the bus accepts again, with a history that says how.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
import pytest

from bus import Bus, supervising
from bus.config import Settings
from bus.config.operating import RecoverySettings
from bus.core.errors import StoreUnavailableError
from bus.core.outcome import Accepted, Failed
from bus.core.recovering import DEFAULTS, Event, Kind, State
from tests.crash.claims import Trial
from tests.fakes.buses import DATA
from tests.fakes.durable import eventually

WAIT_S: Final = 30.0
BATCH: Final = 20
REFUSALS: Final = 5
BODY: Final = b"x" * 3_000
SUBJECT: Final = "work.a"
WELL: Final = frozenset({State.IDLE, State.SUCCEEDED})
SETTINGS: Final = Settings(
    recovery=(RecoverySettings(component="store", initial_ms=20, max_ms=200),)
)
Act = Callable[[], None]


def looked_after_often(patch: pytest.MonkeyPatch) -> None:
    """Have the store checked ten times a second, so that a trial is short."""
    care = msgspec.structs.replace(DEFAULTS[Kind.STORE], check_s=0.1)
    patch.setattr(
        supervising, "DEFAULTS", MappingProxyType({**DEFAULTS, Kind.STORE: care})
    )


def new_bus(path: Path) -> Bus:
    """Return a bus on a store that nobody has started."""
    return Bus(DATA, store=path, settings=SETTINGS)


def _nothing() -> None:
    return None


class Outage:
    """One bus, before, while and after something is wrong with its store."""

    def __init__(self, path: Path, name: str, trial: Trial, steps: int = 1) -> None:
        self._bus = new_bus(path)
        self._steps = steps
        self.before_close: Act = _nothing
        self._name = name
        self._trial = trial
        self._published = 0
        self._accepted: set[int] = set()
        self._refused: set[int] = set()
        self._handled: set[int] = set()

    async def run(self, begin: Act, end: Act) -> None:
        """Let it happen, and see that all claims hold."""
        bus = self._bus
        bus.agent("worker").subscribe(SUBJECT, self._handle, max_in_flight=4)
        async with bus:
            while len(self._accepted) < BATCH:
                await self._publish()
            self._trial.claim(not self._refused, f"{self._name}: refused beforehand")
            begin()
            await eventually(self._is_noticed, WAIT_S)
            end()
            before = len(self._accepted)
            await eventually(lambda: self._accepts(before + BATCH), WAIT_S)
            await eventually(lambda: self._accepted <= self._handled, WAIT_S)
            await eventually(self._is_well, WAIT_S)
            kept = await self._in_stream(bus)
            self._judge(kept)
            self._note()
            self.before_close()

    async def undisturbed(self, begin: Act = _nothing, end: Act = _nothing) -> None:
        """Run beside what should not matter: everything is accepted and handled."""
        bus = self._bus
        bus.agent("worker").subscribe(SUBJECT, self._handle, max_in_flight=4)
        async with bus:
            await self._publish()
            begin()
            try:
                await self._publish()
                await eventually(lambda: self._accepted <= self._handled, WAIT_S)
            finally:
                end()
            self._trial.claim(not self._refused, f"{self._name}: refused")
            self._trial.count("accepted", len(self._accepted))
            self._judge(await self._in_stream(bus))

    async def restart(self, bus: Bus) -> None:
        """See that the next process finds the same."""
        async with bus:
            self._judge(await self._in_stream(bus))

    async def _handle(self, body: bytes) -> None:
        self._handled.add(_number(body))

    async def _publish(self) -> None:
        planner, first = self._bus.agent("planner"), self._published
        self._published += BATCH
        async with asyncio.TaskGroup() as group:
            tasks = {
                number: group.create_task(planner.publish(SUBJECT, _body(number)))
                for number in range(first, self._published)
            }
        for number, task in tasks.items():
            outcome = task.result()
            if isinstance(outcome, Accepted):
                self._accepted.add(number)
            else:
                self._refused.add(number)
                typed = isinstance(outcome, Failed) and isinstance(
                    outcome.error, StoreUnavailableError
                )
                self._trial.claim(typed, f"{self._name}: refused as {outcome}")
                if len(self._refused) == 1:
                    self._trial.notes.append(
                        f"{self._name}: refused, {_words(outcome)}"
                    )

    async def _is_noticed(self) -> bool:
        await self._publish()
        told = self._bus.supervision.orchestrator.history("store")
        return len(self._refused) >= REFUSALS and len(told) >= self._steps

    async def _accepts(self, wanted: int) -> bool:
        await self._publish()
        return len(self._accepted) >= wanted

    def _is_well(self) -> bool:
        recovery = self._bus.supervision.orchestrator
        return all(
            one.state in WELL for one in recovery.status() if one.component == "store"
        )

    async def _in_stream(self, bus: Bus) -> set[int]:
        return {
            _number(entry.message.body)
            async for entry in bus.agent("critic").replay(SUBJECT)
        }

    def _judge(self, kept: set[int]) -> None:
        name, claim = self._name, self._trial.claim
        self._trial.count("accepted and lost", len(self._accepted - kept))
        self._trial.count("refused and found later", len(kept & self._refused))
        claim(kept >= self._accepted, f"{name}: lost {self._accepted - kept}")
        claim(not kept & self._refused, f"{name}: kept, though refused")
        claim(not self._handled & self._refused, f"{name}: handed over, though refused")
        claim(self._accepted <= self._handled, f"{name}: not handled")

    def _note(self) -> None:
        trial, told = self._trial, self._bus.supervision.orchestrator.history("store")
        events = [step.event for step in told]
        trial.claim(Event.SUCCEED in events, f"{self._name}: no recovery in {events}")
        trial.count("outages")
        trial.count("accepted", len(self._accepted))
        trial.count("refused", len(self._refused))
        steps = [f"{step.before.value} -> {step.after.value}" for step in told]
        because = told[0].detail if told else ""
        how = told[-1].detail if told else ""
        trial.notes.append(
            f"{self._name}: {', '.join(steps)}; why: {because}; how: {how}"
        )


def _body(number: int) -> bytes:
    return b"%d " % number + BODY


def _number(body: bytes) -> int:
    return int(body.split(b" ", 1)[0])


def _words(outcome: object) -> str:
    return outcome.reason if isinstance(outcome, Failed) else str(outcome)
