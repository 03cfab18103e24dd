"""An authorizer and the decision log it writes, opened, masked and closed together."""

import os
import time

from bus.core.ids import IdSource
from bus.ports import Authorizer, Clock
from policy.bundle import Bundle
from policy.decisionlog.log import DecisionLog
from policy.decisionlog.masking import rules_of
from policy.decisionlog.recording import RecordingAuthorizer
from policy.decisionlog.settings import LogSettings, LogStats, Remains


class Logged:
    """Every decision of an authorizer, in the log that the settings name."""

    def __init__(
        self, settings: LogSettings, authorizer: Authorizer, clock: Clock
    ) -> None:
        self._log = DecisionLog(settings, lambda: None, clock)
        self.left = Remains()
        self.authorizer = RecordingAuthorizer(
            authorizer,
            self._log,
            IdSource(os.urandom(8)),
            now_ns=clock.now_ns,
            timer_ns=time.perf_counter_ns,
        )

    async def open(self) -> None:
        """Start writing; raise `ConfigurationError` if the log cannot be kept."""
        await self._log.open()

    def follow(self, bundle: Bundle | None) -> None:
        """Mask by the rules of these files from the next decision on."""
        self._log.follow(lambda: None if bundle is None else rules_of(bundle))

    async def close(self) -> None:
        """Write everything; what a collector has not taken stays on disk, as `left`."""
        self.left = await self._log.close()

    def stats(self) -> LogStats:
        """Return the counts since the start."""
        return self._log.stats()

    async def flush(self) -> None:
        """Wait until all decisions so far are written; raise `DecisionLogStalledError`."""
        await self._log.flush()

    def health(self) -> tuple[bool, str]:
        """Tell whether decisions are written, and a word on it."""
        return self._log.health()
