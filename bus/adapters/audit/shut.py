"""What stands in the place of a log's buffer while the log is not open."""

from bus.core.errors import BusNotStartedError
from bus.ports import AuditRecord


class Shut(list[AuditRecord]):
    """Refuses every record, so that none is lost."""

    def append(self, record: AuditRecord) -> None:
        """Raise `BusNotStartedError`."""
        raise BusNotStartedError(f"audit log is not open; {record[0]} not recorded")
