"""Settings become parts. Below the composition root, and only for it."""

import os
from collections import Counter
from pathlib import Path

import msgspec

from bus.adapters.audit import FileAudit, MemoryAudit
from bus.adapters.usage import FileUsage, MemoryUsage
from bus.config import Settings, read_stamp_keys
from bus.config.keeping import StoreSettings, StreamSettings
from bus.config.settings import StampSettings
from bus.core.decision import Rate
from bus.core.entries import Sealer
from bus.core.errors import ConfigurationError
from bus.core.stamp import KeyRing
from bus.core.subject import parse_pattern
from bus.metering import UsageMeter
from bus.parts import Storage
from bus.ports import Clock
from bus.routes import Plan
from bus.streams import StreamSpec
from policy import constitution, keys
from policy.compliance import ComplianceValidator
from processors import registry
from processors.stages.rate_limit import RateLimit, RateLimitOptions
from processors.strategies.direct import Direct


def stored_in(store: str | Path | None, settings: Settings) -> Settings:
    """Return settings that keep messages in a file, where one is given.

    Raises:
        ConfigurationError: the settings say another place.
    """
    if store is None:
        return settings
    told = StoreSettings(kind="sqlite", file=Path(store))
    if settings.store not in {StoreSettings(), told}:
        raise ConfigurationError("the store is given twice, and differs")
    return msgspec.structs.replace(settings, store=told)


def key_ring(settings: Settings) -> KeyRing:
    """Return the stamp keys: those that are named, else of the store, else of this run.

    A store's messages are checked in later runs under the keys they were stamped with,
    so a store has keys beside it where no others are named.

    Raises:
        ConfigurationError: keys are named that cannot be read, or the store has lost its.
    """
    stamp, file = settings.stamp, settings.store.file
    if stamp == StampSettings() and settings.store.kind == "sqlite" and file:
        stamp = StampSettings(keys_file=keys.beside(file))
    secret = read_stamp_keys(stamp)
    return keys.generate() if secret is None else keys.parse_keys(secret.reveal())


def validator(settings: Settings, ring: KeyRing) -> ComplianceValidator:
    """Return what keeps messages under the constitution in force."""
    file = settings.constitution.file
    document = constitution.BUILT_IN if file is None else constitution.load(file)
    return ComplianceValidator(document.hash, ring)


def kept(settings: Settings, ring: KeyRing, clock: Clock) -> Storage | None:
    """Return what keeps messages; None where they are handed straight to queues.

    Raises:
        ConfigurationError: streams without a store, or a store without its file.
    """
    told = settings.store
    if told.kind == "direct":
        if settings.streams or told.file is not None:
            raise ConfigurationError(
                "streams and store.file need a store: set store.kind to 'memory' or "
                "'sqlite'"
            )
        return None
    from bus.adapters.stores import memory  # noqa: PLC0415 - for who uses them

    sealer = Sealer(ring)
    streams = tuple(map(_stream, settings.streams))
    for name, count in Counter(stream.name for stream in streams).items():
        if count > 1:
            raise ConfigurationError(f"streams: {count} of them are called {name!r}")
    if told.kind == "memory":
        if told.file is not None:
            raise ConfigurationError("store.file is for store.kind 'sqlite'")
        return Storage(memory.MemoryStore(clock), sealer, streams)
    if told.file is None:
        raise ConfigurationError("store.kind 'sqlite' needs store.file")
    from bus.adapters.stores import sqlite  # noqa: PLC0415 - for who uses it

    return Storage(sqlite.SqliteStore(told.file, sealer, clock), sealer, streams)


def _stream(told: StreamSettings) -> StreamSpec:
    age_s = told.max_age_seconds
    return StreamSpec(
        name=told.name,
        patterns=tuple(map(parse_pattern, told.subjects)),
        max_age_ns=None if age_s is None else int(age_s * 1e9),
        max_messages=told.max_messages,
        max_bytes=told.max_bytes,
        discard=told.discard,
        dedup_ns=int(told.dedup_seconds * 1e9),
    )


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
