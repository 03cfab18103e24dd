"""Settings become parts. Below the composition root, and only for it."""

import os

from bus.adapters.audit import FileAudit, MemoryAudit
from bus.adapters.usage import FileUsage, MemoryUsage
from bus.config import Settings, read_stamp_keys
from bus.core.decision import Rate
from bus.core.subject import parse_pattern
from bus.metering import UsageMeter
from bus.ports import Clock
from bus.routes import Plan
from policy import constitution, keys
from policy.compliance import ComplianceValidator
from processors import registry
from processors.stages.rate_limit import RateLimit, RateLimitOptions
from processors.strategies.direct import Direct


def validator(settings: Settings) -> ComplianceValidator:
    """Return what keeps messages under the constitution in force."""
    file = settings.constitution.file
    document = constitution.BUILT_IN if file is None else constitution.load(file)
    secret = read_stamp_keys(settings.stamp)
    ring = keys.generate() if secret is None else keys.parse_keys(secret.reveal())
    return ComplianceValidator(document.hash, ring)


def audit(settings: Settings, clock: Clock) -> FileAudit | MemoryAudit:
    """Return the audit record: a file, or memory where none is named."""
    if settings.audit.file is None:
        return MemoryAudit(clock)
    return FileAudit(
        settings.audit.file,
        clock,
        head=settings.audit.head_file,
        fsync_s=settings.audit.fsync_seconds,
    )


def meter(settings: Settings, usage: MemoryUsage, clock: Clock) -> UsageMeter:
    """Return the meter, with the sinks that are named."""
    if settings.metering.file is None:
        return UsageMeter([usage], clock)
    run = os.urandom(8).hex()
    return UsageMeter([usage, FileUsage(settings.metering.file, run)], clock)


def limiter(rate: Rate) -> RateLimit:
    """Return what carries out a rate that policy obliges."""
    return RateLimit(
        RateLimitOptions(per=rate.key, rate_per_s=rate.per_second, burst=rate.burst)
    )


def plan(settings: Settings) -> Plan:
    """Return the stages and strategies by name."""
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
