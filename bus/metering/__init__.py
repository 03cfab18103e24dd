"""Metering: who used what, counted without delaying anybody."""

from bus.metering.meter import UsageMeter
from bus.metering.usage import (
    OPERATIONS,
    Cell,
    UsageBatch,
    UsageRecord,
    UsageSink,
)

__all__ = ["OPERATIONS", "Cell", "UsageBatch", "UsageMeter", "UsageRecord", "UsageSink"]
