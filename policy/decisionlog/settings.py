"""What a decision log is told, what it counts, and how it says that it is stuck.

Rule: settings that cannot be honoured are refused when they are made.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bus.core.errors import ConfigurationError, PolicyUnavailableError
from bus.core.policylimits import (
    DECISION_CHUNK_BYTES,
    DECISION_FILE_BYTES,
    DECISION_FILES_KEPT,
    DECISION_LABELS_MAX,
    DECISION_LOG_CLOSE_S,
    DECISION_LOG_FSYNC_S,
    DECISION_LOG_WAIT_S,
)
from policy.decisionlog.collector import CollectorSettings, tls


class DecisionLogStalledError(PolicyUnavailableError):
    """The decision log cannot be written, so nothing may be decided unrecorded."""

    code = "decision_log_stalled"


class FileSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is turned over at `rotate_bytes`; `keep` of those turned over stay."""

    path: Path
    rotate_bytes: int = DECISION_FILE_BYTES
    keep: int = DECISION_FILES_KEPT


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where decisions go, a file or a collector or both, and how long is waited.

    `labels` name this instance in each event; OPA's are `id` and `version`.
    """

    labels: Mapping[str, str]
    file: FileSettings | None = None
    collector: CollectorSettings | None = None
    wait_s: float = DECISION_LOG_WAIT_S
    close_s: float = DECISION_LOG_CLOSE_S
    fsync_s: float = DECISION_LOG_FSYNC_S

    def __post_init__(self) -> None:
        """Refuse what cannot be honoured.

        Raises:
            ConfigurationError: says which setting.
        """
        if self.file is None and self.collector is None:
            raise ConfigurationError("a decision log needs a file or a collector")
        if len(self.labels) > DECISION_LABELS_MAX:
            raise ConfigurationError(f"more than {DECISION_LABELS_MAX} labels")
        if self.file is not None and (self.file.rotate_bytes < 1 or self.file.keep < 1):
            raise ConfigurationError("rotate_bytes and keep are 1 or more")
        if self.collector is not None:
            tls(self.collector)
            if self.collector.spool_bytes < 2 * DECISION_CHUNK_BYTES:
                raise ConfigurationError(
                    f"spool_bytes is {2 * DECISION_CHUNK_BYTES} or more"
                )


class LogStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start, of decisions unless said: appended = written + pending.

    `dropped` is what policy did not want logged, `erased` what a failing mask has
    emptied; both count as written. `spooled` and `refused` are segments now on disk.
    """

    appended: int = 0
    written: int = 0
    pending: int = 0
    dropped: int = 0
    erased: int = 0
    files_deleted: int = 0
    spooled: int = 0
    spool_bytes: int = 0
    refused: int = 0
    uploads: int = 0
    upload_failures: int = 0


class Remains(msgspec.Struct, frozen=True):
    """What the collector has not taken: segments and bytes that stay in the spool."""

    segments: int = 0
    refused: int = 0
    bytes: int = 0
