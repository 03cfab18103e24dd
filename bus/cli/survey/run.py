"""One demonstration from start to end: survey, attacks, and what the record says of both.

Rule: the checks are made after the bus has closed, from the file that it wrote.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec

from bus.app import Bus
from bus.cli import ledger
from bus.cli.checks import Check
from bus.cli.running import run_to_end
from bus.cli.survey.files import Listing
from bus.cli.survey.fleet import Fleet
from bus.cli.survey.intruder import Attempt, Intruder
from bus.cli.survey.work import Report
from bus.config import Settings
from bus.config.governing import PolicySettings
from bus.config.settings import AuditSettings, TemplateSettings
from bus.core.stats import Snapshot

DATA: Final = Path(__file__).with_name("data.json")
_TEMPLATES: Final = (
    "survey.task.*",
    "survey.result.*",
    "survey.report",
    "survey.notice",
    "guest.*",
)


class Plan(msgspec.Struct, frozen=True):
    """What to run. The fleet goes round until `seconds` are over, at least once.

    `pause_s` lies between two attempts, so that somebody who watches can follow.
    `data` is the policy data, with the agents that the packaged one has.
    """

    listing: Listing
    audit_file: Path
    seconds: float = 0.0
    pause_s: float = 0.0
    data: Path = DATA


class Story(msgspec.Struct, frozen=True):
    """What happened; `report` is the last round's."""

    report: Report
    rounds: int
    took_s: float
    attempts: list[Attempt]
    snapshot: Snapshot
    checks: list[Check]

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.state == "ok" for check in self.checks)


class _Act(msgspec.Struct, frozen=True):
    report: Report
    rounds: int
    took_s: float
    attempts: list[Attempt]
    intruder: Intruder
    left: int


class Stage(msgspec.Struct):
    """What is going on, for whoever looks on."""

    bus: Bus
    fleet: Fleet
    started_s: float
    attempts: list[Attempt] = []


class Audience(Protocol):
    """Looks on: `watch` runs beside the fleet and is cancelled when it is done."""

    async def watch(self, stage: Stage) -> None:
        """Look on until cancelled; change nothing."""


def demonstrate(plan: Plan, audience: Audience) -> Story:
    """Run the demonstration from start to end.

    Raises:
        BusError: the survey could not be done, or the record cannot be continued.
        OSError: the audit file cannot be read.
    """
    before = ledger.records_in(plan.audit_file)
    bus = Bus(plan.data, settings=_settings(plan.audit_file))
    act = run_to_end(_perform(bus, plan, audience))
    snapshot = bus.stats()
    checks = [
        *_recorded(plan.audit_file, before, snapshot, act.intruder),
        _complete(act.report, len(plan.listing.files), act.left),
        _all_refused(act.attempts),
    ]
    return Story(act.report, act.rounds, act.took_s, act.attempts, snapshot, checks)


async def _perform(bus: Bus, plan: Plan, audience: Audience) -> _Act:
    loop = asyncio.get_running_loop()
    async with bus:
        fleet = Fleet(bus, plan.listing)
        intruder = Intruder(bus, fleet.aggregator.agent, plan.audit_file)
        stage = Stage(bus, fleet, loop.time())
        async with _watched(audience, stage), asyncio.TaskGroup() as both:
            both.create_task(_attack(intruder, stage, plan.pause_s))
            surveying = both.create_task(_survey(stage, plan.seconds))
        took_s = loop.time() - stage.started_s
        left = await bus.close()
    return _Act(
        surveying.result(), fleet.rounds, took_s, stage.attempts, intruder, left
    )


def _settings(audit_file: Path) -> Settings:
    return Settings(
        audit=AuditSettings(file=audit_file),
        policy=PolicySettings(watch=False),
        templates=tuple(TemplateSettings(subject=name) for name in _TEMPLATES),
    )


@asynccontextmanager
async def _watched(audience: Audience, stage: Stage) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(audience.watch(stage))
        yield
        watching.cancel()


async def _survey(stage: Stage, seconds: float) -> Report:
    loop = asyncio.get_running_loop()
    while True:
        report = await stage.fleet.survey()
        if loop.time() - stage.started_s >= seconds or not stage.fleet.tasks:
            return report


async def _attack(intruder: Intruder, stage: Stage, pause_s: float) -> None:
    async for attempt in intruder.attempts():
        stage.attempts.append(attempt)
        await asyncio.sleep(pause_s)


def _recorded(
    file: Path, before: int, snapshot: Snapshot, intruder: Intruder
) -> list[Check]:
    found = ledger.verified(file, before=before)
    if isinstance(found, Check):
        return [found]
    return ledger.reconcile(
        found,
        snapshot,
        access_denied=intruder.access_denied,
        planted=intruder.planted,
    )


def _complete(report: Report, files: int, left: int) -> Check:
    good = files == report.measured + report.lost and left == 0
    text = f"{files} files = {report.measured} measured + {report.lost} given up"
    if left:
        text += f"; {left} deliveries were cut off by the end"
    return Check("survey complete", "ok" if good else "failed", text)


def _all_refused(attempts: list[Attempt]) -> Check:
    through = [attempt.tried for attempt in attempts if not attempt.refused]
    text = f"{len(attempts)} attempts, {len(attempts) - len(through)} refused"
    if through:
        text += f"; got through: {'; '.join(through)}"
    bad = through or not attempts
    return Check("intruder kept out", "failed" if bad else "ok", text)
