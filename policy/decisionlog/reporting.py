"""What the parts of a decision log have counted, and what somebody should look at.

Rule: nothing here waits; the other threads may go on counting meanwhile.
"""

from collections.abc import Iterator

from policy.decisionlog.file import RotatedFile
from policy.decisionlog.settings import LogStats
from policy.decisionlog.spool import Spool
from policy.decisionlog.upload import Uploader
from policy.decisionlog.writer import Writer


def stats(
    writer: Writer | None,
    file: RotatedFile | None,
    spool: Spool | None,
    uploader: Uploader | None,
    *,
    appended: int,
) -> LogStats:
    """Return the counts of a log that has taken `appended` entries."""
    written = writer.written if writer else 0
    return LogStats(
        appended=appended,
        written=written,
        pending=appended - written,
        dropped=writer.masker.dropped if writer else 0,
        erased=writer.masker.erased if writer else 0,
        files_deleted=file.deleted if file else 0,
        spooled=spool.waiting if spool else 0,
        spool_bytes=spool.used if spool else 0,
        refused=spool.refused if spool else 0,
        uploads=uploader.chunks if uploader else 0,
        upload_failures=uploader.failures if uploader else 0,
    )


def troubles(
    writer: Writer, spool: Spool | None, uploader: Uploader | None
) -> Iterator[str]:
    """Yield what does not stop the log."""
    if writer.repaired:
        yield f"at the start: {writer.repaired}"
    if spool and uploader and uploader.trouble:
        yield f"collector: {uploader.trouble} ({spool.used} bytes wait)"
    if spool and spool.refused:
        yield f"{spool.refused} segments refused"
    if writer.masker.trouble:
        yield f"mask failed: {writer.masker.trouble}"
