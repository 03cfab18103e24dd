"""Takes segments to the collector, each until it is taken, in a thread of its own.

Rule: nothing leaves the spool before the collector has answered 2xx, whole. One
segment is one request; the next is sent when the collector has that one.
"""

import random
import ssl
import threading
from collections.abc import Callable
from typing import Final

from bus.core.limits import ERROR_CHARS_MAX
from policy.decisionlog import collector
from policy.decisionlog.collector import Chunk, CollectorSettings
from policy.decisionlog.request import Answer, Request
from policy.decisionlog.spool import Segment, Spool

_DOUBLINGS_MAX: Final = 30
_GIVEN_UP: Final = "given up"


class Uploader:
    """Empties a spool. The attributes may be read by any thread."""

    def __init__(
        self,
        spool: Spool,
        settings: CollectorSettings,
        now_ns: Callable[[], int],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.chunks = 0  # that the collector took
        self.failures = 0  # attempts that came to nothing
        self.trouble = ""  # why the last attempt did; empty once one succeeds
        self.error: BaseException | None = None  # what ended the thread
        self.ended = threading.Event()
        self._spool = spool
        self._settings = settings
        self._now_ns = now_ns
        self._jitter = jitter
        self._finishing = threading.Event()
        self._abandoned = threading.Event()
        self._verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the settings' follows
        self._request: Request | None = None
        self._taken: Segment | None = None
        self._thread = threading.Thread(
            target=self._run, name="assent-decisions-upload", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """End once the spool is empty, or with the first attempt that fails."""
        self._finishing.set()

    def abandon(self) -> None:
        """End at once; a request under way is given up and will be repeated."""
        self._abandoned.set()
        self._finishing.set()
        if (request := self._request) is not None:
            request.cut(_GIVEN_UP)

    def _run(self) -> None:
        try:
            self._verify = collector.tls(self._settings)
            self._work()
        except BaseException as fault:  # noqa: BLE001 - health tells; the spool pushes back
            self.error = fault
        finally:
            self.ended.set()

    def _work(self) -> None:
        failed = 0
        while not self._abandoned.is_set():
            finishing = self._finishing.is_set()
            try:
                segment = self._next(finishing=finishing)
                if segment is None:
                    if finishing:
                        return
                    continue
                wait_s = self._attempt(segment, failed)
            except OSError as error:
                wait_s = self._failed(str(error), "", failed)
            failed = 0 if wait_s is None else failed + 1
            if wait_s is not None:
                if finishing:
                    return
                self._finishing.wait(wait_s)

    def _next(self, *, finishing: bool) -> Segment | None:
        """Return what to send; a small segment only after waiting for more."""
        segment = self._spool.oldest(seal=finishing)
        if segment is None and not finishing:
            self._finishing.wait(self._settings.delay_s)
            segment = self._spool.oldest(seal=True)
        return segment

    def _attempt(self, segment: Segment, failed: int) -> float | None:
        """Send one segment; return how long to wait before the next attempt, if failed."""
        if self._taken != segment:
            chunk = collector.chunk_of(self._spool.read(segment))
            answer = self._send(chunk)
            told = collector.verdict(answer.status)
            if told == "later":
                return self._failed(answer.trouble, answer.retry_after, failed)
            if told == "never":
                self._spool.set_aside(segment, answer.status)
                self.failures += 1
                self.trouble = f"refused {segment.number}: {answer.trouble}"
                return None
            # Known before the file is gone: should that fail, it is not sent again.
            self._taken = segment
        self._spool.done(segment)
        self._taken = None
        self.chunks += 1
        self.trouble = ""
        return None

    def _failed(self, trouble: str, retry_after: str, failed: int) -> float:
        self.failures += 1
        self.trouble = f"attempt {failed + 1}: {trouble}"[:ERROR_CHARS_MAX]
        settings = self._settings
        ceiling = settings.backoff_s_base * 2.0 ** min(failed, _DOUBLINGS_MAX)
        # Full jitter, so that many senders do not come back as one.
        backoff_s = self._jitter() * min(ceiling, settings.backoff_s_max)
        return max(backoff_s, collector.retry_after_s(retry_after, self._now_ns()))

    def _send(self, chunk: Chunk) -> Answer:
        settings = self._settings
        headers = collector.headers_of(chunk, settings.token_file)
        request = Request(settings.url, self._verify, settings.timeout_s)
        self._request = request
        # Looked at after the request is known: `abandon` does it the other way round.
        if self._abandoned.is_set():
            request.cut(_GIVEN_UP)
        answer = request.send(headers, chunk.body)
        self._request = None
        return answer
