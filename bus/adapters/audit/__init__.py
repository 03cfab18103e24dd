"""The audit log: a sealed file, or a sealed tail in memory; and how to read a file."""

from bus.adapters.audit.log import FileAudit, MemoryAudit
from bus.adapters.audit.reading import Summary, tail, verify

__all__ = ["FileAudit", "MemoryAudit", "Summary", "tail", "verify"]
