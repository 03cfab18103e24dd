"""The policy in force from a bundle server, with the last good bundle behind it.

Rule: a failure changes nothing. At the start the server is asked first; where it does
not answer, or with a bundle that is refused, the last good one is checked and taken.
Implements `policy.loading.PolicySource`.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from bus.core.errors import (
    ConfigurationError,
    PolicyLoadError,
    PolicyUnavailableError,
    UnavailableError,
)
from bus.core.policylimits import (
    BUNDLE_POLL_S,
    BUNDLE_POLL_S_MIN,
    BUNDLE_RETRY_S_BASE,
    BUNDLE_RETRY_S_MAX,
)
from policy import loading
from policy.bundle import Bundle
from policy.bundles.download import Downloader, Fetched, Remote
from policy.bundles.files import require_active
from policy.bundles.lastgood import LastGood
from policy.bundles.lifecycle import Lifecycle
from policy.bundles.opening import Opened
from policy.bundles.signatures import Keys
from policy.pacing import Steps

_FAILURES: Final = (UnavailableError, ConfigurationError)

_log: Final = logging.getLogger(__name__)


class _Held(msgspec.Struct, frozen=True):
    """A bundle, and its digest, which takes time to make."""

    bundle: Bundle
    digest: str


class BundleServer:
    """A policy kept on a server. `follow` keeps it up to date while the bus runs.

    The server is asked at most once in `poll_s`, which is also how late an answer may
    come to one that does not wait.
    """

    __slots__ = (
        "_downloader",
        "_held",
        "_keys",
        "_last_good",
        "_lifecycle",
        "_lock",
        "_poll_s",
        "_remote",
        "_try_out",
    )

    def __init__(
        self,
        remote: Remote,
        keys: Keys,
        *,
        last_good: LastGood | None = None,
        lifecycle: Lifecycle | None = None,
        poll_s: float = BUNDLE_POLL_S,
        try_out: Callable[[Bundle], object] = loading.build,
    ) -> None:
        """Take the settings; nothing is asked yet.

        `try_out` raises `PolicyLoadError` for a first bundle of which no policy can be
        made. It runs on a thread of its own; where policy is not trusted it must not
        be evaluated there.

        Raises:
            ConfigurationError: the settings cannot be honoured.
        """
        if poll_s < BUNDLE_POLL_S_MIN:
            raise ConfigurationError(f"bundle poll: {BUNDLE_POLL_S_MIN:g} s at least")
        self._downloader = Downloader(remote, keys)
        self._remote = remote
        self._keys = dict(keys)
        self._last_good = last_good
        self._lifecycle = lifecycle
        self._poll_s = poll_s
        self._held: _Held | None = None
        self._lock = threading.Lock()
        self._try_out = try_out

    def read(self) -> Bundle:
        """Return the newest bundle that came; the first time, ask for it and wait.

        Raises:
            PolicyLoadError: the server's was refused, and there is no last good one; or
                its state does not allow it any more.
            PolicyUnavailableError: no answer, and there is no last good one.
            ConfigurationError: a key is not one, or a package for it is missing.
        """
        with self._lock:
            if self._held is None:
                self._held = self._first()
            else:
                self._check(self._held)  # it may have been revoked since
            return self._held.bundle

    def building(
        self, bundle: Bundle, before: loading.Policy | None = None
    ) -> Steps[loading.Policy]:
        """Make a policy of what was read."""
        return loading.building(bundle, before)

    def changed(self, revision: str) -> bool:
        """Tell whether another bundle has come."""
        return self._held is not None and not self._held.digest.startswith(revision)

    async def follow(self, activate: Callable[[], Awaitable[object]]) -> None:
        """Ask for bundles for ever; call `activate` when another one is to be read.

        What `activate` raises as a refusal is logged, and the bundle asked for anew: it
        must leave in force what was. Cancelling ends it; what was in force stays held.
        """
        failures = 0
        now_s = asyncio.get_running_loop().time
        async with self._downloader as downloader:
            while True:
                asked_s = now_s()
                try:
                    fetched = await downloader.poll()
                    if fetched is not None:
                        await self._take(fetched, activate)
                        downloader.accepted(fetched)
                except _FAILURES as error:
                    # Not the error itself, see `_tried_out`: a handler may keep it.
                    told = str(error)
                    _log.warning("bundle refused, the policy in force stays: %s", told)
                    failures += 1
                    await asyncio.sleep(_retry_s(failures))
                else:
                    failures = 0
                    took_s = now_s() - asked_s  # long, where the server waits
                    await asyncio.sleep(max(BUNDLE_POLL_S_MIN, self._poll_s - took_s))

    async def _take(
        self, fetched: Fetched, activate: Callable[[], Awaitable[object]]
    ) -> None:
        """Put a bundle in force and keep it; what was held comes back if that fails."""
        made = await asyncio.to_thread(self._checked, fetched.opened)
        before = self._held
        self._held = made
        try:
            if before is None or before.digest != made.digest:
                await activate()
        except BaseException:
            self._held = before
            raise
        loop = asyncio.get_running_loop()
        keeping = loop.run_in_executor(None, self._keep, fetched.content)
        try:
            await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await keeping  # it is in force, so it is kept, also when the bus ends now
            raise

    def _first(self) -> _Held:
        # A thread of its own: the caller's may have a loop that runs.
        with ThreadPoolExecutor(1) as pool:
            try:
                fetched, made = pool.submit(self._fetched).result()
            except _FAILURES as error:
                return self._fallen_back(error)
        self._keep(fetched.content)
        return made

    def _fetched(self) -> tuple[Fetched, _Held]:
        """Return the server's bundle if it can be put in force."""
        fetched = asyncio.run(self._asked())
        made = self._checked(fetched.opened)
        refused = self._tried_out(made.bundle)
        if refused is not None:
            raise refused
        return fetched, made

    async def _asked(self) -> Fetched:
        async with Downloader(self._remote, self._keys) as downloader:
            fetched = await downloader.poll()
        if fetched is None:
            raise PolicyUnavailableError("the server has no bundle")
        return fetched

    def _tried_out(self, bundle: Bundle) -> PolicyLoadError | None:
        """Return why no policy can be made of a bundle, or None.

        Not the error itself: its traceback holds an engine of this thread only.
        """
        try:
            self._try_out(bundle)
        except PolicyLoadError as error:
            return PolicyLoadError(error.reason, file=error.file, line=error.line)
        return None

    def _fallen_back(self, error: Exception) -> _Held:
        """Return the last good bundle, or raise what was wrong with the server's."""
        if self._last_good is None:
            raise error
        _log.warning("no bundle from the server: %s", str(error))
        kept = self._last_good.load(self._keys)
        if kept is None:
            raise error
        made = self._checked(kept)
        _log.warning("the last good bundle is taken, its digest is %s", made.digest)
        return made

    def _checked(self, opened: Opened) -> _Held:
        made = _Held(opened.bundle, opened.bundle.digest)
        self._check(made)
        return made

    def _check(self, held: _Held) -> None:
        """Return if the bundle may be put in force, as far as states are recorded."""
        if self._lifecycle is not None:
            require_active(self._lifecycle, self._remote.url, held.digest)

    def _keep(self, content: bytes) -> None:
        """Keep the bundle; a disk that is full does not undo what is in force."""
        if self._last_good is None:
            return
        try:
            self._last_good.save(content)
        except OSError as error:
            _log.error("the last good bundle was not kept: %s", error)


def _retry_s(failures: int) -> float:
    return min(BUNDLE_RETRY_S_MAX, BUNDLE_RETRY_S_BASE * 2.0 ** min(failures - 1, 16))
