"""The decision log: every decision in OPA's format, to a file and to a collector."""

from policy.decisionlog.collector import CollectorSettings
from policy.decisionlog.log import DecisionLog
from policy.decisionlog.masking import Rules, rules_of
from policy.decisionlog.recording import RecordingAuthorizer
from policy.decisionlog.settings import (
    DecisionLogStalledError,
    FileSettings,
    LogSettings,
    LogStats,
    Remains,
)

__all__ = [
    "DecisionLog",
    "RecordingAuthorizer",
    "LogSettings",
    "FileSettings",
    "CollectorSettings",
    "LogStats",
    "Remains",
    "Rules",
    "rules_of",
    "DecisionLogStalledError",
]
