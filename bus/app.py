"""Composition root: the only module that knows which parts are used.

Rule: settings that cannot be honoured stop here, before anything runs.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from bus.adapters.audit import FileAudit, MemoryAudit
from bus.adapters.clock import SystemClock
from bus.adapters.stores.memory import MemoryStore
from bus.adapters.usage import FileUsage, MemoryUsage
from bus.client import BaseBus
from bus.config import Settings, read_stamp_keys
from bus.core.decision import Rate
from bus.core.errors import ConfigurationError, PolicyLoadError
from bus.core.ids import IdSource
from bus.core.limits import POLICY_WATCH_S
from bus.core.subject import parse_pattern
from bus.metering import UsageMeter
from bus.parts import Parts
from bus.ports import Clock
from bus.routes import Counters, Plan
from policy import constitution, keys
from policy.authorizer import EmbeddedAuthorizer, load_authorizer
from policy.compliance import ComplianceValidator
from policy.keeping import Keeping
from processors import registry
from processors.stages.rate_limit import RateLimit, RateLimitOptions
from processors.strategies.broadcast import Broadcast
from processors.strategies.direct import Direct

PolicyData = Mapping[str, Any] | Path | str

_log: Final = logging.getLogger("assent")


class Bus(BaseBus):
    """A governed bus in this process, with nothing to start beside it.

    `policy_data` says who the agents are and what their roles may do: a mapping, or
    the path of a JSON or TOML file. Everything else comes from `settings`, whose
    defaults keep the audit record in memory and make stamp keys for this run.

    Raises:
        ConfigurationError: something in the settings cannot be honoured.
    """

    def __init__(
        self,
        policy_data: PolicyData | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings or Settings()
        clock = clock or SystemClock()
        self.authorizer = _authorizer(self.settings, policy_data, clock)
        data = self.settings.policy.data if policy_data is None else policy_data
        self._on_disk = (
            isinstance(data, str | Path) or self.settings.policy.folder is not None
        )
        self._reloading = asyncio.Lock()
        self.usage = MemoryUsage()
        self.audit = _audit(self.settings, clock)
        parts = Parts(
            authorizer=self.authorizer,
            validator=_validator(self.settings),
            store=MemoryStore(),
            meter=_meter(self.settings, self.usage, clock),
            audit=self.audit,
            clock=clock,
            ids=IdSource(os.urandom(8)),
            plan=_plan(self.settings),
            limiter=limiter,
            counters=Counters([t.subject for t in self.settings.templates]),
            publish_wait_s=self.settings.bus.publish_wait_seconds,
            ack_wait_s=self.settings.bus.ack_wait_seconds,
            max_deliver=self.settings.bus.max_deliver,
        )
        super().__init__(
            parts,
            broadcast=Broadcast(),
            drain_s=self.settings.bus.drain_seconds,
        )

    async def reload_policy(self) -> str:
        """Put the policy and data on disk in force; return the revision.

        Policy is asked again about every subscription; those that it no longer allows
        end, and what waited for them becomes dead letters.

        Raises:
            PolicyLoadError: they were refused, and the revision in force stays.
        """
        async with self._reloading:  # one after the other: what was read last counts
            try:
                bundle = await asyncio.to_thread(self.authorizer.read)
                self.authorizer.reload(bundle)
            except PolicyLoadError as error:
                self._host.notes.note("reload_refused", f"policy: {error}")
                raise
            if self._host.terms.revision != self.authorizer.revision:
                self._host.terms.revision = self.authorizer.revision
                self._host.notes.note("reloaded", f"policy {self.authorizer.revision}")
                self.forget_changed()
                ended = await self._host.roster.recheck()
                if ended:
                    _log.warning("%d subscriptions are no longer allowed", ended)
            return self.authorizer.revision

    async def __aenter__(self) -> Self:
        """Start, and watch the policy files if the settings say so."""
        await super().__aenter__()
        if self.settings.policy.watch and self._on_disk:
            self._host.crew.start(self._watch(), "assent policy watch")
        return self

    async def _watch(self) -> None:
        """Reload when a file changes; a bundle that is refused is said once a change."""
        while True:
            await asyncio.sleep(POLICY_WATCH_S)
            if await asyncio.to_thread(self.authorizer.changed):
                try:
                    await self.reload_policy()
                except PolicyLoadError as error:
                    _log.error("policy refused, %s stays: %s", self.revision, error)

    @property
    def revision(self) -> str:
        """The policy revision in force."""
        return self.authorizer.revision

    @property
    def constitution(self) -> str:
        """The hash of the constitution in force."""
        return self._host.terms.constitution

    def _standing(self) -> str:
        failure = self._host.failure
        return self.phase.value if failure is None else f"failed: {failure!r}"

    def health(self) -> dict[str, tuple[bool, str]]:
        """Return each check by name: whether it holds, and a word on it."""
        return {
            "bus running": (self.running, self._standing()),
            "policy loaded": (True, f"revision {self.revision}"),
            "audit not stalled": self.audit.health(),
        }


def _authorizer(
    settings: Settings, policy_data: PolicyData | None, clock: Clock
) -> EmbeddedAuthorizer:
    data = settings.policy.data if policy_data is None else policy_data
    if data is None and settings.policy.folder is None:
        raise ConfigurationError(
            "no policy data: nobody is known, so nobody may do anything; give "
            "Bus(policy_data=...) or set policy.data to a JSON or TOML file"
        )
    return load_authorizer(
        data=Path(data) if isinstance(data, str) else data,
        policy_dir=settings.policy.folder,
        now_ns=clock.now_ns,
        keeping=Keeping(
            allow_ttl_s=settings.policy.allow_ttl_seconds,
            deny_ttl_s=settings.policy.deny_ttl_seconds,
            entries=settings.policy.cache_entries,
        ),
    )


def _validator(settings: Settings) -> ComplianceValidator:
    file = settings.constitution.file
    document = constitution.BUILT_IN if file is None else constitution.load(file)
    secret = read_stamp_keys(settings.stamp)
    ring = keys.generate() if secret is None else keys.parse_keys(secret.reveal())
    return ComplianceValidator(document.hash, ring)


def _audit(settings: Settings, clock: Clock) -> FileAudit | MemoryAudit:
    if settings.audit.file is None:
        return MemoryAudit(clock)
    return FileAudit(
        settings.audit.file,
        clock,
        head=settings.audit.head_file,
        fsync_s=settings.audit.fsync_seconds,
    )


def _meter(settings: Settings, usage: MemoryUsage, clock: Clock) -> UsageMeter:
    if settings.metering.file is None:
        return UsageMeter([usage], clock)
    run = os.urandom(8).hex()
    return UsageMeter([usage, FileUsage(settings.metering.file, run)], clock)


def limiter(rate: Rate) -> RateLimit:
    """Return what carries out a rate that policy obliges."""
    return RateLimit(
        RateLimitOptions(per=rate.key, rate_per_s=rate.per_second, burst=rate.burst)
    )


def _plan(settings: Settings) -> Plan:
    stages = []
    for choice in settings.stages:
        stage = registry.stage(choice.name, choice.options)
        stages.append((tuple(map(parse_pattern, choice.subjects)), stage))
    strategies = []
    for choice in settings.strategies:
        strategy = registry.strategy(choice.name, choice.options)
        strategies += [
            (parse_pattern(subject), strategy) for subject in choice.subjects
        ]
    return Plan(tuple(stages), tuple(strategies), Direct())
